"""Cancelling: takes waiting numbers back out, and counts them before."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.operations.selection import Selection, names, waiting
from trunkline.store import Store, queries
from trunkline.store.model import Dropped


@dataclass(frozen=True, slots=True)
class Preview:
    """The numbers that a cancellation would take out: how many, and the first of them ("" where there is none)."""

    count: int = 0
    first: str = ""


class Cancellation:
    """A cancellation of the selected numbers that were queued before it was made.

    What is queued while somebody thinks about the preview is not taken out, unless it is named by its number.
    Every method raises StoreUnavailable and StoreError, making it also WrongUse for an empty selection.
    """

    def __init__(self, store: Store, selection: Selection) -> None:
        selection.require_some()
        self._store = store
        self._selection = selection
        self._asked_ms = queries.now(store)

    def preview(self) -> Preview:
        """Count the numbers, and change nothing. It reads them all and holds none."""
        count, first = 0, ""
        for entry in waiting(self._store, self._selection, self._asked_ms):
            count += 1
            first = first or entry.number
        return Preview(count, first)

    def run(self) -> Dropped:
        """Take the numbers out, and return what was done. A call under way ends, and may attach its numbers."""
        return self._store.cancel(names(waiting(self._store, self._selection, self._asked_ms)))
