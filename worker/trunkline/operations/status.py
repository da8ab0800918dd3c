"""Status: the books of a store, which store it is, and what an operator should look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from trunkline.config.settings import Settings
from trunkline.config.store_place import StorePlace, place_of
from trunkline.operations.documents import status_document
from trunkline.operations.waiting import unattended
from trunkline.store import Store, queries, rejections
from trunkline.store.examining import refuse_newer
from trunkline.store.migrating import TO_MIGRATE
from trunkline.store.model import Books
from trunkline.store.scripts import SCHEMA
from trunkline.timestamps import rfc3339

DAY_MS: Final = 24 * 3600 * 1000  # for so long the status tells of a clock that stepped back


@dataclass(frozen=True, slots=True)
class Status:
    """The books, the place of their store, the schema of its data, and sentences about the store itself."""

    books: Books
    place: StorePlace
    schema: int
    about_store: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the document of `status --json`."""
        return status_document(self.books, self.place, self.schema)


def status(store: Store, settings: Settings) -> Status:
    """Read the status. Raises StoreNewer, StoreUnavailable and StoreError."""
    books = queries.books(store)
    schema = refuse_newer(store) or SCHEMA
    about_store = []
    if schema < SCHEMA:
        about_store.append(TO_MIGRATE)
    filling = rejections.filling(store, settings.server.max_kept_bytes)
    if filling:
        about_store.append(filling)
    return Status(books, place_of(settings), schema, tuple(about_store))


def notices_of(books: Books) -> list[str]:
    """Return a sentence for each thing to look at: numbers that no worker sends, a clock that stepped back."""
    return [*_unattended(books), *_clock_stepped(books)]


def _unattended(books: Books) -> Iterator[str]:
    for book in books.profiles:
        reason = unattended(book, len(books.workers))
        if book.counts["queued"] and reason:
            yield f"profile {book.profile} waits: {reason}"


def _clock_stepped(books: Books) -> Iterator[str]:
    if books.clock_stepped is None:
        return
    by_ms, at_ms = books.clock_stepped
    if books.now_ms - at_ms < DAY_MS:
        stepped = f"the store's clock stepped back by {by_ms / 1000:g} s at {rfc3339(at_ms)}"
        yield f"{stepped}; look at the time service (NTP) of its host"
