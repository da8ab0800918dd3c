"""Selection by filter: the dead letters, the waiting numbers or the rejections that an operator means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile

from trunkline.lifecycle import State
from trunkline.operations.names import WrongUse
from trunkline.store import Store, queries, rejections
from trunkline.store.model import Entry
from trunkline.store.rejections import StoredRejection

Name = tuple[str, str]  # of an entry: profile and number
WAITING = (State.queued, State.attaching)


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter of entries. Each field that is set narrows it down; an empty one selects everything.

    What changes entries refuses an empty one, unless `every` says that everything is meant.
    `numbers` are spelt as in the store (names.spellings). `code` is trunkline's or the API's. `source` is that of an
    entry's first event.
    """

    numbers: tuple[str, ...] = ()
    profile: str | None = None
    code: str | None = None
    source: str | None = None
    every: bool = False

    def require_some(self) -> None:
        """Raise WrongUse for an empty filter that does not say that everything is meant."""
        require_some(self.numbers, self.profile, self.code, self.source, self.every)

    def takes(self, entry: Entry) -> bool:
        """Return whether the profile, the code and the source of an entry are those of the filter."""
        return (
            self.profile in (None, entry.profile)
            and self.code in (None, entry.dead_code, entry.api_code)
            and self.source in (None, entry.source)
        )


def require_some(*filters: object) -> None:
    """Raise WrongUse unless one of these filters is set: nothing is changed for want of a filter."""
    if not any(filters):
        raise WrongUse("say which: this would change everything that is there")


def dead(store: Store, selection: Selection) -> Iterable[Entry]:
    """Return the selected dead letters, oldest first; by numbers in their order.

    What dies again after this call is left out, so that a replay ends. Raises StoreUnavailable and StoreError.
    """
    if selection.numbers:
        return _named(store, selection, (State.dead,))
    asked_ms = queries.now(store)
    letters = queries.dead_letters(store, profile=selection.profile, code=selection.code)
    until_now = takewhile(lambda letter: (letter.dead_ms or 0) <= asked_ms, letters)
    return filter(selection.takes, until_now)


def waiting(store: Store, selection: Selection, queued_by_ms: int) -> Iterable[Entry]:
    """Return the selected entries that wait for a call or are in one, those queued by `queued_by_ms` (store time).

    Entries that are named by their numbers are returned whenever they were queued.
    """
    if selection.numbers:
        return _named(store, selection, WAITING)
    return queries.waiting(store, profile=selection.profile, source=selection.source, queued_by_ms=queued_by_ms)


def rejected(
    store: Store, ids: Iterable[str], *, source: str | None = None, code: str | None = None
) -> Iterable[StoredRejection]:
    """Return the rejections of this source and code, those with these ids or, without an id, all; the oldest first."""
    ids = list(ids)
    if not ids:
        return rejections.walk(store, source=source, code=code, oldest_first=True)
    found = reversed(rejections.get(store, ids))
    return (kept for kept in found if source in (None, kept.source) and code in (None, kept.code))


def names(entries: Iterable[Entry]) -> Iterator[Name]:
    """Yield the profile and number of each entry, as the store's moves take them."""
    for entry in entries:
        yield entry.profile, entry.number


def _named(store: Store, selection: Selection, states: tuple[State, ...]) -> list[Entry]:
    found: list[Entry] = []
    for entries in queries.entries_of_each(store, selection.numbers).values():
        found += filter(selection.takes, entries)
    return [entry for entry in found if entry.state in states]
