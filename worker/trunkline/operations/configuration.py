"""Configuration as it was understood: names and sentences for an operator, secrets hidden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trunkline.config.sections import Account
from trunkline.config.settings import Settings
from trunkline.config.store_place import place_of
from trunkline.profiles.directions import Direction
from trunkline.profiles.profile import Profile
from trunkline_producers.sources import Source, only_polled
from trunkline_producers.verify.tokens import Unsigned

Row = tuple[str, str]


def understood(settings: Settings, sources: Mapping[str, Source]) -> Iterator[Row]:
    """Yield what a worker and a receiver understand of the settings: a name and a sentence each."""
    yield from _common(settings)
    for name, account in settings.accounts.items():
        yield f"account {name}", _account(account, settings)
    for name, profile in settings.profiles.items():
        yield f"profile {name}", _profile(profile)
    for name, source in sources.items():
        yield f"source {name}", _source(name, source)
    for name, raw in polled(settings):
        yield f"source {name}", f"{raw['type']}, only polled"
    for route in settings.routes:
        yield "route", f"{route.when} → {route.profile}"


def polled(settings: Settings) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield name and section of the sources that nobody posts to and that are only asked (`trunkline reconcile`)."""
    for name, raw in settings.sources.items():
        if only_polled(raw):
            yield name, raw


def _common(settings: Settings) -> Iterator[Row]:
    store, worker, numbers = settings.store, settings.worker, settings.numbers
    yield "file", str(settings.path or "none: defaults and the environment")
    kept = f"acknowledge {store.acknowledge}, attached kept {store.keep_attached_days} days"
    yield "store", f"{place_of(settings)}; {kept}"
    times = f"lease {worker.lease_s:g} s, grace {worker.grace_s:g} s"
    yield "worker", f"{worker.processes} processes of {worker.threads} threads, {times}"
    yield "numbers", f"region {numbers.region or 'none'}, check {numbers.check}"


def _account(account: Account, settings: Settings) -> str:
    api, key = account.base_url, "no key"
    if settings.stand_in == "":
        api = "the stand-in API, which is not running"
    if account.key:
        key = f"key from {account.key.ref}"
    return (
        f"{api}, {key}, {account.requests_per_second:g} requests a second, "
        f"{account.max_concurrency} at once, time-out {account.timeout_s:g} s"
    )


def _profile(profile: Profile) -> str:
    directions = ", ".join(map(_direction, profile.directions))
    trunk = ""
    if profile.trunk_id:
        trunk = f", trunk {profile.trunk_id}"
    return f"account {profile.account}{trunk}: {directions}"


def _direction(direction: Direction) -> str:
    told: str = direction.type
    if direction.sip_endpoint:
        told += f" to {direction.sip_endpoint}"
    if direction.auth_mode == "register":
        told += " (register)"
    return told


def _source(name: str, source: Source) -> str:
    keys = ", ".join(key.id for key in source.keys) or "none at hand"
    told = f"keys: {keys}"
    if source.scheme == Unsigned():
        told = "NOT VERIFIED: whatever reaches it is taken"
    return f"{source.type}, at /hooks/{name}, {told}"
