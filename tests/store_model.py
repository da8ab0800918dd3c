"""What the store must do, told again in plain Python: states, routes, attempts and books, without a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from trunkline.intake import Delivery
from trunkline.store.model import AccountRule, Batch, Policies, ProfilePolicy, Pushed, Settlement
from trunkline.words import RefusalCode, State

DAY_MS = 86_400_000
MOST_WAITING = 20  # small enough that a run of the machine meets queue_full now and then
ALIKE = 3  # so many lone numbers refused alike pause a profile

ACCOUNTS = {"alpha": AccountRule(2, 0), "beta": AccountRule(1, 250.0)}
PROFILES = {
    "both": ProfilePolicy("alpha", 4, 1000, "f0", "io", False),
    "other": ProfilePolicy("alpha", 2, 300, "f0", "io", False),
    "in": ProfilePolicy("alpha", 3, 0, "f0", "i", False),
    "out": ProfilePolicy("alpha", 5, 500, "f0", "o", False),
    "far": ProfilePolicy("beta", 3, 200, "f0", "io", False),
}
NUMBERS = tuple(f"+1415555010{n}" for n in range(6))
Name = tuple[str, str]  # profile, number
CLOSED = (State.attached, State.superseded, State.dropped)


@dataclass(slots=True)
class Entry:
    """One number under one profile.

    `doubt`: its last request may or may not have been processed; `check`: it was attached, and only that is to be seen;
    `left_a_place`: its cancelled check may still have a place among what waits, until a claim comes by.
    """

    state: State
    closed_ms: int = 0
    attempts: int = 0
    crashes: int = 0
    forced: bool = False
    doubt: bool = False
    check: bool = False
    left_a_place: bool = False
    wish: State | None = None
    again: Literal["", "again", "forced"] = ""
    leased_under: str = ""
    attached_under: str = ""
    not_before: int = 0


@dataclass(slots=True)
class Lease:
    """A batch under way."""

    batch: Batch
    ends: int
    sent: bool = False


@dataclass(slots=True)
class Gates:
    """What stops an account's calls."""

    operator: bool = False
    closed_until: int | None = None
    half_open: bool = False


@dataclass(slots=True)
class Stops:
    """What stops a profile's calls, and what leads up to it."""

    operator: bool = False
    api: bool = False
    gone: bool = False
    good: str = ""  # the fingerprint that had a success
    alike: list[str] = field(default_factory=list)

    @property
    def stopped(self) -> bool:
        return self.operator or self.api or self.gone


class Model:
    """The books as they must be. Every method takes what the machine did, and `now` in ms."""

    def __init__(self) -> None:
        self.profiles = dict(PROFILES)
        self.entries: dict[Name, Entry] = {}
        self.routes: dict[tuple[str, str], dict[str, tuple[int, str]]] = {}
        self.seen: set[tuple[str, str]] = set()
        self.leases: dict[str, Lease] = {}
        self.gates = {name: Gates() for name in ACCOUNTS}
        self.stops = {name: Stops() for name in PROFILES}
        self.contended: set[Name] = set()  # more than one profile sends to it: a read-back proves nothing
        self.counts: Counter[tuple[str, str]] = Counter()  # (profile, accepted | coalesced | archived)
        self.events: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def policies(self) -> Policies:
        """The configuration of a worker: what is not gone."""
        return Policies(ACCOUNTS, {p: rule for p, rule in self.profiles.items() if not self.stops[p].gone})

    def names(self, *states: State) -> list[Name]:
        return sorted(name for name, entry in self.entries.items() if entry.state in states)

    def tally(self, profile: str) -> dict[str, int]:
        """The profile's counters, counted from the entries."""
        found = Counter(entry.state.value for (p, _), entry in self.entries.items() if p == profile)
        kept = {name: self.counts[profile, name] for name in ("accepted", "coalesced", "archived")}
        return {**{state.value: found[state.value] for state in State}, **kept}

    # -- events

    def push(self, delivery: Delivery, now: int) -> Pushed:
        key = (delivery.source, delivery.event_id)
        if key in self.seen and not delivery.force:
            self.events["duplicate"] += 1
            return Pushed(True, 0, 0, ())
        if len(self.names(State.queued)) + len(delivery.numbers) > MOST_WAITING:
            self.events["rejected"] += 1
            return Pushed(False, 0, 0, tuple((i, RefusalCode.queue_full) for i in range(len(delivery.numbers))))
        unknown = [i for i, (profile, _) in enumerate(delivery.numbers) if profile not in self.profiles]
        clean = not unknown and not delivery.refused
        self.events["accepted" if clean else "rejected"] += 1
        if clean:
            self.seen.add(key)
        good = [name for i, name in enumerate(delivery.numbers) if i not in unknown]
        joined = sum(self._take(name, delivery, now) for name in good)
        return Pushed(False, len(good), joined, tuple((i, RefusalCode.unknown_profile) for i in unknown))

    def _take(self, name: Name, delivery: Delivery, now: int) -> bool:
        at = now if delivery.occurred_ms is None else min(delivery.occurred_ms, now)
        owns = self._route(name, at, now)
        self.counts[name[0], "accepted"] += 1
        entry = self.entries.get(name)
        if entry is None:
            state = State.queued if owns else State.superseded
            self.entries[name] = Entry(state, closed_ms=now, forced=delivery.force)
            return False
        self.counts[name[0], "coalesced"] += 1
        if owns:
            self._join(name, entry, delivery.force)
        return True

    def _join(self, name: Name, entry: Entry, force: bool) -> None:
        if entry.state is State.attaching:
            entry.wish = None
            if force:
                entry.again = "forced"
            elif entry.leased_under != self.profiles[name[0]].fingerprint:
                entry.again = entry.again or "again"
            return
        if entry.state is not State.queued:
            entry.forced = entry.state in (State.superseded, State.dropped)
            entry.doubt = entry.doubt and not entry.forced
            entry.check = entry.state is State.attached or (entry.check and not entry.forced)
            entry.state, entry.attempts, entry.crashes, entry.not_before = State.queued, 0, 0, 0
        entry.forced = entry.forced or force

    def _route(self, name: Name, at: int, now: int) -> bool:
        """The newest event of a direction wins, of equals the later arrival. Whether this one wins any."""
        profile, number = name
        route = self.routes.setdefault((self.profiles[profile].account, number), {})
        owns, losers = False, set()
        for direction in self.profiles[profile].directions:
            since, owner = route.get(direction, (at, profile))
            if owner == profile or since <= at:
                owns = True
                route[direction] = (max(at, since) if owner == profile else at, profile)
                losers.add(owner)
        for loser in losers - {profile}:
            if loser not in (owner for _, owner in route.values()):
                self._supersede((loser, number), now)
        met = losers | {route[direction][1] for direction in self.profiles[profile].directions}
        rivals = (met & {owner for _, owner in route.values()}) - {profile}
        if rivals:
            self.contended |= {
                (profile, number),
                *((each, number) for each in rivals if (each, number) in self.entries),
            }
        return owns

    def _supersede(self, name: Name, now: int) -> None:
        entry = self.entries.get(name)
        if entry is None:
            return
        if entry.state is State.attaching:
            entry.wish = State.superseded
        elif entry.state in (State.queued, State.attached, State.dead):
            entry.state, entry.closed_ms = State.superseded, now

    # -- batches

    def claim(self, batch: Batch, lease_ms: int) -> None:
        self.leases[batch.id] = Lease(batch, batch.now_ms + lease_ms)
        for leased in batch.numbers:
            entry = self.entries[batch.profile, leased.number]
            entry.state, entry.leased_under, entry.not_before = State.attaching, batch.fingerprint, 0

    def sent(self, batch: Batch, numbers: int) -> None:
        self.leases[batch.id].sent = True
        self.calls["attach"] += 1
        self.calls["numbers"] += numbers

    def settle(self, batch: Batch, said: Settlement, now: int) -> None:
        lease = self.leases.pop(batch.id)
        told = {o.number: (str(o.kind), o.at_ms) for o in said.others} | dict.fromkeys(said.attached, ("attached", 0))
        untold = ("verify", now) if lease.sent else ("back", 0)
        success = False
        for leased in batch.numbers:
            name = (batch.profile, leased.number)
            kind, at = told.get(leased.number, untold)
            success = success or (kind == "attached" and self.entries[name].wish is not State.superseded)
            self._settle_one(name, kind, at, said.fingerprint, now)
        self._settle_gate(batch.account, said, now)
        self._settle_alike(batch.profile, said, success)

    def _settle_one(self, name: Name, kind: str, at: int, fingerprint: str, now: int) -> None:
        entry = self.entries[name]
        again, wish = entry.again, entry.wish
        if wish is State.superseded or (wish is State.dropped and kind != "attached"):
            check = entry.check and name not in self.contended and kind in ("verify", "back")
            ended = State.attached if check and wish is State.dropped else wish
            self.entries[name] = Entry(ended, now, attached_under=entry.attached_under)
            return
        match kind:
            case "attached":
                state = State.queued if again else State.attached
                forced = again == "forced"
                self.entries[name] = Entry(state, now, forced=forced, check=bool(again), attached_under=fingerprint)
            case "retry" | "verify":
                entry.attempts, entry.crashes, entry.doubt = entry.attempts + 1, 0, kind == "verify"
                entry.check = False
                entry.forced, entry.again = entry.forced or again == "forced", ""
                entry.state, entry.not_before = State.queued, at
            case "dead":
                entry.attempts, entry.crashes, entry.again = 0 if again else entry.attempts + 1, 0, ""
                entry.forced, entry.check = again == "forced", False
                entry.state = State.queued if again else State.dead
            case _:
                entry.crashes = 0 if kind == "back" else entry.crashes
                entry.forced, entry.again = entry.forced or again == "forced", ""
                entry.state, entry.not_before = State.queued, at

    def _settle_gate(self, account: str, said: Settlement, now: int) -> None:
        if said.gate:
            self._close(account, now + said.gate.ms)
        elif said.healthy:
            self.gates[account].half_open = False

    def _settle_alike(self, profile: str, said: Settlement, success: bool) -> None:
        stops = self.stops[profile]
        if success and stops.good != said.fingerprint:
            stops.good, stops.alike = said.fingerprint, []
        elif (
            said.refused
            and stops.good != said.fingerprint
            and self.profiles[profile].fingerprint == said.fingerprint
            and said.refused.number not in stops.alike
        ):
            stops.alike.append(said.refused.number)
            if len(stops.alike) == ALIKE:
                stops.api = True
                self.replay((profile, number) for number in stops.alike)
                stops.alike = []

    def reap(self, now: int, most: int) -> tuple[int, int]:
        """Batches and numbers taken up."""
        ended = sorted((lease.ends, id_) for id_, lease in self.leases.items() if lease.ends <= now)[:most]
        return len(ended), sum(self._take_up(self.leases.pop(id_), now) for _, id_ in ended)

    def _take_up(self, lease: Lease, now: int) -> int:
        open_entries = []
        for leased in lease.batch.numbers:
            name = (lease.batch.profile, leased.number)
            entry = self.entries[name]
            if entry.wish:
                self.entries[name] = Entry(entry.wish, now, attached_under=entry.attached_under)
                continue
            entry.forced, entry.again = entry.forced or entry.again == "forced", ""
            entry.doubt, entry.check = entry.doubt or lease.sent, entry.check and not lease.sent
            entry.crashes += 1
            entry.state = State.queued
            open_entries.append(entry)
        if len(open_entries) == 1 and open_entries[0].crashes >= 3:
            open_entries[0].state = State.dead
        return len(open_entries)

    # -- what operators do, and the API's gate

    def _close(self, account: str, until: int) -> None:
        gates = self.gates[account]
        gates.closed_until, gates.half_open = max(gates.closed_until or 0, until), False

    def resume_account(self, account: str, now: int) -> None:
        gates = self.gates[account]
        gates.operator = False
        if gates.closed_until is not None:
            gates.closed_until = now

    def probed(self, account: str, ok: bool, until: int) -> None:
        if ok:
            self.gates[account].closed_until, self.gates[account].half_open = None, True
        else:
            self._close(account, until)

    def replay(self, names: Iterable[Name]) -> int:
        replayed = 0
        for name in names:
            entry = self.entries.get(name)
            if entry and entry.state is State.dead:
                entry.state, entry.attempts, entry.crashes = State.queued, 0, 0
                replayed += 1
        return replayed

    def drop(self, names: Iterable[Name], state: State, now: int) -> tuple[int, int]:
        """Dropped from this state, and marked because they were under way (a cancel only)."""
        dropped = marked = 0
        for name in names:
            entry = self.entries.get(name)
            if entry and entry.state is state:
                stays = state is State.queued and entry.check and name not in self.contended
                to = State.attached if stays else State.dropped
                self.entries[name] = Entry(to, now, attached_under=entry.attached_under, left_a_place=stays)
                dropped += 1
            elif entry and entry.state is State.attaching and state is State.queued and not entry.wish:
                entry.wish, entry.again = State.dropped, ""
                marked += 1
        return dropped, marked

    def let_go(self, name: Name) -> None:
        """The archive took an entry: it stays counted, and owns nothing any more."""
        profile, number = name
        del self.entries[name]
        self.contended.discard(name)
        self.counts[profile, "archived"] += 1
        route = self.routes[self.profiles[profile].account, number]
        for direction in [d for d, (_, owner) in route.items() if owner == profile]:
            del route[direction]

    def publish(self, profile: str, rule: ProfilePolicy) -> None:
        if rule.fingerprint != self.profiles[profile].fingerprint:
            self.stops[profile].api, self.stops[profile].alike = False, []
        self.profiles[profile] = rule
