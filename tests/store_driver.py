"""One store on a real server, driven beside a model of it and a stand-in of the API; every step compares the two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import redis

from store_model import ACCOUNTS, MOST_WAITING, NUMBERS, PROFILES, Model, Name
from trunkline.store import Store, reading
from trunkline.store.client import LeaseLost
from trunkline.store.model import Batch, Gate, Idle, Leased, Other, Probe, RefusedAlike, Settlement
from trunkline.words import State

START = 1_790_000_000_000
LEASE_MS = 60_000
MOST_REAPED = 16
MOST_CLAIMS_TO_REST = 400


@dataclass(slots=True)
class Held:
    """A batch as its worker sees it; `told` is what it will say in the settle."""

    batch: Batch
    sent: bool = False
    found: tuple[str, ...] = ()
    told: dict[str, str] = field(default_factory=dict)
    whole: str = "each"


class Api:
    """Which profile configured which direction of a number last, and when."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, str], dict[str, tuple[str, int]]] = {}
        self.called: set[tuple[str, Name]] = set()

    def call(self, batch: Batch, number: str, processed: bool, now: int) -> None:
        self.called.add((batch.account, (batch.profile, number)))
        if processed:
            for direction in PROFILES[batch.profile].directions:
                self.last.setdefault((batch.account, number), {})[direction] = (batch.profile, now)

    def proves(self, batch: Batch, leased: Leased) -> bool:
        """Whether a worker that reads back would find the number attached and not send."""
        there = self.last.get((batch.account, leased.number), {})
        mine = [there.get(direction) for direction in PROFILES[batch.profile].directions]
        if leased.forced or not leased.verify or None in mine:
            return False
        if leased.verify == "c":
            return leased.attached_under == batch.fingerprint
        return leased.known_absent or all(at >= (leased.sent_ms or 0) for _, at in filter(None, mine))


class Driver:
    """Moves of the store that need more than a call: each does the same to the model and checks what comes back."""

    def __init__(self, store: Store, raw: redis.Redis) -> None:
        super().__init__()
        raw.flushdb()
        self.store, self.raw = store, raw
        self.store.max_waiting = MOST_WAITING
        self.model, self.api = Model(), Api()
        self.held: list[Held] = []
        self.over: list[Held] = []
        self.probes: list[str] = []
        self.now = self.latest = START
        self.tick(0)
        self.store.publish(self.model.policies(), whole=True)

    def come_to_rest(self) -> None:
        """Invariant 7: with nothing in the way all open numbers are tried, and the owner of a direction is last."""
        self._open_everything()
        for _ in range(MOST_CLAIMS_TO_REST):
            said = self.store.claim(LEASE_MS)
            if isinstance(said, Idle) and said.wait_ms is None:
                break
            match said:
                case Idle():
                    self.tick(max(1, said.wait_ms or 0))
                case Probe():
                    self.probe(said.account, fine=True)
                case Batch():
                    held = self._take(said)
                    self.send(held, "each", ["done"])
                    self.settle(held)
                    self._follow()
        else:
            raise AssertionError("the store does not come to rest")
        assert self.model.names(State.queued, State.attaching) == [], "tried, every one of them"
        wrong = list(self._wrong_directions())
        assert wrong == [], wrong

    def check(self) -> None:
        """The audit finds nothing, and entries and books are the model's."""
        self._follow()
        wrong = self.store.audit(self.latest - self.now)
        assert wrong == [], wrong
        assert self.states() == {name: entry.state for name, entry in self.model.entries.items()}
        books = reading.books(self.store)
        assert {book.profile: book.counts for book in books.profiles} == {p: self.model.tally(p) for p in PROFILES}
        assert books.balanced
        assert books.events == {name: self.model.events[name] for name in ("accepted", "duplicate", "rejected")}
        assert books.calls == {name: self.model.calls[name] for name in ("attach", "numbers")}

    def tick(self, ms: int) -> None:
        self.now += ms
        self.latest = max(self.latest, self.now)
        self.store.now_ms = self.now

    def states(self) -> dict[Name, State]:
        every = ((profile, number) for profile in PROFILES for number in NUMBERS)
        return {(entry.profile, entry.number): entry.state for entry in reading.entries(self.store, every)}

    def _follow(self) -> None:
        """The owner of a direction goes again after a call of another profile: the store decides when."""
        for name, state in self.states().items():
            entry = self.model.entries.get(name)
            if entry and entry.state is State.attached and state is State.queued and self._was_overwritten(name):
                entry.state, entry.forced = State.queued, True

    def _was_overwritten(self, name: Name) -> bool:
        account = PROFILES[name[0]].account
        return any((account, (other, name[1])) in self.api.called for other in PROFILES if other != name[0])

    def claim(self, patient: bool) -> Held | None:
        nothing_seen = self.store.look(8).claimable == 0
        said = self.store.claim(LEASE_MS)
        assert not nothing_seen or isinstance(said, Idle)
        if patient and isinstance(said, Idle) and said.wait_ms is not None:
            self.tick(said.wait_ms)
            said = self.store.claim(LEASE_MS)
        match said:
            case Idle(wait_ms=None):
                assert list(self._neglected()) == [], "nothing stops these"
            case Probe():
                closed_until = self.model.gates[said.account].closed_until
                assert closed_until is not None
                assert closed_until <= self.now
                assert not self.model.gates[said.account].operator
                self.probes.append(said.account)
            case Batch():
                return self._take(said)
        return None

    def _neglected(self) -> Iterator[Name]:
        """What waits although nothing stops it."""
        for profile, number in self.model.names(State.queued):
            account = self.model.profiles[profile].account
            gates = self.model.gates[account]
            running = sum(lease.batch.account == account for lease in self.model.leases.values())
            cap = 1 if gates.half_open else ACCOUNTS[account].max_concurrency
            if not (self.model.stops[profile].stopped or gates.operator or running >= cap):
                yield profile, number

    def _take(self, batch: Batch) -> Held:
        """A batch may be as it is, and becomes ours."""
        model, rule_of, gates = self.model, self.model.profiles[batch.profile], self.model.gates[batch.account]
        running = [lease.batch for lease in model.leases.values() if lease.batch.account == batch.account]
        numbers = [leased.number for leased in batch.numbers]
        assert 0 < len(numbers) <= rule_of.max_size
        assert len(set(numbers)) == len(numbers)
        assert not {leased.number for other in running for leased in other.numbers} & set(numbers)
        assert (batch.account, batch.fingerprint) == (rule_of.account, rule_of.fingerprint)
        assert not model.stops[batch.profile].stopped
        assert not gates.operator
        assert gates.closed_until is None
        assert batch.half_open == gates.half_open
        assert len(running) < (1 if gates.half_open else ACCOUNTS[batch.account].max_concurrency)
        for leased in batch.numbers:
            self._is_as_known(batch, leased)
        model.claim(batch, LEASE_MS)
        self.held.append(Held(batch))
        return self.held[-1]

    def _is_as_known(self, batch: Batch, leased: Leased) -> None:
        entry = self.model.entries[batch.profile, leased.number]
        assert entry.state is State.queued
        assert entry.not_before <= self.now
        assert (leased.attempts, leased.crashes) == (entry.attempts, entry.crashes)
        assert leased.forced or not entry.forced
        assert leased.forced or not entry.doubt or leased.verify == "d"
        assert leased.attached_under == entry.attached_under

    def send(self, held: Held, whole: str, fates: Sequence[str]) -> None:
        batch, model = held.batch, self.model
        found = tuple(leased.number for leased in batch.numbers if self.api.proves(batch, leased))
        numbers = [leased.number for leased in batch.numbers if leased.number not in found]
        if not numbers:
            held.found = found
            return
        lease = model.leases[batch.id]
        try:
            while wait_s := self.store.permit(batch.id, batch.account, len(numbers)):
                self.tick(math.ceil(wait_s * 1000))
        except LeaseLost:
            assert lease.ends <= self.now
            return
        assert lease.ends > self.now
        model.sent(batch, len(numbers))
        held.sent, held.found, held.whole = True, found, whole
        held.told = dict(zip(numbers, cycle(fates) if whole == "each" else cycle([whole]), strict=False))
        for number, fate in held.told.items():
            self.api.call(batch, number, fate.endswith("done"), self.now)
        self.tick(1)  # a call takes its time, so that a later one is later

    def settle(self, held: Held) -> None:
        said = self._settlement(held)
        ours = held.batch.id in self.model.leases
        before = None if ours else self.everything()
        assert self.store.settle(held.batch.id, said) is ours
        if ours:
            self.model.settle(held.batch, said, self.now)
            self._is_over(held)
            assert self._nobody_waits_for(held.batch)
        else:
            assert self.everything() == before, "a stale settle changed something"

    def _settlement(self, held: Held) -> Settlement:
        later = self.now + 2_000
        lone = len(held.batch.numbers) == 1
        others, refused = [], None
        for number, fate in held.told.items():
            match fate:
                case "refused":
                    others.append(Other(number, "retry", later, code="http_503"))
                case "doubt, done" | "doubt, lost":
                    others.append(Other(number, "verify", later, code="timeout"))
                case "gate":
                    others.append(Other(number, "back"))
                case "split" if not lone:
                    others.append(Other(number, "split", code="http_400"))
                case "dead" | "split":
                    others.append(Other(number, "dead", dead_code="rejected_by_api", code="http_400"))
                    refused = RefusedAlike("400 BAD", (number,), "bad") if lone else None
        return Settlement(
            held.batch.fingerprint,
            attached=(*held.found, *(number for number, fate in held.told.items() if fate == "done")),
            others=tuple(others),
            absent=tuple(n.number for n in held.batch.numbers if (held.batch.account, n.number) not in self.api.last),
            healthy=held.sent and held.whole == "each",
            gate=Gate(30_000, "401") if held.whole == "gate" else None,
            refused=refused,
        )

    def _nobody_waits_for(self, batch: Batch) -> bool:
        """Profiles that waited for a number of this batch may go when it ends."""
        others = ((p, leased.number) for leased in batch.numbers for p in PROFILES if p != batch.profile)
        return all(
            (entry.next_attempt_ms or 0) <= self.model.entries[entry.profile, entry.number].not_before
            for entry in reading.entries(self.store, others)
            if entry.state is State.queued and PROFILES[entry.profile].account == batch.account
        )

    def _is_over(self, held: Held) -> None:
        self.held.remove(held)
        self.over.append(held)

    def reap(self) -> None:
        reaped = self.store.reap(MOST_REAPED)
        assert (reaped.batches, reaped.numbers) == self.model.reap(self.now, MOST_REAPED)
        for held in [held for held in self.held if held.batch.id not in self.model.leases]:
            self._is_over(held)
            assert self._nobody_waits_for(held.batch)

    def probe(self, account: str, fine: bool) -> None:
        self.store.probed(account, ok=fine, reason="401", closed_ms=20_000)
        self.model.probed(account, fine, self.now + 20_000)

    def _open_everything(self) -> None:
        for account in ACCOUNTS:
            self.store.resume_account(account)
            self.model.resume_account(account, self.now)
        for profile in PROFILES:
            self.store.resume_profile(profile)
            self.model.stops[profile].operator = self.model.stops[profile].api = self.model.stops[profile].gone = False
        self.store.publish(self.model.policies(), whole=True)
        self.tick(self.latest - self.now + LEASE_MS)  # every lease ends
        self.reap()

    def _wrong_directions(self) -> Iterator[str]:
        """Directions that somebody other than their owner configured last."""
        for (account, number), route in self.model.routes.items():
            for direction, (since, owner) in route.items():
                entry = self.model.entries.get((owner, number))
                if entry is None or entry.state is not State.attached:
                    continue
                last = self.api.last.get((account, number), {}).get(direction, ("nobody", 0))[0]
                if last != owner and not self._outranks(route, last, owner, since):
                    yield f"{direction} of {number} belongs to {owner}, and {last} configured it last"

    @staticmethod
    def _outranks(route: dict[str, tuple[int, str]], last: str, owner: str, since: int) -> bool:
        """Two profiles that send both directions and own one each: the one with the newer event goes last."""
        newest = max((at for at, other in route.values() if other == last), default=-1)
        both = last in PROFILES and PROFILES[last].directions == PROFILES[owner].directions == "io"
        return both and newest >= since

    def everything(self) -> dict[bytes, bytes]:
        """The whole keyspace."""
        keys: list[bytes] = sorted(self.raw.keys())  # type: ignore[arg-type]  # it reads bytes
        with self.raw.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.dump(key)
            return dict(zip(keys, pipe.execute(), strict=True))
