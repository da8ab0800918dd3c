"""The receiver's log: sums per source in place of a line a request; trouble is told at once, but not in floods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from trunkline.events.phone import mask
from trunkline.telemetry.logs import UNTOLD, Log, logger
from trunkline_producers.deliveries.delivery import DeliveryResult

QUIET_S: Final = 1.0  # one line a second of the same trouble; the next one says how many there were
MAX_NUMBERS_TOLD: Final = 20


class Tally:
    """Counts what happens and logs it. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sums: dict[tuple[str, str], Counter[str]] = {}
        self._told: dict[tuple[str, ...], float] = {}
        self._untold: Counter[tuple[str, ...]] = Counter()

    def taken(self, source: str, key: str, taken: DeliveryResult) -> None:
        """A delivery that was read; what was refused of it, and what leaves, is told at once."""
        sums = self._sums.setdefault((source, key), Counter())
        summary = taken.summary
        sums["deliveries"] += 1
        sums["accepted"] += summary.accepted
        sums["coalesced"] += summary.coalesced
        sums["duplicate"] += summary.duplicate
        sums["rejected"] += len(summary.rejected)
        sums["ignored"] += taken.ignored
        if taken.leaving:
            numbers = [mask(number) for number in taken.leaving[:MAX_NUMBERS_TOLD]]
            logger().warning(Log.numbers_leaving, source=source, count=len(taken.leaving), numbers=numbers)
        if taken.kept:
            kept = taken.kept
            self._tell(Log.delivery_rejected, source, kept.code, id=kept.id, message=kept.message)
        elif taken.full:
            self._tell(Log.delivery_rejected, source, "queue_full", id=None, message="the queue is full")

    def unverified(self, source: str, reason: str) -> None:
        """A delivery that is not from its source, or comes too late."""
        self._tell(Log.delivery_unverified, source, reason)

    def unavailable(self, source: str, why: str) -> None:
        """A delivery that could not be stored and was sent away."""
        self._tell(Log.store_unavailable, source, "unavailable", error=why)

    def no_room(self, source: str, why: str) -> None:
        """A delivery that can't be taken in and was sent away, as there is no room to keep it."""
        self._tell(Log.rejections_full, source, "full", error=why)

    def flush(self) -> None:
        """Logs the sums since the last time; nothing where nothing came."""
        sums, self._sums = self._sums, {}
        for (source, key), counted in sums.items():
            logger().info(Log.deliveries_taken, source=source, key=key, **{k: v for k, v in counted.items() if v})

    def _tell(self, event: Log, source: str, reason: str, **more: object) -> None:
        what = (event, source, reason)
        now = self._clock()
        if now - self._told.get(what, float("-inf")) < QUIET_S:
            self._untold[what] += 1
            return
        self._told[what] = now
        untold = self._untold.pop(what, 0)
        logger().warning(event, source=source, reason=reason, **more, **({UNTOLD: untold} if untold else {}))
