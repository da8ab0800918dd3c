"""Report of an import: the sums of a file's rows, and the first refusals with their lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from trunkline_producers import Row, Summary

MAX_REFUSALS: Final = 1000  # that are held


@dataclass(slots=True)
class ImportReport:
    """The result of an import so far. `refused` counts every refusal, `refusals` holds the first of them."""

    accepted: int = 0
    coalesced: int = 0
    duplicate: int = 0
    refused: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list)

    def take(self, row: Row, summary: Summary) -> None:
        """Add what became of a row."""
        self.accepted += summary.accepted
        self.coalesced += summary.coalesced
        self.duplicate += summary.duplicate
        self.refused += len(summary.rejected)
        for refusal in summary.rejected[: MAX_REFUSALS - len(self.refusals)]:
            self.refusals.append({"line": row.line, **refusal.as_json()})

    def summary(self) -> Summary:
        """Return the sums without the refusals, as an enqueue has them."""
        return Summary(self.accepted, self.coalesced, self.duplicate)

    def document(self) -> dict[str, Any]:
        """Return the document of `import --json`; `rejected_total` is in it where not all refusals are listed."""
        document = self.summary().as_json() | {"rejected": self.refusals}
        if self.refused > len(self.refusals):
            document["rejected_total"] = self.refused
        return document
