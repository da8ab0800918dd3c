"""Number: everything that the store knows of one number."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

from trunkline.events.intake import NumberRules
from trunkline.operations.documents import number_document
from trunkline.operations.names import spellings
from trunkline.store import Store, queries
from trunkline.store.model import Books, Entry


@dataclass(frozen=True, slots=True)
class NumberAnswer:
    """The entries of a number, one for each profile that has it, and the books, which say what they wait for."""

    entries: tuple[Entry, ...]
    books: Books

    def document(self) -> list[dict[str, Any]]:
        """Return the document of `number --json`."""
        return number_document(self.entries, self.books)


def number(store: Store, rules: NumberRules, raw: str) -> NumberAnswer:
    """Look a number up, however it is written; no entry where nothing is known of it.

    Raises NumberRefused for a text that is no number; StoreUnavailable and StoreError.
    """
    found = queries.entries_of_each(store, spellings(rules, raw)).values()
    return NumberAnswer(tuple(chain.from_iterable(found)), queries.books(store))
