"""The receiver's log: sums for each source instead of a line a request; trouble at once, at a limited rate."""

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
    """Counts deliveries and logs the sums. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sums: dict[tuple[str, str], Counter[str]] = {}
        self._told: dict[tuple[str, ...], float] = {}
        self._untold: Counter[tuple[str, ...]] = Counter()

    def taken(self, source: str, key: str, taken: DeliveryResult) -> None:
        """Count a delivery that was read; log refused events and leaving numbers at once."""
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
        """Log a delivery that was not verified."""
        self._tell(Log.delivery_unverified, source, reason)

    def unavailable(self, source: str, why: str) -> None:
        """Log a delivery that could not be stored and was refused."""
        self._tell(Log.store_unavailable, source, "unavailable", error=why)

    def no_room(self, source: str, why: str) -> None:
        """Log a delivery that can't be taken in and was refused, as there is no room to keep it."""
        self._tell(Log.rejections_full, source, "full", error=why)

    def flush(self) -> None:
        """Log the sums since the last call, if there are any."""
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
        if untold := self._untold.pop(what, 0):
            more[UNTOLD] = untold
        logger().warning(event, source=source, reason=reason, **more)
