"""The state machine that drives the store's scripts on a real server, beside a model of them and a stand-in of the API."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle

import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from store_model import ACCOUNTS, CLOSED, DAY_MS, MOST_WAITING, NUMBERS, PROFILES, Model, Name
from trunkline.intake import Delivery
from trunkline.store import Store, reading
from trunkline.store.client import LeaseLost
from trunkline.store.model import Batch, Gate, Idle, Leased, Other, Probe, RefusedAlike, Settlement
from trunkline.words import Refusal, RefusalCode, State

START = 1_790_000_000_000
LEASE_MS = 60_000
MOST_REAPED = 16
MOST_CLAIMS_TO_REST = 400

# What the API does to a number of a call, and what the worker learns of it.
FATES = ("done", "done", "done", "refused", "doubt, done", "doubt, lost", "dead", "untold, done", "untold, lost")
REFUSED = Refusal("+1", RefusalCode.invalid_number, "too short")
DELIVERIES = st.builds(
    lambda source, event, occurred, force, profiles, numbers, refused: (
        Delivery(source, f"evt_{event}", occurred, "", force, tuple(zip(cycle(profiles), numbers)), refused)  # noqa: B905
    ),
    source=st.sampled_from(("crm", "csv")),
    event=st.integers(0, 20),
    occurred=st.none() | st.integers(-9_000, 3_000) | st.sampled_from((-DAY_MS, -4 * DAY_MS)),  # against the clock
    force=st.sampled_from((False,) * 7 + (True,)),
    profiles=st.lists(st.sampled_from((*PROFILES, *PROFILES, "nobody")), min_size=1, max_size=2),
    numbers=st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=6, unique=True),
    refused=st.sampled_from(((),) * 9 + ((REFUSED,),)),
)
WHICH = st.integers(0, 7)
SOME_FATES = st.lists(st.sampled_from(FATES), min_size=1, max_size=4)
WHOLES = st.sampled_from(("each",) * 6 + ("gate", "split"))
SOME_NAMES = st.lists(st.tuples(st.sampled_from(tuple(PROFILES)), st.sampled_from(NUMBERS)), min_size=0, max_size=4)


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


class StoreMachine(RuleBasedStateMachine):
    """Every rule does one thing to the store and to the model; every step ends with the invariants."""

    def __init__(self, store: Store, raw: redis.Redis) -> None:
        super().__init__()
        raw.flushdb()
        self.store, self.raw = store, raw
        self.store.max_waiting = MOST_WAITING
        self.model, self.api = Model(), Api()
        self.held: list[Held] = []
        self.over: list[Held] = []
        self.probes: list[str] = []
        self.fresh = 0
        self.now = self.latest = START
        self.sound = True  # false while a rule runs, and for good once something is wrong
        self._tick(0)

    @initialize()
    def configure(self) -> None:
        self.store.publish(self.model.policies(), whole=True)

    # -- events

    @rule(deliveries=st.lists(DELIVERIES, min_size=1, max_size=3))
    def push(self, deliveries: list[Delivery]) -> None:
        self.sound = False
        at_clock = [replace(d, occurred_ms=d.occurred_ms and self.now + d.occurred_ms) for d in deliveries]
        expected = [self.model.push(delivery, self.now) for delivery in at_clock]
        assert self.store.push(at_clock) == expected

    @rule(profile=st.sampled_from(tuple(PROFILES)), which=st.integers(0, 1), force=st.booleans())
    def push_one(self, profile: str, which: int, force: bool) -> None:
        """One of two numbers that every profile wants."""
        self.sound = False
        self.fresh += 1
        delivery = Delivery("api", f"evt_{self.fresh}", None, "", force, ((profile, NUMBERS[which]),), ())
        expected = self.model.push(delivery, self.now)
        assert self.store.push([delivery]) == [expected]

    # -- workers

    @rule(patient=st.booleans())
    def claim(self, patient: bool) -> None:
        self.sound = False
        self._claim(patient)

    @rule(whole=WHOLES, fates=SOME_FATES)
    def work(self, whole: str, fates: list[str]) -> None:
        """A worker's whole round, with nothing in between."""
        self.sound = False
        if held := self._claim(patient=True):
            self._send(held, whole, fates)
            self._settle(held)

    @precondition(lambda self: self.held)
    @rule(which=WHICH, whole=WHOLES, fates=SOME_FATES)
    def send(self, which: int, whole: str, fates: list[str]) -> None:
        self.sound = False
        held = self.held[which % len(self.held)]
        if not held.sent:
            self._send(held, whole, fates)

    @precondition(lambda self: self.held)
    @rule(which=WHICH)
    def settle(self, which: int) -> None:
        self.sound = False
        self._settle(self.held[which % len(self.held)])

    @precondition(lambda self: self.over)
    @rule(which=WHICH, fates=SOME_FATES)
    def settle_stale(self, which: int, fates: list[str]) -> None:
        """A zombie: its batch was settled or taken up already."""
        self.sound = False
        held = self.over[which % len(self.over)]
        try:
            self.store.permit(held.batch.id, held.batch.account, len(held.batch.numbers))
        except LeaseLost:
            pass
        else:
            raise AssertionError("a batch that is over was given leave to send")
        self._settle(held)

    @rule(sends=st.booleans(), fates=SOME_FATES)
    def crash(self, sends: bool, fates: list[str]) -> None:
        """A worker dies with a batch, and the lease runs out."""
        self.sound = False
        if held := self._claim(patient=True):
            if sends:
                self._send(held, "each", fates)
            self._tick(LEASE_MS)
            self._reap()

    @rule()
    def reap(self) -> None:
        self.sound = False
        self._reap()

    # -- the clock

    @rule(ms=st.sampled_from((1, 100, 500, 1_000, 5_000, LEASE_MS // 2, LEASE_MS, DAY_MS, 3 * DAY_MS)))
    def clock_goes_on(self, ms: int) -> None:
        self.sound = False
        self._tick(ms)

    @rule(ms=st.integers(1, 5_000))
    def clock_steps_back(self, ms: int) -> None:
        self.sound = False
        self._tick(-ms)

    # -- gates

    @rule(account=st.sampled_from(tuple(ACCOUNTS)), pause=st.booleans())
    def operate_account(self, account: str, pause: bool) -> None:
        self.sound = False
        if pause:
            assert self.store.pause_account(account, "maintenance")
            self.model.gates[account].operator = True
        else:
            assert self.store.resume_account(account)
            self.model.resume_account(account, self.now)

    @rule(profile=st.sampled_from(tuple(PROFILES)), pause=st.booleans())
    def operate_profile(self, profile: str, pause: bool) -> None:
        self.sound = False
        stops = self.model.stops[profile]
        if pause:
            assert self.store.pause_profile(profile, "maintenance")
        else:
            assert self.store.resume_profile(profile)
            stops.api = False
        stops.operator = pause

    @precondition(lambda self: self.probes)
    @rule(fine=st.booleans())
    def probe_answers(self, fine: bool) -> None:
        self.sound = False
        self._probe(self.probes.pop(), fine)

    @rule(profile=st.sampled_from(tuple(PROFILES)), fingerprint=st.sampled_from(("f0", "f1")), gone=st.booleans())
    def publish(self, profile: str, fingerprint: str, gone: bool) -> None:
        self.sound = False
        self.model.stops[profile].gone = gone
        if not gone:
            self.model.publish(profile, replace(PROFILES[profile], fingerprint=fingerprint))
        self.store.publish(self.model.policies(), whole=True)

    # -- operators

    @rule(names=SOME_NAMES, which=WHICH)
    def replay(self, names: list[Name], which: int) -> None:
        self.sound = False
        names = self._with_one(names, State.dead, which)
        assert self.store.replay(names) == self.model.replay(names)

    @rule(names=SOME_NAMES, which=WHICH)
    def drop_dead(self, names: list[Name], which: int) -> None:
        self.sound = False
        names = self._with_one(names, State.dead, which)
        assert self.store.drop_dead(names) == self.model.drop(names, State.dead, self.now)[0]

    @rule(names=SOME_NAMES, which=WHICH)
    def cancel(self, names: list[Name], which: int) -> None:
        self.sound = False
        names = self._with_one(names, State.queued, which)
        assert self.store.cancel(names) == self.model.drop(names, State.queued, self.now)

    def _with_one(self, names: list[Name], state: State, which: int) -> list[Name]:
        """These names, and one that is in this state for certain."""
        there = self.model.names(state)
        return [*names, there[which % len(there)]] if there else names

    @rule(days=st.integers(0, 2), later=st.booleans())
    def archive(self, days: int, later: bool) -> None:
        self.sound = False
        self._tick((days + 1) * DAY_MS if later else 0)
        keep_from = self.now // DAY_MS - days
        archived, looked_at = self.store.archive(keep_from)
        assert self.store.archive(keep_from)[1] <= looked_at
        old = [name for name in self.model.names(*CLOSED) if self.model.entries[name].closed_ms // DAY_MS < keep_from]
        there = self._states()
        gone = [name for name in old if name not in there]
        assert len(gone) == archived
        kept = [name for name in old if name in there]
        assert all(there[name] is not State.attached for name in kept), "what was attached long ago is archived"
        for name in gone:
            self.model.let_go(name)

    # -- the end

    @rule()
    def come_to_rest(self) -> None:
        """Invariant 7: with nothing in the way, every open number is tried, and the owner of a direction has the last word."""
        self.sound = False
        self._open_everything()
        for _ in range(MOST_CLAIMS_TO_REST):
            said = self.store.claim(LEASE_MS)
            if isinstance(said, Idle) and said.wait_ms is None:
                break
            match said:
                case Idle():
                    self._tick(max(1, said.wait_ms or 0))
                case Probe():
                    self._probe(said.account, fine=True)
                case Batch():
                    held = self._take(said)
                    self._send(held, "each", ["done"])
                    self._settle(held)
                    self._follow()
        else:
            raise AssertionError("the store does not come to rest")
        assert self.model.names(State.queued, State.attaching) == [], "tried, every one of them"
        assert list(self._wrong_directions()) == []

    def teardown(self) -> None:
        if self.sound:
            self.come_to_rest()
            self.holds()

    # -- what holds after every step

    @invariant()
    def holds(self) -> None:
        self._follow()
        assert self.store.audit(self.latest - self.now) == []
        assert self._states() == {name: entry.state for name, entry in self.model.entries.items()}
        books = reading.books(self.store)
        assert {book.profile: book.counts for book in books.profiles} == {p: self.model.tally(p) for p in PROFILES}
        assert books.balanced
        assert books.events == {name: self.model.events[name] for name in ("accepted", "duplicate", "rejected")}
        assert books.calls == {name: self.model.calls[name] for name in ("attach", "numbers")}
        self.sound = True

    # -- how

    def _tick(self, ms: int) -> None:
        self.now += ms
        self.latest = max(self.latest, self.now)
        self.store.now_ms = self.now

    def _states(self) -> dict[Name, State]:
        every = ((profile, number) for profile in PROFILES for number in NUMBERS)
        return {(entry.profile, entry.number): entry.state for entry in reading.entries(self.store, every)}

    def _follow(self) -> None:
        """The owner of a direction goes again after a call of another profile: the store decides when."""
        for name, state in self._states().items():
            entry = self.model.entries.get(name)
            if entry and entry.state is State.attached and state is State.queued and self._was_overwritten(name):
                entry.state, entry.forced = State.queued, True

    def _was_overwritten(self, name: Name) -> bool:
        account = PROFILES[name[0]].account
        return any((account, (other, name[1])) in self.api.called for other in PROFILES if other != name[0])

    def _claim(self, patient: bool) -> Held | None:
        nothing_seen = self.store.look(8).claimable == 0
        said = self.store.claim(LEASE_MS)
        assert not nothing_seen or isinstance(said, Idle)
        if patient and isinstance(said, Idle) and said.wait_ms is not None:
            self._tick(said.wait_ms)
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

    def _send(self, held: Held, whole: str, fates: Sequence[str]) -> None:
        batch, model = held.batch, self.model
        found = tuple(leased.number for leased in batch.numbers if self.api.proves(batch, leased))
        numbers = [leased.number for leased in batch.numbers if leased.number not in found]
        if not numbers:
            held.found = found
            return
        lease = model.leases[batch.id]
        try:
            while wait_s := self.store.permit(batch.id, batch.account, len(numbers)):
                self._tick(math.ceil(wait_s * 1000))
        except LeaseLost:
            assert lease.ends <= self.now
            return
        assert lease.ends > self.now
        model.sent(batch, len(numbers))
        held.sent, held.found, held.whole = True, found, whole
        held.told = dict(zip(numbers, cycle(fates) if whole == "each" else cycle([whole]), strict=False))
        for number, fate in held.told.items():
            self.api.call(batch, number, fate.endswith("done"), self.now)

    def _settle(self, held: Held) -> None:
        said = self._settlement(held)
        ours = held.batch.id in self.model.leases
        before = None if ours else self._everything()
        assert self.store.settle(held.batch.id, said) is ours
        if ours:
            self.model.settle(held.batch, said, self.now)
            self._is_over(held)
            assert self._nobody_waits_for(held.batch)
        else:
            assert self._everything() == before, "a stale settle changed something"

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
                    refused = RefusedAlike("400 BAD", number, "bad") if lone else None
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

    def _reap(self) -> None:
        reaped = self.store.reap(MOST_REAPED)
        assert (reaped.batches, reaped.numbers) == self.model.reap(self.now, MOST_REAPED)
        for held in [held for held in self.held if held.batch.id not in self.model.leases]:
            self._is_over(held)
            assert self._nobody_waits_for(held.batch)

    def _probe(self, account: str, fine: bool) -> None:
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
        self._tick(self.latest - self.now + LEASE_MS)  # every lease ends
        self._reap()

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

    def _everything(self) -> dict[bytes, bytes]:
        keys = sorted(self.raw.keys())  # type: ignore[arg-type,type-var]  # bytes: redis-py types it for async too
        with self.raw.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.dump(key)
            return dict(zip(keys, pipe.execute(), strict=True))
