"""Replay of rejections: what could not be taken in is read once more, by the configuration of today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from trunkline.config.settings import Settings
from trunkline.operations.selection import rejected
from trunkline.redaction import make_scrubber
from trunkline.store import Store
from trunkline.text import printable
from trunkline_producers import Enqueuer, Summary
from trunkline_producers.deliveries.delivery import DeliveryResult
from trunkline_producers.deliveries.order_lookup import Fetcher
from trunkline_producers.deliveries.replay import Replayer
from trunkline_producers.sources import Source

FETCH_S: Final = 20.0  # for each order that a carrier is asked for
MAX_REASON: Final = 500  # characters


@dataclass(frozen=True, slots=True)
class StillKept:
    """A rejection that could not be taken in this time either, and why."""

    id: str
    source: str
    reason: str


class Replay:
    """A replay of the selected rejections, oldest first, and its result so far.

    `replayed`: rejections that went in; `kept`: ids of those that are still kept; `summary`: of all their events.
    `sources` are those that are configured now; no id selects all of this source and code.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        sources: Mapping[str, Source],
        ids: Iterable[str] = (),
        *,
        source: str | None = None,
        code: str | None = None,
    ) -> None:
        self._selected = rejected(store, ids, source=source, code=code)
        self._enqueuer = Enqueuer.from_settings(store, settings)
        self._sources = sources
        self._scrub = make_scrubber(settings.secret_values())
        self.replayed = 0
        self.kept: list[str] = []
        self.summary = Summary()

    def run(self) -> Iterator[StillKept]:
        """Replay one after the other, and yield each that is still kept.

        Raises StoreUnavailable and StoreError; what was replayed by then is done.
        """
        with closing(Fetcher(budget_s=FETCH_S)) as fetch:
            replayer = Replayer(self._enqueuer, self._sources, fetch, self._scrub)
            for each in self._selected:
                taken = replayer.replay(each)
                self.summary += taken.summary
                if taken.kept or taken.full:
                    self.kept.append(each.id)
                    yield StillKept(each.id, each.source, _reason(taken))
                else:
                    self.replayed += 1

    def document(self) -> dict[str, Any]:
        """Return the document of `rejected replay --json`."""
        return {"replayed": self.replayed, "kept": self.kept, **self.summary.as_json()}


def _reason(taken: DeliveryResult) -> str:
    """Return why a delivery is kept, fit for a line of output."""
    reasons = dict.fromkeys(taken.unfetched)
    for refusal in taken.summary.rejected:
        reasons[refusal.message] = None
    return printable("; ".join(reasons), MAX_REASON)
