"""What the store has, read at one moment, against what its model says that it must have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from support.store_model import ACCOUNTS, NUMBERS, OPEN, PROFILES, Entry, Model, Name
from trunkline.lifecycle import State
from trunkline.store import Store
from trunkline.store.fields import STATES

NAMES = tuple((profile, number) for profile in PROFILES for number in NUMBERS)
ROUTES = tuple((account, number) for account in ACCOUNTS for number in NUMBERS)
Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class Sight:
    """The hashes of the store, by what they are of; those of entries only where there is one."""

    entries: dict[Name, Fields]
    policies: dict[str, Fields]
    accounts: dict[str, Fields]
    counts: dict[str, Fields]
    routes: dict[tuple[str, str], Fields]
    totals: Fields

    @property
    def states(self) -> dict[Name, State]:
        return {name: STATES[fields["s"]] for name, fields in self.entries.items()}

    def claims(self, account: str, number: str) -> dict[str, float]:
        """The profiles that have a claim on the number there, and how old it is."""
        lines = [line.split(" ") for text in self.routes[account, number].values() for line in text.split("\n")]
        return {profile: float(since) for since, profile in lines}


def sight(store: Store) -> Sight:
    """Everything in one call: the machine looks after each of its steps."""
    keys = ["books"]
    keys += [f"entry:{profile}:{number}" for profile, number in NAMES]
    keys += [f"policy:{profile}" for profile in PROFILES]
    keys += [f"account:{account}" for account in ACCOUNTS]
    keys += [f"books:{profile}" for profile in PROFILES]
    keys += [f"route:{account}:{number}" for account, number in ROUTES]
    hashes = iter(dict(zip(flat[::2], flat[1::2], strict=True)) for flat in store.run("books", *keys))
    totals = next(hashes)
    entries = {name: fields for name in NAMES if (fields := next(hashes))}
    policies = {profile: next(hashes) for profile in PROFILES}
    accounts = {account: next(hashes) for account in ACCOUNTS}
    counts = {profile: next(hashes) for profile in PROFILES}
    routes = {route: next(hashes) for route in ROUTES}
    return Sight(entries, policies, accounts, counts, routes, totals)


def differences(seen: Sight, model: Model) -> list[str]:
    """A sentence for each thing that the store has otherwise than the model."""
    found = [*_of_entries(seen, model), *_of_profiles(seen, model), *_of_accounts(seen, model)]
    for account, number in ROUTES:
        claims = model.claims.get((account, number), {})
        found += _unlike(f"claims on {number} of {account}", seen.claims(account, number), claims)
    for name in ("accepted", "duplicate", "rejected"):
        found += _unlike(f"events {name}", int(seen.totals.get(name, 0)), model.events[name])
    found += _unlike("calls", int(seen.totals.get("calls", 0)), model.calls["attach"])
    found += _unlike("numbers called", int(seen.totals.get("numbers", 0)), model.calls["numbers"])
    return found


def _of_entries(seen: Sight, model: Model) -> Iterator[str]:
    for name in sorted(seen.entries.keys() | model.entries.keys()):
        fields, entry = seen.entries.get(name), model.entries.get(name)
        what = " ".join(name)
        if fields is None or entry is None:
            yield f"{what} is {fields}, not {entry}"
            continue
        yield from _unlike(what, STATES[fields["s"]], entry.state)
        if entry.state in OPEN or entry.state is State.dead:
            yield from _of_tries(what, fields, entry)


def _of_tries(what: str, fields: Fields, entry: Entry) -> Iterator[str]:
    yield from _unlike(f"attempts of {what}", int(fields.get("k", 0)), entry.attempts)
    yield from _unlike(f"crashes of {what}", int(fields.get("c", 0)), entry.crashes)
    yield from _unlike(f"force of {what}", "f" in fields, entry.forced)
    yield from _unlike(f"doubt of {what}", fields.get("v") == "d", entry.doubt)
    yield from _unlike(f"check of {what}", fields.get("v") == "c", entry.check)


def _of_profiles(seen: Sight, model: Model) -> Iterator[str]:
    for profile, rule in model.profiles.items():
        fields, stops = seen.policies[profile], model.stops[profile]
        counts = {name: int(seen.counts[profile].get(name, 0)) for name in model.tally(profile)}
        yield from _unlike(f"books of {profile}", counts, model.tally(profile))
        yield from _unlike(f"fingerprint of {profile}", fields["fp"], rule.fingerprint)
        yield from _unlike(f"operator's pause of {profile}", "op" in fields, stops.operator)
        yield from _unlike(f"automatic pause of {profile}", "au" in fields, stops.api)
        yield from _unlike(f"canary of {profile}", fields.get("cw", ""), stops.canary)


def _of_accounts(seen: Sight, model: Model) -> Iterator[str]:
    for account, gates in model.gates.items():
        fields = seen.accounts[account]
        yield from _unlike(f"operator's pause of {account}", "op" in fields, gates.operator)
        yield from _unlike(f"breaker of {account}", "gu" in fields, gates.closed_until is not None)
        yield from _unlike(f"half open {account}", "half" in fields, gates.half_open)
        yield from _unlike(f"failures in a row of {account}", int(fields.get("fw", 0)), gates.failed_in_a_row)


def _unlike(what: str, seen: object, said: object) -> list[str]:
    return [] if seen == said else [f"{what}: {seen} in the store, {said} in the model"]
