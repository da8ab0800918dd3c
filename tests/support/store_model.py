"""What the store must do, told again in plain Python: states, claims, attempts and books, without a server."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from trunkline.events.intake import Delivery
from trunkline.lifecycle import RefusalCode, State
from trunkline.store.model import (
    AccountRule,
    Batch,
    Disposition,
    Dropped,
    Policies,
    ProfilePolicy,
    Pushed,
    Settlement,
)

DAY_MS = 86_400_000
FUTURE_MS = 60_000  # further ahead no time is believed
STEP_MS = 2_000  # so far back is no jitter of the clock
FORCED_MS = 60_000  # how long a forced event is remembered
MAX_WAITING = 20  # small enough that a run of the machine meets queue_full now and then
ALIKE = 3  # so many numbers refused alike put a profile to the test

ACCOUNTS = {"alpha": AccountRule(2, 0), "beta": AccountRule(1, 250.0)}
NUMBERS = tuple(f"+1415555010{n}" for n in range(6))
Name = tuple[str, str]  # profile, number
CLOSED = (State.attached, State.superseded, State.dropped)
OPEN = (State.queued, State.attaching)


def rule_of(account: str, size: int, wait_ms: int, directions: str, version: str = "f0") -> ProfilePolicy:
    """A policy whose fingerprint tells everything that is attached: version, account and directions."""
    return ProfilePolicy(account, size, wait_ms, f"{version}-{account}-{directions}", directions)


PROFILES = {
    "both": rule_of("alpha", 4, 1000, "io"),
    "other": rule_of("alpha", 2, 300, "io"),
    "in": rule_of("alpha", 3, 0, "i"),
    "out": rule_of("alpha", 5, 500, "o"),
    "far": rule_of("beta", 3, 200, "io"),
}


@dataclass(slots=True)
class Entry:
    """One number under one profile.

    `doubt`: its last request may or may not have been processed; `check`: it was attached, and only that is to be seen;
    `left_a_place`: its cancelled check may still have a place among what waits, until a claim comes by; `was`: the
    state it was superseded in; `troubled`: when its call last failed as a whole.
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
    was: State | None = None
    troubled: int | None = None


@dataclass(slots=True)
class Lease:
    """A batch under way."""

    batch: Batch
    ends: int
    worker: str
    directions: str
    sent: bool = False
    sent_ms: int = 0


@dataclass(slots=True)
class Gates:
    """What stops an account's calls."""

    operator: bool = False
    closed_until: int | None = None
    half_open: bool = False
    failed_in_a_row: int = 0
    answered_ms: int | None = None


@dataclass(slots=True)
class Stops:
    """What stops a profile's calls, and what leads up to it."""

    operator: bool = False
    api: bool = False
    good: str = ""  # the fingerprint that had a success
    latest: str = ""  # the number that had it
    refused_under: str = ""
    alike: set[str] = field(default_factory=set)
    canary: str = ""

    @property
    def stopped(self) -> bool:
        return self.operator or self.api

    def forget(self) -> None:
        self.refused_under, self.canary, self.alike = "", "", set()


class Model:
    """The books as they must be. Every method takes what the machine did, and `now` in ms.

    Where a choice is the store's to make, it is asked: `is_contended` says whether another profile sends a direction of
    an entry too.
    """

    def __init__(self, is_contended: Callable[[Name], bool]) -> None:
        self.is_contended = is_contended
        self.profiles = dict(PROFILES)
        self.moved: set[str] = set()  # whose directions or account ever changed
        self.entries: dict[Name, Entry] = {}
        self.claims: dict[tuple[str, str], dict[str, float]] = {}  # (account, number): profile: its newest event
        self.seen: set[tuple[str, str]] = set()
        self.forced: dict[tuple[str, str], int] = {}
        self.leases: dict[str, Lease] = {}
        self.gates = {name: Gates() for name in ACCOUNTS}
        self.stops = {name: Stops() for name in PROFILES}
        self.restored: list[tuple[Name, bool]] = []  # what got a direction back, and whether nothing was sent meanwhile
        self.counts: Counter[tuple[str, str]] = Counter()  # (profile, accepted | coalesced | archived)
        self.events: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def names(self, *states: State) -> list[Name]:
        return sorted(name for name, entry in self.entries.items() if entry.state in states)

    def tally(self, profile: str) -> dict[str, int]:
        """The profile's counters, counted from the entries."""
        found = Counter(entry.state.value for (p, _), entry in self.entries.items() if p == profile)
        kept = {name: self.counts[profile, name] for name in ("accepted", "coalesced", "archived")}
        return {**{state.value: found[state.value] for state in State}, **kept}

    # -- who wants a number

    def owner(self, account: str, number: str, direction: str) -> str | None:
        """Of the profiles that send this direction on this account, the one with the newest event."""
        claims = self.claims.get((account, number), {})
        wanting = [p for p in claims if self._sends(account, p, direction)]
        return max(wanting, key=lambda p: claims[p], default=None)

    def owns(self, account: str, profile: str, number: str) -> bool:
        return any(self.owner(account, number, direction) == profile for direction in "io")

    def _sends(self, account: str, profile: str, direction: str) -> bool:
        rule = self.profiles[profile]
        return rule.account == account and direction in rule.directions

    def align(self, account: str, number: str, now: int, but: str) -> None:
        """The entries of a number follow from who owns what; `but` is who asked and is dealt with elsewhere."""
        for profile in list(self.claims.get((account, number), {})):
            if profile == but or self.profiles[profile].account != account:
                continue
            if self.owns(account, profile, number):
                self._restore((profile, number), untouched=False)
            else:
                self._supersede((profile, number), now)

    def claim_anew(self, profile: str, number: str, now: int) -> None:
        """A profile that was edited claims its number again, on the account that it has now."""
        account = self.profiles[profile].account
        claims = self.claims.setdefault((account, number), {})
        if profile not in claims:
            elsewhere = [a for a in ACCOUNTS if profile in self.claims.get((a, number), {})]
            assert elsewhere, f"{profile} has no claim on {number}, on whichever account"
            newest = max(self.claims[a, number].pop(profile) for a in elsewhere)
            claims[profile] = free_time(claims, newest)
            entry = self.entries[profile, number]
            for each in elsewhere:
                self._give_back(each, number, untouched=not (entry.attempts or entry.doubt or entry.attached_under))
        self.align(account, number, now, but=profile)
        if not self.owns(account, profile, number):
            self._supersede((profile, number), now)

    def _supersede(self, name: Name, now: int) -> None:
        entry = self.entries.get(name)
        if entry is None:
            return
        if entry.state is State.attaching:
            entry.wish = State.superseded
        elif entry.state in (State.queued, State.attached, State.dead):
            entry.was, entry.state, entry.closed_ms = entry.state, State.superseded, now

    def _restore(self, name: Name, *, untouched: bool) -> bool:
        entry = self.entries.get(name)
        if entry is None:
            return False
        if entry.state is State.attaching and entry.wish is State.superseded:
            entry.wish = None
            return True
        if entry.state is not State.superseded:
            return False
        if entry.was is State.dead:
            entry.state = State.dead
        else:
            could_stay = entry.was is State.attached and untouched
            self.restored.append((name, could_stay))
            entry.state, entry.forced, entry.attempts, entry.crashes = State.queued, True, 0, 0
            entry.doubt = entry.check = False
            entry.not_before, entry.troubled = 0, None
        entry.was = None
        return True

    def stayed_attached(self, name: Name) -> None:
        """A restored entry was attached, and nothing was sent by whoever had it meanwhile."""
        entry = self.entries[name]
        entry.state, entry.forced = State.attached, False

    def _release(self, name: Name) -> int:
        """Somebody ended an entry by hand: its claim is gone. How many entries got something back."""
        profile, number = name
        given = 0
        for account in ACCOUNTS:
            claims = self.claims.get((account, number), {})
            if claims.pop(profile, None):
                given += self._give_back(account, number, untouched=True)
        return given

    def _give_back(self, account: str, number: str, *, untouched: bool) -> int:
        claims = self.claims[account, number]
        owners = [p for p in claims if self.profiles[p].account == account and self.owns(account, p, number)]
        return sum(self._restore((p, number), untouched=untouched) for p in owners)

    # -- events

    def push(self, delivery: Delivery, now: int) -> Pushed:
        key = (delivery.source, delivery.event_id)
        known = self.forced.get(key, now) > now if delivery.force else key in self.seen
        if known:
            self.events["duplicate"] += 1
            return Pushed(True, 0, 0, ())
        if len(self.names(State.queued)) + len(delivery.numbers) > MAX_WAITING:
            self.events["rejected"] += 1
            return Pushed(False, 0, 0, tuple((i, RefusalCode.queue_full) for i in range(len(delivery.numbers))))
        unknown = [i for i, (profile, _) in enumerate(delivery.numbers) if profile not in self.profiles]
        clean = not unknown and not delivery.refused
        self.events["accepted" if clean else "rejected"] += 1
        if clean and delivery.force:
            self.forced[key] = 2**62  # the server's clock decides, and it does not follow ours
        elif clean:
            self.seen.add(key)
        good = [name for i, name in enumerate(delivery.numbers) if i not in unknown]
        joined = sum(self._take(name, delivery, now) for name in good)
        return Pushed(False, len(good), joined, tuple((i, RefusalCode.unknown_profile) for i in unknown))

    def _take(self, name: Name, delivery: Delivery, now: int) -> bool:
        profile, number = name
        account = self.profiles[profile].account
        self._enter(account, name, None if delivery.occurred_ms is None else min(delivery.occurred_ms, now), now)
        self.align(account, number, now, but=profile)
        owns = self.owns(account, profile, number)
        self.counts[profile, "accepted"] += 1
        entry = self.entries.get(name)
        if entry is None:
            state = State.queued if owns else State.superseded
            self.entries[name] = Entry(state, closed_ms=now, forced=delivery.force)
            return False
        self.counts[profile, "coalesced"] += 1
        if owns:
            self._join(name, entry, delivery.force)
        return True

    def _enter(self, account: str, name: Name, at: int | None, now: int) -> None:
        """A claim as old as the event: the newest there is for one without a time; of equals the later arrival."""
        profile, number = name
        claims = self.claims.setdefault((account, number), {})
        for other in sorted(claims, key=lambda p: -claims[p]):
            if claims[other] > now + FUTURE_MS:
                claims[other] = -1
                claims[other] = free_time(claims, now if at is None else at)
        if at is not None and math.floor(claims.get(profile, at)) > at:
            return
        beaten = [since for other, since in claims.items() if other != profile]
        if at is not None:
            beaten = [since for since in beaten if math.floor(since) <= at]
        mine = max([now if at is None else at, *(round(since + 0.001, 3) for since in beaten)])
        claims[profile] = max(claims.get(profile, mine), mine)

    def _join(self, name: Name, entry: Entry, force: bool) -> None:
        if entry.state is State.attaching:
            entry.wish = None
            if force:
                entry.again = "forced"
            elif entry.leased_under != self.profiles[name[0]].fingerprint:
                entry.again = entry.again or "again"
            return
        if entry.state is not State.queued:
            sent_in_any_case = entry.state in (State.superseded, State.dropped)
            entry.forced = sent_in_any_case or (entry.forced and entry.state is State.dead)
            entry.doubt = entry.doubt and not sent_in_any_case
            entry.check = entry.state is State.attached or (entry.check and not sent_in_any_case)
            entry.state, entry.attempts, entry.crashes, entry.not_before = State.queued, 0, 0, 0
            entry.was = entry.troubled = None
        entry.forced = entry.forced or force

    # -- batches

    def claim(self, batch: Batch, lease_ms: int, worker: str) -> None:
        directions = self.profiles[batch.profile].directions
        self.leases[batch.id] = Lease(batch, batch.now_ms + lease_ms, worker, directions)
        for leased in batch.numbers:
            entry = self.entries[batch.profile, leased.number]
            edited = entry.leased_under not in {"", batch.fingerprint}
            entry.forced = entry.forced or (entry.doubt and edited)  # what is there may be of the call before the edit
            entry.state, entry.leased_under, entry.not_before = State.attaching, batch.fingerprint, 0

    def sent(self, batch: Batch, numbers: int, now: int) -> None:
        lease = self.leases[batch.id]
        lease.sent, lease.sent_ms = True, lease.sent_ms or now
        self.calls["attach"] += 1
        self.calls["numbers"] += numbers

    def settle(self, batch: Batch, said: Settlement, now: int) -> None:
        lease = self.leases.pop(batch.id)
        told = {o.number: o for o in said.dispositions}
        stops = self.stops[batch.profile]
        suspects = self._are_suspects(batch, said, told, now)
        several = len(batch.numbers) > 1
        attached: list[str] = []
        success = False
        canary, canary_said = stops.canary, ""
        for leased in batch.numbers:
            name = (batch.profile, leased.number)
            if leased.number in said.attached:
                outcome = Disposition(leased.number, "released", code="attached")
                kind = "attached"
            else:
                untold = Disposition(leased.number, "in_doubt" if lease.sent else "released", now if lease.sent else 0)
                outcome = told.get(leased.number, untold)
                kind = str(outcome.kind)
                if said.trouble and outcome.free and suspects and not several and said.trouble.paid:
                    outcome = said.trouble.paid
                    kind = str(outcome.kind)
                elif outcome.free and suspects and several:
                    kind = "halve"
            outcome = replace(outcome, at_ms=reckoned(outcome.at_ms, batch.now_ms, now))
            if leased.number == canary:
                canary_said = kind
            wish, tells = self.entries[name].wish, lease.sent or not self.entries[name].check
            success = success or (kind == "attached" and wish is not State.superseded and tells)
            if kind == "attached" and wish is not State.superseded and tells and not self.entries[name].again:
                attached.append(leased.number)
            refusal = kind == "dead" or (kind == "retry" and outcome.code == "api_failed")
            if leased.number == canary and refusal:
                canary_said = "refused"
            spared = leased.number == canary and refusal
            self._settle_one(name, lease, kind, outcome, fingerprint=said.fingerprint, now=now, spared=spared)
        self._settle_gate(lease, said, suspects, now)
        self._settle_alike(batch.profile, said, success, attached, canary_said)

    def _are_suspects(self, batch: Batch, said: Settlement, told: dict[str, Disposition], now: int) -> bool:
        answered = self.gates[batch.account].answered_ms
        if not said.trouble or answered is None or answered > now:
            return False
        failed = [
            self.entries[batch.profile, leased.number].troubled
            for leased in batch.numbers
            if leased.number in told and told[leased.number].free and not told[leased.number].unread
        ]
        return any(at is not None and at < answered for at in failed)

    def _settle_one(
        self, name: Name, lease: Lease, kind: str, said: Disposition, *, fingerprint: str, now: int, spared: bool
    ) -> None:
        entry = self.entries[name]
        again, wish = entry.again, entry.wish
        if wish is State.superseded or (wish is State.dropped and kind != "attached"):
            check = entry.check and not self.is_contended(name) and kind in ("in_doubt", "released")
            ended = State.attached if check and wish is State.dropped else wish
            was = None if wish is State.dropped else State.attached if kind == "attached" else State.queued
            under = fingerprint if kind == "attached" else entry.attached_under
            self.entries[name] = Entry(ended, now, attached_under=under, was=was)
            if ended is State.dropped:
                self._release(name)
            return
        if spared:
            kind, fingerprint = "attached", entry.attached_under
        match kind:
            case "attached":
                state = State.queued if again else State.attached
                forced = again == "forced"
                self.entries[name] = Entry(state, now, forced=forced, check=bool(again), attached_under=fingerprint)
            case "retry" | "in_doubt" | "halve":
                entry.attempts += 0 if said.free else 1
                entry.crashes = entry.crashes if kind == "halve" else 0
                entry.troubled = now if said.free else entry.troubled
                in_doubt = said.kind == "in_doubt"
                if lease.sent:
                    entry.doubt, entry.check = in_doubt, False
                elif in_doubt and not entry.check:
                    entry.doubt = True
                entry.forced, entry.again = entry.forced or again == "forced", ""
                entry.state, entry.not_before = State.queued, 0 if kind == "halve" else said.at_ms
            case "dead":
                entry.attempts, entry.crashes, entry.again = 0 if again else entry.attempts + 1, 0, ""
                entry.forced, entry.check, entry.doubt, entry.troubled = again == "forced", False, False, None
                entry.state = State.queued if again else State.dead
            case "split":
                entry.doubt, entry.check = entry.doubt and not lease.sent, entry.check and not lease.sent
                entry.forced, entry.again = entry.forced or again == "forced", ""
                entry.state, entry.not_before = State.queued, 0
            case _:
                entry.crashes = 0
                entry.forced, entry.again = entry.forced or again == "forced", ""
                entry.state, entry.not_before = State.queued, said.at_ms

    def _settle_gate(self, lease: Lease, said: Settlement, suspects: bool, now: int) -> None:
        account = lease.batch.account
        gates = self.gates[account]
        if said.breaker:
            self._close(account, now + said.breaker.ms)
        elif said.trouble and not suspects:
            gates.failed_in_a_row += 1
            if gates.failed_in_a_row >= 2:
                self._close(account, now + said.trouble.ms)
        elif said.healthy and not said.trouble:
            gates.half_open, gates.failed_in_a_row = False, 0
            if lease.sent:
                known = gates.answered_ms if gates.answered_ms is not None and gates.answered_ms <= now else 0
                gates.answered_ms = max(known, lease.sent_ms)

    def _settle_alike(
        self, profile: str, said: Settlement, success: bool, attached: list[str], canary_said: str
    ) -> None:
        stops, fingerprint = self.stops[profile], self.profiles[profile].fingerprint
        if canary_said == "refused":
            self._pause(profile)
        elif success:
            stops.good = said.fingerprint
            stops.latest = attached[-1] if attached else stops.latest
            if stops.refused_under or canary_said:
                stops.forget()
        elif said.refused and fingerprint == said.fingerprint and stops.api:
            self._absolve(profile, said.refused.numbers)
        elif said.refused and fingerprint == said.fingerprint:
            if stops.refused_under != said.fingerprint:
                stops.refused_under = said.fingerprint
                if not stops.canary:
                    stops.alike = set()
            stops.alike |= set(said.refused.numbers)
            if len(stops.alike) >= ALIKE and not stops.canary:
                if stops.good != said.fingerprint:
                    self._pause(profile)
                else:
                    stops.canary = "?"  # the store decides whom to ask

    def asked_canary(self, profile: str, number: str) -> None:
        """The store sends this number of a profile again, to see who is to blame; "": there is nobody to ask."""
        stops = self.stops[profile]
        if not number:
            self._asks_nobody(profile)
            return
        stops.canary = number
        entry = self.entries[profile, number]
        assert number == stops.latest
        assert entry.state is State.attached
        assert entry.attached_under == self.profiles[profile].fingerprint
        entry.state, entry.forced, entry.check = State.queued, True, True

    def _asks_nobody(self, profile: str) -> None:
        """The number that would be asked was refused like the others, goes by itself, or is none any more."""
        stops = self.stops[profile]
        stops.canary = ""
        entry = self.entries.get((profile, stops.latest))
        if entry is not None and entry.state is State.dead and stops.latest in stops.alike:
            self._pause(profile)
            return
        same = entry is not None and entry.attached_under == self.profiles[profile].fingerprint
        goes = entry is not None and entry.state in OPEN and same and not self.is_contended((profile, stops.latest))
        if not goes:
            stops.forget()

    def _pause(self, profile: str) -> None:
        stops = self.stops[profile]
        stops.api = True
        self._absolve(profile, stops.alike)
        stops.forget()

    def _absolve(self, profile: str, numbers: Iterable[str]) -> None:
        """The profile is to blame for what these were told."""
        names = [(profile, number) for number in numbers]
        self.replay(names)
        for name in names:
            if name in self.entries and self.entries[name].state is State.queued:
                self.entries[name].attempts = 0

    def reap(self, now: int, most: int, is_living: Callable[[str], bool]) -> tuple[int, int]:
        """Batches and numbers taken up."""
        ended = sorted((lease.ends, id_) for id_, lease in self.leases.items() if lease.ends <= now)[:most]
        return len(ended), sum(self._take_up(self.leases.pop(id_), now, is_living) for _, id_ in ended)

    def _take_up(self, lease: Lease, now: int, is_living: Callable[[str], bool]) -> int:
        open_entries = []
        again = ""
        crashed = not is_living(lease.worker)
        for leased in lease.batch.numbers:
            name = (lease.batch.profile, leased.number)
            entry = self.entries[name]
            if entry.wish:
                was = None if entry.wish is State.dropped else State.queued
                self.entries[name] = Entry(entry.wish, now, attached_under=entry.attached_under, was=was)
                if entry.wish is State.dropped:
                    self._release(name)
                continue
            forced, again = entry.forced, entry.again
            entry.forced, entry.again = forced or entry.again == "forced", ""
            stays = entry.check and entry.attached_under == lease.batch.fingerprint and not forced
            if lease.sent and not (stays and not self.is_contended(name)):
                entry.doubt, entry.check = True, False
            entry.crashes += crashed
            entry.state, entry.not_before = State.queued, 0
            open_entries.append(entry)
        if len(open_entries) == 1 and open_entries[0].crashes >= 3 and crashed:
            self._crashed_three(lease.batch, open_entries[0], again, now)
        return len(open_entries)

    def _crashed_three(self, batch: Batch, entry: Entry, again: str, now: int) -> None:
        (name,) = (name for name in self.entries if self.entries[name] is entry)
        stops = self.stops[batch.profile]
        if stops.canary != name[1]:
            entry.state = State.dead
            return
        stops.forget()
        self.entries[name] = Entry(State.attached, now, attached_under=entry.attached_under)
        if again:
            self.entries[name].state, self.entries[name].check = State.queued, True
            self.entries[name].forced = again == "forced"

    # -- what operators do, and the account's breaker

    def _close(self, account: str, until: int) -> None:
        gates = self.gates[account]
        gates.closed_until, gates.half_open = max(gates.closed_until or 0, until), False

    def resume_account(self, account: str, now: int) -> None:
        gates = self.gates[account]
        gates.operator = False
        if gates.closed_until is not None:
            gates.closed_until = now

    def resume_profile(self, profile: str) -> None:
        stops = self.stops[profile]
        stops.operator = stops.api = False
        stops.forget()

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
                entry.state, entry.attempts, entry.crashes, entry.not_before = State.queued, 0, 0, 0
                entry.doubt, entry.troubled = False, None
                replayed += 1
        return replayed

    def drop(self, name: Name, state: State, now: int) -> Dropped:
        entry = self.entries.get(name)
        if entry and entry.state is state:
            stays = state is State.queued and entry.check and not self.is_contended(name)
            to = State.attached if stays else State.dropped
            self.entries[name] = Entry(to, now, attached_under=entry.attached_under, left_a_place=stays)
            given = 0 if stays else self._release(name)
            return Dropped(1, 0, int(entry.doubt and not stays), given)
        if entry and entry.state is State.attaching and state is State.queued and not entry.wish:
            entry.wish, entry.again = State.dropped, ""
            return Dropped(under_way=1)
        return Dropped()

    def let_go(self, name: Name) -> None:
        """The archive took an entry: it stays counted, and wants nothing any more."""
        profile, number = name
        del self.entries[name]
        self.counts[profile, "archived"] += 1
        for account in ACCOUNTS:
            self.claims.get((account, number), {}).pop(profile, None)

    # -- configurations

    def publish(self, profile: str, rule: ProfilePolicy) -> None:
        old = self.profiles[profile]
        if rule.fingerprint != old.fingerprint:
            self.stops[profile].api = False
            self.stops[profile].forget()
        if (rule.account, rule.directions) != (old.account, old.directions):
            self.moved.add(profile)
        self.profiles[profile] = rule


def reckoned(at_ms: int, claimed_ms: int, now: int) -> int:
    """A time that a worker reckoned from its claim, once the clock may have stepped back since."""
    ahead = claimed_ms - now
    return max(now, at_ms - ahead) if at_ms and ahead > STEP_MS else at_ms


def free_time(claims: dict[str, float], at: float) -> float:
    """The latest time up to this one that no claim has."""
    while at in claims.values():
        at = round(at - 0.001, 3)
    return at


def configuration(profiles: dict[str, ProfilePolicy]) -> Policies:
    return Policies(ACCOUNTS, profiles)
