"""Readiness of the receiver: the store must take a write. Requests share its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from trunkline.store import Store, StoreError, StoreUnavailable
from trunkline.store.examining import try_a_write
from trunkline.telemetry.logs import Log, logger

READY_S: Final = 2.0  # time that the store may take
FRESH_S: Final = 1.0  # life of an answer, since strangers may ask as often as they like
AWAY: Final = "The store takes no write now."  # the reason, which may name addresses, is in the log
STOPPING: Final = "The receiver is stopping."


class Readiness:
    """Asks the store one request at a time, at most once a second; all who wait meanwhile get the same answer."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._stopping = False
        self._away = False
        self._looking: asyncio.Task[str] | None = None
        self._looked_at = float("-inf")

    def stop(self) -> None:
        """Not ready from now on. Safe in a signal handler."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """True after stop()."""
        return self._stopping

    async def trouble(self) -> str:
        """The reason why no event would be stored now, fit for strangers; "" if one would be."""
        if self._stopping:
            return STOPPING
        if self._looking is None or (self._looking.done() and self._clock() - self._looked_at >= FRESH_S):
            self._looked_at = self._clock()
            self._looking = asyncio.create_task(asyncio.to_thread(self._look))
        done, _ = await asyncio.wait([self._looking], timeout=READY_S)
        if not done:
            return AWAY
        return self._looking.result()

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
