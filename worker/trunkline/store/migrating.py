"""Brings the data of an earlier schema to this one, a little at a time, while old and new processes run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from trunkline.store.auditing import PAGE, Scan, flat, paged, split_key
from trunkline.store.client import Store
from trunkline.store.connection import translated
from trunkline.store.examining import refuse_newer
from trunkline.store.fields import BatchField
from trunkline.store.model import StoreError
from trunkline.store.scripts import SCHEMA

TO_MIGRATE: Final = (
    "the store's data is of an earlier version: stop all processes of that version and run `trunkline store migrate`"
)
WRITTEN_BY_OLD: Final = "outcomes"  # the stream that every end was told to


class StillOld(StoreError):
    """A process of an earlier version is at work on the store, so that what it writes would be missed."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """Counts of a migration: entries looked at, what they lacked, claims without one; and the data's schema now."""

    entries: int
    claims: int
    ends: int
    claims_only: int
    schema: int


def is_older(store: Store) -> bool:
    """Tell if the data is of an earlier schema. Raises StoreNewer, StoreUnavailable and StoreError."""
    schema = refuse_newer(store)
    return schema is not None and schema < SCHEMA


def migrate(store: Store, *, rest: Callable[[float], None] = time.sleep) -> Migrated:
    """Gives every entry its claim and its place in the log of ends, and notes the schema when all have them.

    Takes away claims without an entry, which an earlier version's archive left behind.

    It may be interrupted and run again. Raises StillOld if an earlier version has written meanwhile or has a batch
    under way; StoreUnavailable and StoreError as every move does.
    """

    def do(what: str, *args: str | int) -> Any:
        started = time.monotonic()
        said = store.run("mend", what, *args)
        rest(time.monotonic() - started)
        return said

    store.versions()
    with translated():
        store._client.delete(f"{store.prefix}{WRITTEN_BY_OLD}")
    ends = claims = entries = 0
    while (said := do("closed", PAGE))[1]:
        ends += said[0]
    for page in paged(Scan(store, rest).keys("entry:"), PAGE):
        given, noted = do("entries", *flat(split_key(key) for key in page))
        entries, claims, ends = entries + len(page), claims + given, ends + noted
    routes = paged(Scan(store, rest).keys("route:"), PAGE)
    claims_only = sum(do("claims", *flat(split_key(key) for key in page)) for page in routes)
    _refuse_old(store)
    return Migrated(entries, claims, ends, claims_only, store.migrated().data)


def _refuse_old(store: Store) -> None:
    with translated():
        has_written = store._client.exists(f"{store.prefix}{WRITTEN_BY_OLD}", f"{store.prefix}closed")
        leases = [str(each) for each in store._client.zrange(f"{store.prefix}leases", 0, -1)]
        with store._client.pipeline(transaction=False) as pipe:
            for lease in leases:
                pipe.hmget(f"{store.prefix}batch:{lease}", [BatchField.profile, BatchField.lease])
            batches: list[list[str | None]] = pipe.execute()
    if has_written:
        raise StillOld(
            "a process of an earlier version has written to the store meanwhile: stop it, and run this again"
        )
    if any(profile is not None and length is None for profile, length in batches):
        raise StillOld(
            "a batch of an earlier version is under way: stop its processes, and run this again when its lease is over"
        )
