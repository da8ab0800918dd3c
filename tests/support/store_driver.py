"""One store on a real server, driven beside a model of it and a stand-in of the API; every step compares the two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Literal

import redis

from support.store_audit import found_at_once, found_in_slices
from support.store_comparing import differences, sight
from support.store_model import ACCOUNTS, FUTURE_MS, MAX_WAITING, NUMBERS, OPEN, PROFILES, Model, Name, configuration
from trunkline.lifecycle import State
from trunkline.store import Store, queries
from trunkline.store.client import LeaseLost
from trunkline.store.model import (
    Batch,
    Disposition,
    Entry,
    Idle,
    Leased,
    OpenBreaker,
    Probe,
    ProfilePolicy,
    RefusedAlike,
    Settlement,
    Trouble,
)
from trunkline.store.registry import Registration

START = 1_790_000_000_000
LEASE_MS = 60_000
TTL_MS = 15_000
SILENT_MS = 60_000  # longer than any worker may be silent
STEP_MS = 2_000
LONGEST_WAIT_MS = 1_000  # of a profile here
MOST_REAPED = 16
MOST_CLAIMS_TO_REST = 400
Configuration = tuple[tuple[str, ProfilePolicy], ...]


def directions_under(fingerprint: str) -> str:
    """What a call under this fingerprint configures; the tests' fingerprints say it."""
    return fingerprint.rpartition("-")[2]


def may_have_arrived(batch: Batch) -> bool:
    """Of every other batch whose call failed as a whole, nobody knows."""
    count, _, _ = batch.id.partition("-")
    return int(count) % 2 == 0


@dataclass(slots=True)
class Held:
    """A batch as its worker sees it; `told` is what it will say in the settle."""

    batch: Batch
    sent: bool = False
    found: tuple[str, ...] = ()
    told: dict[str, str] = field(default_factory=dict)
    whole: str = "each"


class Api:
    """Which profile configured which direction of a number last, when, and under which fingerprint.

    Its clock never steps back.
    """

    def __init__(self) -> None:
        self.now = START
        self.last: dict[tuple[str, str], dict[str, tuple[str, int, str]]] = {}
        self.called: set[Name] = set()

    def call(self, batch: Batch, number: str, processed: bool) -> None:
        self.called.add((batch.profile, number))
        if processed:
            for direction in directions_under(batch.fingerprint):
                self.last.setdefault((batch.account, number), {})[direction] = (
                    batch.profile,
                    self.now,
                    batch.fingerprint,
                )

    def proves(self, batch: Batch, leased: Leased, now: int) -> bool:
        """Whether a worker that reads back would find the number attached and not send."""
        there = self.last.get((batch.account, leased.number), {})
        mine = [there.get(direction) for direction in directions_under(batch.fingerprint)]
        if leased.forced or not leased.verify or None in mine:
            return False
        if leased.verify == "check":
            return leased.attached_under == batch.fingerprint
        sent_at = self.now - (now - (leased.sent_ms or 0))
        return leased.known_absent or all(at >= sent_at for _, at, _ in filter(None, mine))


class Fleet:
    """Worker processes, each with a configuration; which of them the store takes for living; whose policies count."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.running: dict[str, Registration] = {}
        self.carries: dict[str, Configuration] = {}  # by worker, also of those that are gone
        self.order: list[Configuration] = []  # as they came
        self.lives_until: dict[str, int] = {}
        self.last_beat: int | None = None
        self.turn = 0

    def start(self, what: Configuration, now: int) -> str:
        worker = f"w{len(self.carries)}"
        self.carries[worker] = what
        if what not in self.order:
            self.order.append(what)
        self.running[worker] = Registration(self.store, configuration(dict(what)), worker=worker, ttl_ms=TTL_MS)
        self._heard(worker, now)
        self.running[worker].join()
        return worker

    def stop(self, worker: str) -> None:
        self._heard(worker, self._now())
        self.running.pop(worker).leave()
        del self.lives_until[worker]

    def kill(self, worker: str) -> None:
        del self.running[worker]

    def beat(self) -> None:
        """Every process says that it lives; twice, so that the first hears of those that the last found gone."""
        for worker in [*self.running, *self.running]:
            self._heard(worker, self._now())
            self.running[worker].beat()

    def act_as(self, which: int) -> str:
        """The store claims as one of the processes from now on."""
        worker = list(self.running)[which % len(self.running)]
        self.store.worker, self.store.digest = worker, self.running[worker].digest
        return worker

    def is_living(self, worker: str) -> bool:
        return self.lives_until.get(worker, 0) > self._now()

    def policies(self) -> dict[str, ProfilePolicy]:
        """Of each profile that a living worker carries, the policy of the newest configuration."""
        living = {self.carries[worker] for worker in self.lives_until if self.is_living(worker)}
        found: dict[str, ProfilePolicy] = {}
        for what in (each for each in self.order if each in living):
            found |= dict(what)
        return found

    def _heard(self, worker: str, now: int) -> None:
        silent = self.last_beat is not None and (now - self.last_beat > SILENT_MS or self.last_beat - now > STEP_MS)
        if silent:
            self.lives_until = dict.fromkeys(self.lives_until, now + TTL_MS)
        else:
            self.lives_until = {each: until for each, until in self.lives_until.items() if until > now}
        self.lives_until[worker] = now + TTL_MS
        self.last_beat = now

    def _now(self) -> int:
        assert self.store.now_ms is not None
        return self.store.now_ms


class Driver:
    """Moves of the store that need more than a call: each does the same to the model and checks what comes back."""

    def __init__(self, store: Store, raw: redis.Redis) -> None:
        super().__init__()
        raw.config_set("maxmemory", "0")
        raw.flushdb()
        self.store, self.raw = store, raw
        self.store.max_waiting = MAX_WAITING
        self.model, self.api = Model(self._is_contended), Api()
        self.held: list[Held] = []
        self.over: list[Held] = []
        self.probes: list[str] = []
        self.moved_at: dict[str, int] = {}  # by the clock of the API
        self.full = False
        self.now = self.latest = START
        self.jitter_ms = 0  # what is due may be so late once the clock went back by no more than jitter does
        self.store.worker = self.store.digest = ""
        self.tick(0)
        self.store.versions()
        self.fleet = Fleet(store)
        self.fleet.start(tuple(PROFILES.items()), self.now)

    # -- processes and configurations

    def heartbeat(self) -> None:
        """Everybody beats, and the policies are those of who lives."""
        self.fleet.beat()
        for profile, rule in self.fleet.policies().items():
            old = self.model.profiles[profile]
            if (old.account, old.directions) != (rule.account, rule.directions):
                self.moved_at[profile] = self.api.now
            self.model.publish(profile, rule)
        if self.latest > self.now:
            self.jitter_ms = STEP_MS + LONGEST_WAIT_MS
            self._follow_the_clock()

    def start(self, what: Configuration) -> str:
        worker = self.fleet.start(what, self.now)
        self.heartbeat()
        return worker

    def stop(self, which: int) -> None:
        worker = list(self.fleet.running)[which % len(self.fleet.running)]
        self.fleet.stop(worker)
        self.heartbeat()

    def kill(self, worker: str) -> None:
        """It dies, and a process with the same configuration takes its place."""
        what = self.fleet.carries[worker]
        self.fleet.kill(worker)
        if not self.fleet.running:
            self.fleet.start(what, self.now)

    def set_full(self, full: bool) -> None:
        """Out of memory, or not any more."""
        self.raw.config_set("maxmemory", "1" if full else "0")
        self.full = full

    def _follow_the_clock(self) -> None:
        """The clock stepped back: nothing waits longer for it than a minute."""
        if self.latest - self.now > STEP_MS:
            self.latest = self.now
        for entry in self._entries():
            known = self.model.entries[entry.profile, entry.number]
            if known.state is State.queued and entry.next_attempt_ms is None:
                known.not_before = 0
            elif known.state is State.queued and entry.next_attempt_ms is not None:
                assert entry.next_attempt_ms <= max(known.not_before, self.latest + LEASE_MS)
                if self.latest == self.now:
                    assert entry.next_attempt_ms <= self.now + LEASE_MS, "the clock stepped back, and it waits for it"
                known.not_before = min(known.not_before, entry.next_attempt_ms)
        for book in queries.books(self.store).accounts:
            gates = self.model.gates[book.account]
            if gates.closed_until is not None and book.retry_at_ms is not None:
                assert self.latest > self.now or book.retry_at_ms <= self.now + FUTURE_MS
                gates.closed_until = min(gates.closed_until, book.retry_at_ms)
        if self.latest == self.now:
            next_lease_ms = self.store.look(8).next_lease_ms or 0
            assert next_lease_ms <= LEASE_MS, "the clock stepped back, and a lease waits for it"
            for lease in self.model.leases.values():
                lease.ends = min(lease.ends, self.now + LEASE_MS)

    def come_to_rest(self) -> None:
        """With nothing in the way all open numbers are tried, the calls end, and the owner of a direction is last."""
        self._open_everything()
        for _ in range(MOST_CLAIMS_TO_REST):
            self.heartbeat()
            said = self.store.claim(LEASE_MS)
            self._follow_claim()
            self.follow()
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
        else:
            raise AssertionError("the store does not come to rest")
        assert self.model.names(*OPEN) == [], "tried, every one of them"
        wrong = list(self._wrong_directions())
        assert wrong == [], wrong
        wrong = found_in_slices(self.store)
        assert wrong == [], wrong
        self._log_is_whole()
        self._books_are_read_right()

    def check(self) -> None:
        """The audit finds nothing, and entries and books are the model's."""
        self.follow()
        slack = self.latest - self.now + self.jitter_ms
        wrong = found_at_once(self.store, slack) + differences(sight(self.store), self.model)
        assert wrong == [], wrong

    def tick(self, ms: int) -> None:
        self.now += ms
        self.latest = max(self.latest, self.now)
        self.api.now += max(0, ms)
        self.store.now_ms = self.now

    def states(self) -> dict[Name, State]:
        return sight(self.store).states

    def _entries(self) -> list[Entry]:
        every = ((profile, number) for profile in PROFILES for number in NUMBERS)
        return list(queries.entries(self.store, every))

    def _is_contended(self, name: Name) -> bool:
        return bool(self.store._client.hget(f"{self.store.prefix}entry:{name[0]}:{name[1]}", "x"))

    def _log_is_whole(self) -> None:
        """Whoever reads the log of ends from its beginning knows of everything that has ended."""
        after = 0
        told: dict[Name, State] = {}
        while page := queries.outcomes(self.store, after, most=5):
            after = page[-1].sequence
            told |= {(each.entry.profile, each.entry.number): each.entry.state for each in page}
        assert told == {n: entry.state for n, entry in self.model.entries.items() if entry.state not in OPEN}

    def _books_are_read_right(self) -> None:
        books = queries.books(self.store)
        assert {book.profile: book.counts for book in books.profiles} == {p: self.model.tally(p) for p in PROFILES}
        assert books.balanced
        assert books.events == {name: self.model.events[name] for name in ("accepted", "duplicate", "rejected")}
        assert books.calls == {name: self.model.calls[name] for name in ("attach", "numbers")}

    def follow(self) -> None:
        """What the store decides by itself: who goes again after a call of another profile, and who stays attached."""
        seen = sight(self.store)
        states = seen.states
        restored, self.model.restored = self.model.restored, []
        for name, could_stay in restored:
            if could_stay and self.model.entries[name].state is State.queued and states.get(name) is State.attached:
                self.model.stayed_attached(name)
        for name, state in states.items():
            entry = self.model.entries.get(name)
            goes = state in (State.queued, State.attaching)  # a claim that sends it again may take it at once
            if entry and entry.state is State.attached and goes and self._was_overwritten(name):
                entry.state, entry.forced, entry.not_before = State.queued, True, 0
            if entry and entry.check and self._was_overwritten(name):
                entry.check = seen.entries[name].get("v") == "c"  # or an event found that it has to go in any case
                entry.forced = entry.forced or not entry.check

    def _was_overwritten(self, name: Name) -> bool:
        """A call of another profile for it may have gone out: on whichever account, also if its worker only crashed."""
        return any((other, name[1]) in self.api.called for other in PROFILES if other != name[0])

    def _follow_claim(self) -> None:
        """What a claim does besides: after an edit it looks anew at who owns the numbers that it comes by."""
        states = self.states()
        for profile in sorted(self.model.moved):
            self._follow_claim_anew(profile, states)
        for profile in sorted(PROFILES.keys() - self.model.moved) if self.model.moved else ():
            self._follow_claim_anew(profile, states, only_owners=True)
        for profile, stops in self.model.stops.items():
            if stops.canary and not self._awaits_canary(profile) and not self._canary_of(profile):
                stops.canary = ""  # it was cancelled, say; a claim that comes by forgets it

    def _follow_claim_anew(self, profile: str, states: dict[Name, State], *, only_owners: bool = False) -> None:
        """`only_owners`: of a profile that was not edited itself, only what another owner tells counts."""
        account = self.model.profiles[profile].account
        for number in NUMBERS:
            entry = self.model.entries.get((profile, number))
            there = profile in self._claimants(account, number)
            if entry is None or entry.state is not State.queued or not there:
                continue
            claims = self.model.claims.get((account, number), {})
            among = [(other, number) for other in {*claims, profile} if (other, number) in states]
            changed = [name for name in among if self._differs(name, states)]
            if only_owners:
                changed = [
                    name for name in changed if State.superseded in {states[name], self.model.entries[name].state}
                ]
            if profile not in claims or changed:
                self.model.claim_anew(profile, number, self.now)

    def _canary_of(self, profile: str) -> str:
        return str(self.store._client.hget(f"{self.store.prefix}policy:{profile}", "cw") or "")

    def _differs(self, name: Name, states: dict[Name, State]) -> bool:
        """Whether the claim did more to an entry than to lease it."""
        known = self.model.entries[name].state
        return states[name] is not known and not (known is State.queued and states[name] is State.attaching)

    def _claimants(self, account: str, number: str) -> set[str]:
        texts = self.store._client.hmget(f"{self.store.prefix}route:{account}:{number}", ["i", "o", "h"])
        lines = [line for text in texts if text for line in str(text).split("\n")]
        return {line.partition(" ")[2] for line in lines}

    def claim(self, patient: bool, which: int = 0) -> Held | None:
        self.heartbeat()
        self.fleet.act_as(which)
        nothing_seen = self.store.look(8).claimable == 0
        said = self.store.claim(LEASE_MS)
        self._follow_claim()
        assert not nothing_seen or isinstance(said, Idle)
        if patient and isinstance(said, Idle) and said.wait_ms is not None:
            self.tick(said.wait_ms)
            self.heartbeat()
            said = self.store.claim(LEASE_MS)
            self._follow_claim()
        self.follow()
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
        """What waits although nothing stops it, of what this worker carries."""
        carried = dict(self.fleet.carries[self.store.worker])
        for profile, number in self.model.names(State.queued):
            rule, stops = self.model.profiles[profile], self.model.stops[profile]
            gates = self.model.gates[rule.account]
            running = sum(lease.batch.account == rule.account for lease in self.model.leases.values())
            cap = 1 if gates.half_open else ACCOUNTS[rule.account].max_concurrency
            stopped = stops.stopped or gates.operator or running >= cap or self._awaits_canary(profile)
            if not stopped and profile in carried and carried[profile].fingerprint == rule.fingerprint:
                yield profile, number

    def _awaits_canary(self, profile: str) -> bool:
        canary = self.model.entries.get((profile, self.model.stops[profile].canary))
        return canary is not None and canary.state in OPEN

    def _take(self, batch: Batch) -> Held:
        """A batch may be as it is, and becomes ours."""
        model, rule_of, gates = self.model, self.model.profiles[batch.profile], self.model.gates[batch.account]
        carried = dict(self.fleet.carries[self.store.worker])
        running = [lease.batch for lease in model.leases.values() if lease.batch.account == batch.account]
        numbers = [leased.number for leased in batch.numbers]
        assert 0 < len(numbers) <= rule_of.max_size
        assert len(set(numbers)) == len(numbers)
        assert not {leased.number for other in running for leased in other.numbers} & set(numbers)
        assert (batch.account, batch.fingerprint) == (rule_of.account, rule_of.fingerprint)
        assert carried[batch.profile].fingerprint == batch.fingerprint, "a worker gets what it carries"
        assert not model.stops[batch.profile].stopped
        assert not gates.operator
        assert gates.closed_until is None
        assert batch.half_open == gates.half_open
        assert len(running) < (1 if gates.half_open else ACCOUNTS[batch.account].max_concurrency)
        if self._awaits_canary(batch.profile):
            assert numbers == [model.stops[batch.profile].canary], "nothing goes before the canary"
        for leased in batch.numbers:
            self._is_as_known(batch, leased)
        model.claim(batch, LEASE_MS, self.store.worker)
        self.held.append(Held(batch))
        return self.held[-1]

    def _is_as_known(self, batch: Batch, leased: Leased) -> None:
        entry = self.model.entries[batch.profile, leased.number]
        assert entry.state is State.queued
        assert entry.not_before <= self.now
        assert (leased.attempts, leased.crashes) == (entry.attempts, entry.crashes)
        assert leased.forced or not entry.forced
        assert leased.forced or not entry.doubt or leased.verify == "in_doubt"
        assert leased.attached_under == entry.attached_under

    def send(self, held: Held, whole: str, fates: Sequence[str]) -> None:
        batch, model = held.batch, self.model
        found = tuple(leased.number for leased in batch.numbers if self.api.proves(batch, leased, self.now))
        numbers = [leased.number for leased in batch.numbers if leased.number not in found]
        if not numbers:
            held.found = found
            return
        lease, absent = model.leases[batch.id], self._absent(batch)
        try:
            while wait_s := self.store.permit(batch.id, batch.account, len(numbers), absent):
                self.tick(math.ceil(wait_s * 1000))
        except LeaseLost:
            assert lease.ends <= self.now
            return
        assert lease.ends > self.now
        model.sent(batch, len(numbers), self.now)
        held.sent, held.found, held.whole = True, found, whole
        held.told = dict(zip(numbers, cycle(fates) if whole == "each" else cycle([whole]), strict=False))
        for number, fate in held.told.items():
            self.api.call(batch, number, fate.endswith("done"))
        self.tick(1)  # a call takes its time, so that a later one is later

    def settle(self, held: Held) -> None:
        said = self._settlement(held)
        ours = held.batch.id in self.model.leases
        before = None if ours else self.everything()
        assert self.store.settle(held.batch.id, said) is ours
        if ours:
            self.model.settle(held.batch, said, self.now)
            self._follow_canary(held.batch.profile)
            self._is_over(held)
            assert self._nobody_waits_for(held.batch)
            self.follow()
        else:
            assert self.everything() == before, "a stale settle changed something"

    def _settlement(self, held: Held) -> Settlement:
        later = self.now + 2_000
        lone = len(held.batch.numbers) == 1
        others, refused = [], None
        for number, fate in held.told.items():
            match fate:
                case "refused":
                    others.append(Disposition(number, "retry", later, code="http_503"))
                case "doubt, done" | "doubt, lost":
                    others.append(Disposition(number, "in_doubt", later, code="timeout"))
                case "gate":
                    others.append(Disposition(number, "released"))
                case "trouble":
                    kind: Literal["retry", "in_doubt"] = "in_doubt" if may_have_arrived(held.batch) else "retry"
                    others.append(Disposition(number, kind, later, code="http_503", free=True))
                case "split" if not lone:
                    others.append(Disposition(number, "split", code="http_400"))
                case "dead" | "split":
                    others.append(Disposition(number, "dead", dead_code="rejected_by_api", code="http_400"))
                    refused = RefusedAlike("400 BAD", (number,), "bad") if lone else None
        return Settlement(
            held.batch.fingerprint,
            attached=(*held.found, *(number for number, fate in held.told.items() if fate == "done")),
            dispositions=tuple(others),
            absent=self._absent(held.batch),
            healthy=held.sent and held.whole == "each",
            breaker=OpenBreaker(30_000, "401") if held.whole == "gate" else None,
            trouble=self._trouble(held) if held.whole == "trouble" else None,
            refused=refused,
        )

    def _absent(self, batch: Batch) -> tuple[str, ...]:
        return tuple(n.number for n in batch.numbers if (batch.account, n.number) not in self.api.last)

    def _trouble(self, held: Held) -> Trouble:
        paid = Disposition(held.batch.numbers[0].number, "retry", self.now + 2_000, code="http_503")
        return Trouble("503", 20_000, paid if len(held.batch.numbers) == 1 else None)

    def _follow_canary(self, profile: str) -> None:
        """Whom the store asks about a profile under suspicion."""
        if self.model.stops[profile].canary == "?":
            self.model.asked_canary(profile, self._canary_of(profile))

    def _nobody_waits_for(self, batch: Batch) -> bool:
        """Profiles that waited for a number of this batch may go when it ends."""
        stayed = PROFILES.keys() - self.model.moved - {batch.profile}  # who moved may wait elsewhere
        others = ((p, leased.number) for leased in batch.numbers for p in sorted(stayed))
        return all(
            (entry.next_attempt_ms or 0) <= self.model.entries[entry.profile, entry.number].not_before
            for entry in queries.entries(self.store, others)
            if entry.state is State.queued and self.model.profiles[entry.profile].account == batch.account
        )

    def _is_over(self, held: Held) -> None:
        self.held.remove(held)
        self.over.append(held)

    def reap(self) -> None:
        reaped = self.store.reap(MOST_REAPED)
        assert (reaped.batches, reaped.numbers) == self.model.reap(self.now, MOST_REAPED, self.fleet.is_living)
        for held in [held for held in self.held if held.batch.id not in self.model.leases]:
            self._is_over(held)
            assert self._nobody_waits_for(held.batch)
            self.api.called |= {(held.batch.profile, leased.number) for leased in held.batch.numbers}
        self.follow()

    def probe(self, account: str, fine: bool) -> None:
        self.store.probed(account, open_ms=0 if fine else 20_000, reason="401")
        self.model.probed(account, fine, self.now + 20_000)

    def _open_everything(self) -> None:
        if self.full:
            self.set_full(False)
        for account in ACCOUNTS:
            self.store.resume_account(account)
            self.model.resume_account(account, self.now)
        for profile in PROFILES:
            self.store.resume_profile(profile)
            self.model.resume_profile(profile)
        self.start(tuple(self.model.profiles.items()))  # one worker that carries everything, and nobody else
        while len(self.fleet.running) > 1:
            self.stop(0)
        self.tick(max(0, self.latest - self.now) + LEASE_MS)  # every lease ends
        self.heartbeat()
        self.tick(TTL_MS)  # and who was killed is missed
        self.heartbeat()
        self.fleet.act_as(0)
        self.reap()

    def _wrong_directions(self) -> Iterator[str]:
        """Directions that a profile with an older event configured after their owner did.

        What was attached before an edit stays as it was until somebody asks for it again, also where the edit took its
        profile away and another one brought it back.
        """
        for (account, number), claims in self.model.claims.items():
            for direction, (last, at, under) in self.api.last.get((account, number), {}).items():
                owner = self.model.owner(account, number, direction)
                entry = self.model.entries.get((owner or "", number))
                if owner is None or entry is None or entry.state is not State.attached:
                    continue
                now = self.model.profiles[owner].fingerprint
                if entry.attached_under != now or self.moved_at.get(owner, 0) > at:
                    continue  # an edit alone sends nothing again
                if owner == last and under != now:
                    yield f"{direction} of {number} is {under} on {account}, and said to be {now}"
                if owner != last and self._newest(last, number) < claims[owner]:
                    yield f"{direction} of {number} belongs to {owner}, and {last} configured it last"

    def _newest(self, profile: str, number: str) -> float:
        """The claim of a profile on whichever account it has taken it to; one that has none wants nothing."""
        return max((claims.get(profile, 0) for (_, n), claims in self.model.claims.items() if n == number), default=0)

    def everything(self) -> dict[bytes, bytes]:
        """The whole keyspace."""
        keys: list[bytes] = sorted(self.raw.keys())  # type: ignore[arg-type]  # it reads bytes
        with self.raw.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.dump(key)
            return dict(zip(keys, pipe.execute(), strict=True))
