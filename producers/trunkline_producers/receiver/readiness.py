"""Whether an event would be taken now: the store is asked for a write, however often the receiver is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from trunkline.store import Store, StoreError, StoreUnavailable
from trunkline.store.examining import try_a_write
from trunkline.telemetry.logs import Log, logger

READY_S: Final = 2.0  # how long the store may take to say that it is there
FRESH_S: Final = 1.0  # how long an answer holds: strangers may ask as often as they like
AWAY: Final = "The store takes no write now."  # why, with whatever addresses that names, is in the log
STOPPING: Final = "The receiver is stopping."


class Readiness:
    """One look at a time, at most one a second; everybody who asks meanwhile is told what it finds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._stopping = False
        self._away = False
        self._looking: asyncio.Task[str] | None = None
        self._looked_at = float("-inf")

    def stop(self) -> None:
        """From now on it is not ready. For a signal's handler."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Whether stop() was called."""
        return self._stopping

    async def trouble(self) -> str:
        """Why no event would be taken now, in a sentence for anybody; "" where it would be."""
        if self._stopping:
            return STOPPING
        if self._looking is None or (self._looking.done() and self._clock() - self._looked_at >= FRESH_S):
            self._looked_at = self._clock()
            self._looking = asyncio.create_task(asyncio.to_thread(self._look))
        done, _ = await asyncio.wait([self._looking], timeout=READY_S)
        return self._looking.result() if done else AWAY

    def _look(self) -> str:
        try:
            try_a_write(self._store)
        except (StoreUnavailable, StoreError) as error:
            if not self._away:
                logger().error(Log.store_unavailable, error=str(error))
            self._away = True
            return AWAY
        self._away = False
        return ""
