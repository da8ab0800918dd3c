"""Report of a reconcile round: the sums, the first refusals, and in a dry run the first numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from trunkline.lifecycle import Refusal
from trunkline_producers.reconcile.reconcile import Reconciled, Step

MAX_SHOWN: Final = 1000  # refusals, and numbers of a dry run, that are held


@dataclass(slots=True)
class Report:
    """The result of a round so far. `compared`: every account's API gave its listing to compare the books with."""

    source: str
    dry_run: bool
    compared: bool
    sums: Reconciled = field(default_factory=Reconciled)
    purchases: int = 0
    numbers: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def take(self, step: Step) -> None:
        """Add a page that is done."""
        self.sums = step.so_far
        self.refusals += step.refused[: MAX_SHOWN - len(self.refusals)]
        if self.dry_run:
            self.numbers += step.enqueued[: MAX_SHOWN - len(self.numbers)]

    def document(self) -> dict[str, Any]:
        """Return the document of `reconcile --json`; `rejected_total` is in it where not all refusals are listed."""
        document: dict[str, Any] = {
            "source": self.source,
            "dry_run": self.dry_run,
            "compared_with_api": self.compared,
            **self.sums.as_json(),
            "purchases": self.purchases,
        }
        if self.dry_run:
            document["numbers"] = self.numbers
        document["rejected"] = [refusal.as_json() for refusal in self.refusals]
        if self.sums.refused > len(self.refusals):
            document["rejected_total"] = self.sums.refused
        return document

    def sentence(self) -> str:
        """Return the sums for people, in one line."""
        sums = self.sums
        numbers, enqueued = f"{self.source}: {sums.listed:,} numbers", f"{sums.enqueued:,} enqueued"
        if sums.resumed:
            numbers += " since the interruption"
        if self.dry_run:
            enqueued = f"{sums.enqueued:,} would be enqueued"
        parts = [numbers, f"{sums.missing:,} missing", enqueued]
        if self.purchases:
            parts.append(f"{self.purchases:,} bought since the last run")
        if sums.refused:
            parts.append(f"{sums.refused:,} refused")
        told = ", ".join(parts)
        if not sums.left:
            return told
        left = ", ".join(f"{count:,} {state}" for state, count in sums.left.items())
        return f"{told}; left alone: {left}"
