"""The state machine that drives the store's scripts on a real server: what may happen, in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import cycle

import pytest
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.store_driver import LEASE_MS, Configuration, Driver, Held
from support.store_model import ACCOUNTS, CLOSED, DAY_MS, FUTURE_MS, NUMBERS, PROFILES, Name, rule_of
from trunkline.events.intake import Delivery
from trunkline.lifecycle import Refusal, RefusalCode, State
from trunkline.store import Store, StoreUnavailable
from trunkline.store.client import LeaseLost

# What the API does to a number of a call, and what the worker learns of it.
FATES = ("done", "done", "done", "refused", "doubt, done", "doubt, lost", "dead", "untold, done", "untold, lost")
REFUSED = Refusal("+1", RefusalCode.invalid_number, "too short")
DELIVERIES = st.builds(
    lambda source, event, occurred, force, profiles, numbers, refused: Delivery(
        source, f"evt_{event}", occurred, "", force, tuple(zip(cycle(profiles), numbers)), refused
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
WHOLES = st.sampled_from(("each",) * 6 + ("gate", "split", "trouble", "trouble"))
SOME_NAMES = st.lists(st.tuples(st.sampled_from(tuple(PROFILES)), st.sampled_from(NUMBERS)), min_size=0, max_size=4)


class StoreMachine(RuleBasedStateMachine):
    """Every rule does one thing to the store and to the model; every step ends with the invariants."""

    def __init__(self, store: Store, raw: redis.Redis) -> None:
        super().__init__()
        self.driver = Driver(store, raw)
        self.store, self.model = store, self.driver.model
        self.fresh = 0
        self.sound = True  # false while a rule runs, and for good once something is wrong

    # -- events

    @rule(deliveries=st.lists(DELIVERIES, min_size=1, max_size=3))
    def push(self, deliveries: list[Delivery]) -> None:
        self.sound = False
        at_clock = [replace(d, occurred_ms=d.occurred_ms and self.driver.now + d.occurred_ms) for d in deliveries]
        self._push(at_clock)

    @rule(profile=st.sampled_from(tuple(PROFILES)), which=st.integers(0, 1), force=st.booleans())
    def push_one(self, profile: str, which: int, force: bool) -> None:
        """One of two numbers that every profile wants."""
        self.sound = False
        self._push_events(profile, NUMBERS[which : which + 1], force=force)

    def _push_events(self, profile: str, numbers: Iterable[str], *, force: bool = False) -> None:
        """One event for these numbers, newer than all before."""
        self.fresh += 1
        names = tuple((profile, number) for number in numbers)
        self._push([Delivery("api", f"evt_{self.fresh}", None, "", force, names, ())])

    def _push(self, deliveries: list[Delivery]) -> None:
        if self.driver.full:
            with pytest.raises(StoreUnavailable):
                self.store.push(deliveries)
        else:
            expected = [self.model.push(delivery, self.driver.now) for delivery in deliveries]
            assert self.store.push(deliveries) == expected
            self.driver.follow()

    @rule(full=st.sampled_from((False, False, True)))
    def memory(self, full: bool) -> None:
        """Nothing more goes in, and everything else goes on."""
        self.sound = False
        self.driver.set_full(full)

    @precondition(lambda self: not self.driver.full)
    @rule(which=WHICH, fates=SOME_FATES)
    def fill_up(self, which: int, fates: list[str]) -> None:
        """The server runs full during a call, which is settled all the same; what waits can be cancelled."""
        self.sound = False
        held = self.driver.claim(patient=True, which=which)
        self.driver.set_full(True)
        if held:
            self.driver.send(held, "each", fates)
            self.driver.settle(held)
        for name in self._with_one([], State.queued, which):
            self._cancel(name)
        self.driver.set_full(False)

    # -- workers

    @rule(patient=st.booleans(), which=WHICH)
    def claim(self, patient: bool, which: int) -> None:
        self.sound = False
        self.driver.claim(patient, which)

    @rule(whole=WHOLES, fates=SOME_FATES, which=WHICH)
    def work(self, whole: str, fates: list[str], which: int) -> None:
        """A worker's whole round, with nothing in between."""
        self.sound = False
        self._work(which, whole, fates)

    @precondition(lambda self: self.driver.held)
    @rule(which=WHICH, whole=WHOLES, fates=SOME_FATES)
    def send(self, which: int, whole: str, fates: list[str]) -> None:
        self.sound = False
        held = self.driver.held[which % len(self.driver.held)]
        if not held.sent:
            self.driver.send(held, whole, fates)

    @precondition(lambda self: self.driver.held)
    @rule(which=WHICH)
    def settle(self, which: int) -> None:
        self.sound = False
        self.driver.settle(self.driver.held[which % len(self.driver.held)])

    @precondition(lambda self: self.driver.over)
    @rule(which=WHICH, fates=SOME_FATES)
    def settle_stale(self, which: int, fates: list[str]) -> None:
        """A zombie: its batch was settled or taken up already."""
        self.sound = False
        held = self.driver.over[which % len(self.driver.over)]
        try:
            self.store.permit(held.batch.id, held.batch.account, len(held.batch.numbers))
        except LeaseLost:
            pass
        else:
            raise AssertionError("a batch that is over was given leave to send")
        self.driver.settle(held)

    @rule(sends=st.booleans(), fates=SOME_FATES)
    def crash(self, sends: bool, fates: list[str]) -> None:
        """A worker dies with a batch, and the lease runs out."""
        self.sound = False
        if held := self.driver.claim(patient=True):
            if sends:
                self.driver.send(held, "each", fates)
            self.driver.kill(self.store.worker)
            self.driver.tick(LEASE_MS)
            self.driver.heartbeat()
            self.driver.reap()

    @rule()
    def silence(self) -> None:
        """A worker that lives does not say in time what became of a batch."""
        self.sound = False
        if self.driver.claim(patient=True):
            self.driver.tick(LEASE_MS)
            self.driver.heartbeat()
            self.driver.reap()

    @rule(profile=st.sampled_from(tuple(PROFILES)), which=WHICH)
    def trouble(self, profile: str, which: int) -> None:
        """A profile's calls fail as a whole, and others of the account are answered in between."""
        self.sound = False
        account = self.model.profiles[profile].account
        others = [each for each, rule in self.model.profiles.items() if rule.account == account and each != profile]
        self._push_events(profile, NUMBERS[:3])
        self._work(which, "trouble", ["done"])
        self._push_events(others[0] if others else profile, NUMBERS[3:4])
        self._work(which, "each", ["done"])
        self.driver.tick(2_000)
        self._work(which, "trouble", ["done"])

    @rule(
        profile=st.sampled_from(tuple(PROFILES)),
        which=WHICH,
        answered=st.sampled_from((True, True, False)),
        to_the_end=st.booleans(),
    )
    def refuse(self, profile: str, which: int, answered: bool, to_the_end: bool) -> None:
        """The API refuses what a profile sends, mostly after it took a number of it, maybe until that is under way."""
        self.sound = False
        if answered:
            self._push_events(profile, NUMBERS[:1])
            self.driver.come_to_rest()
        self._push_events(profile, NUMBERS[1:5])
        for _ in range(8):
            if self.model.stops[profile].canary and not to_the_end:
                self.driver.claim(patient=True, which=which)
                break
            self._work(which, "split", ["done"])

    @rule(one=st.sampled_from(("both", "other")), other=st.sampled_from(("in", "out")), which=WHICH, fates=SOME_FATES)
    def share(self, one: str, other: str, which: int, fates: list[str]) -> None:
        """A number that a profile has for both directions goes to another for one of them, whose call may fail."""
        self.sound = False
        number = NUMBERS[which % len(NUMBERS)]
        self._push_events(one, [number])
        self._work(0, "each", ["done"])
        self._push_events(other, [number])
        self._work(0, "each", fates)
        for _ in range(2):
            self._work(0, "each", ["done"])

    def _work(self, which: int, whole: str, fates: list[str]) -> Held | None:
        if held := self.driver.claim(patient=True, which=which):
            self.driver.send(held, whole, fates)
            self.driver.settle(held)
        return held

    @rule()
    def reap(self) -> None:
        self.sound = False
        self.driver.reap()

    # -- the clock

    @rule(ms=st.sampled_from((1, 100, 500, 1_000, 5_000, LEASE_MS // 2, LEASE_MS, DAY_MS, 3 * DAY_MS)))
    def clock_goes_on(self, ms: int) -> None:
        self.sound = False
        self.driver.tick(ms)
        self.driver.heartbeat()

    @rule(ms=st.integers(1, 5_000) | st.just(3_600_000))
    def clock_steps_back(self, ms: int) -> None:
        self.sound = False
        self.driver.heartbeat()
        self.driver.tick(-ms)
        self.driver.heartbeat()

    @rule()
    def clock_steps_an_hour_ahead(self) -> None:
        self.sound = False
        self.driver.tick(3_600_000)
        self.driver.heartbeat()

    @rule(profile=st.sampled_from(tuple(PROFILES)), which=WHICH)
    def clock_is_put_right(self, profile: str, which: int) -> None:
        """It stood an hour ahead while a number was put off and a call began."""
        self.sound = False
        self.driver.tick(3_600_000)
        self.driver.heartbeat()
        self._push_events(profile, NUMBERS)
        self._work(which, "each", ["refused"])
        self.driver.claim(patient=True, which=which)
        self.driver.tick(-3_600_000)
        self.driver.heartbeat()

    # -- gates

    @rule(account=st.sampled_from(tuple(ACCOUNTS)), pause=st.booleans())
    def operate_account(self, account: str, pause: bool) -> None:
        self.sound = False
        if pause:
            assert self.store.pause_account(account, "maintenance")
            self.model.gates[account].operator = True
        else:
            assert self.store.resume_account(account)
            self.model.resume_account(account, self.driver.now)

    @rule(profile=st.sampled_from(tuple(PROFILES)), pause=st.booleans())
    def operate_profile(self, profile: str, pause: bool) -> None:
        self.sound = False
        stops = self.model.stops[profile]
        if pause:
            assert self.store.pause_profile(profile, "maintenance")
        else:
            assert self.store.resume_profile(profile)
            self.model.resume_profile(profile)
        stops.operator = pause

    @precondition(lambda self: self.driver.probes)
    @rule(fine=st.booleans())
    def probe_answers(self, fine: bool) -> None:
        self.sound = False
        self.driver.probe(self.driver.probes.pop(), fine)

    # -- configurations

    @rule(
        profile=st.sampled_from(tuple(PROFILES)),
        version=st.sampled_from(("f0", "f1")),
        account=st.sampled_from((*ACCOUNTS, "alpha")),
        directions=st.sampled_from(("i", "o", "io")),
        alone=st.booleans(),
    )
    def deploy(self, profile: str, version: str, account: str, directions: str, alone: bool) -> None:
        """A process starts with an edited profile, beside the others or in their place."""
        self.sound = False
        old = PROFILES[profile]
        edited = rule_of(account, old.max_size, old.max_wait_ms, directions, version)
        self._start(tuple({**self.model.profiles, profile: edited}.items()), alone)

    @rule(
        profile=st.sampled_from(tuple(PROFILES)),
        version=st.sampled_from(("f0", "f1")),
        account=st.sampled_from(tuple(ACCOUNTS)),
        directions=st.sampled_from(("i", "o", "io")),
        fates=SOME_FATES,
    )
    def roll_out(self, profile: str, version: str, account: str, directions: str, fates: list[str]) -> None:
        """A profile is edited after a call: a process comes beside the others, and all of them ask for work of it."""
        self.sound = False
        self._push_events(profile, NUMBERS[:2])
        if held := self._work(0, "each", fates):
            profile = held.batch.profile
        old = PROFILES[profile]
        edited = rule_of(account, old.max_size, old.max_wait_ms, directions, version)
        self._start(tuple({**self.model.profiles, profile: edited}.items()), alone=False)
        self._push_events(profile, NUMBERS[:2])
        for which in range(len(self.driver.fleet.running)):
            self._work(which, "each", ["done"])

    @rule(profile=st.sampled_from(tuple(PROFILES)), alone=st.booleans())
    def deploy_without(self, profile: str, alone: bool) -> None:
        """A process starts whose configuration lacks a profile: nobody else's business."""
        self.sound = False
        self._start(tuple(each for each in self.model.profiles.items() if each[0] != profile), alone)

    @rule(one=st.sampled_from(tuple(PROFILES)), other=st.sampled_from(tuple(PROFILES)))
    def swap(self, one: str, other: str) -> None:
        """Two profiles exchange account and directions."""
        self.sound = False
        first, second = self.model.profiles[one], self.model.profiles[other]
        swapped = {
            one: rule_of(second.account, first.max_size, first.max_wait_ms, second.directions),
            other: rule_of(first.account, second.max_size, second.max_wait_ms, first.directions),
        }
        self._start(tuple({**self.model.profiles, **swapped}.items()), alone=True)

    @rule(which=WHICH)
    def restart_an_old_one(self, which: int) -> None:
        """A host that was left behind starts with what it had."""
        self.sound = False
        known = self.driver.fleet.order
        self._start(known[which % len(known)], alone=False)

    @precondition(lambda self: len(self.driver.fleet.running) > 1)
    @rule(which=WHICH)
    def stop_worker(self, which: int) -> None:
        self.sound = False
        self.driver.stop(which)

    def _start(self, what: Configuration, alone: bool) -> None:
        before = list(self.driver.fleet.running)
        self.driver.start(what)
        while alone and before:
            before.pop()
            self.driver.stop(0)

    # -- operators

    @rule(names=SOME_NAMES, which=WHICH)
    def replay(self, names: list[Name], which: int) -> None:
        self.sound = False
        names = self._with_one(names, State.dead, which)
        assert self.store.replay(names) == self.model.replay(names)

    @rule(names=SOME_NAMES, which=WHICH)
    def drop_dead(self, names: list[Name], which: int) -> None:
        self.sound = False
        for name in self._with_one(names, State.dead, which):
            expected = self.model.drop(name, State.dead, self.driver.now)
            assert self.store.drop_dead([name]) == expected
            self.driver.follow()

    @rule(names=SOME_NAMES, which=WHICH)
    def cancel(self, names: list[Name], which: int) -> None:
        self.sound = False
        for name in self._with_one(names, State.queued, which):
            self._cancel(name)

    @rule(one=st.sampled_from(tuple(PROFILES)), other=st.sampled_from(tuple(PROFILES)), which=WHICH, fates=SOME_FATES)
    def take_back(self, one: str, other: str, which: int, fates: list[str]) -> None:
        """A number goes to one profile, then to another, which is cancelled in the middle of its call."""
        self.sound = False
        number = NUMBERS[which % len(NUMBERS)]
        self._push_events(one, [number])
        self._work(0, "each", ["done"])
        self._push_events(other, [number])
        if held := self.driver.claim(patient=True):
            self.driver.send(held, "each", fates)
            for leased in held.batch.numbers:
                self._cancel((held.batch.profile, leased.number))
            self.driver.settle(held)

    def _cancel(self, name: Name) -> None:
        expected = self.model.drop(name, State.queued, self.driver.now)
        assert self.store.cancel([name]) == expected
        self.driver.follow()

    def _with_one(self, names: list[Name], state: State, which: int) -> list[Name]:
        """These names, and one that is in this state for certain."""
        there = self.model.names(state)
        return [*names, there[which % len(there)]] if there else names

    @rule(days=st.integers(0, 2), later=st.booleans())
    def archive(self, days: int, later: bool) -> None:
        self.sound = False
        self.driver.tick((days + 1) * DAY_MS if later else 0)
        self.driver.heartbeat()
        archived, looked_at = self.store.archive(days)
        more, looked_at_again = self.store.archive(days)
        assert looked_at_again <= looked_at
        archived += more
        kept_ms = self.driver.now - days * DAY_MS
        for entry in self.model.entries.values():
            if entry.closed_ms > self.driver.now + FUTURE_MS:
                entry.closed_ms = self.driver.now  # the clock stood ahead: it counts from now on
        old = [name for name in self.model.names(*CLOSED) if self.model.entries[name].closed_ms <= kept_ms]
        there = self.driver.states()
        gone = [name for name in self.model.entries if name not in there]
        assert len(gone) == archived
        assert set(gone) <= set(old)
        for name in gone:
            self.model.let_go(name)

    # -- the end

    @rule()
    def settle_down(self) -> None:
        self.sound = False
        self.driver.come_to_rest()

    def teardown(self) -> None:
        if self.sound:
            self.settle_down()
            self.holds()

    @invariant()
    def holds(self) -> None:
        self.driver.check()
        self.sound = True
