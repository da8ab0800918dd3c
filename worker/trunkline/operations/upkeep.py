"""Upkeep of the store: audit it, and mend what can be proved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.store import Store, auditing, mending, migrating


@dataclass(frozen=True, slots=True)
class Audited:
    """The result of an audit, a sentence for each finding.

    `wrong`: what breaks an invariant; `undecided`: what could not be proved either way; `mended`: what a repair did,
    None where none was asked for.
    """

    wrong: tuple[str, ...]
    undecided: tuple[str, ...]
    mended: tuple[str, ...] | None

    def document(self) -> dict[str, Any]:
        """Return the document of `audit --json`; `mended` is in it after a repair."""
        document = {"wrong": list(self.wrong), "undecided": list(self.undecided)}
        if self.mended is not None:
            document["mended"] = list(self.mended)
        return document


def audit(store: Store, *, repair: bool) -> Audited:
    """Check every entry against the store's invariants, in slices, while everything goes on.

    `repair`: mend what can be proved, and audit again. Raises StoreNewer, StoreUnavailable and StoreError.
    """
    mended = None
    if repair:
        done = mending.repair(store)
        mended, found = done.mended, done.left
    else:
        found = auditing.audit(store)
    undecided = list(found.undecided)
    if migrating.is_older(store):
        undecided.append(migrating.TO_MIGRATE)
    return Audited(tuple(str(each) for each in found.wrong), tuple(undecided), mended)
