"""Work that goes on after its sender stopped waiting, so that a redelivery finds it done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from trunkline.errors import TrunklineError
from trunkline.store.rejections import RejectionsFull
from trunkline.telemetry.logs import Log, logger

Result = TypeVar("Result")


class Finishing:
    """The unfinished work of one event loop.

    A large delivery that takes longer than its sender waits would otherwise begin anew at each redelivery, and never
    be stored.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def within(self, seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of the work. Raises TimeoutError if it takes longer than `seconds`; the work goes on."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        async with asyncio.timeout(seconds):
            return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for all unfinished work."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, TrunklineError) and not isinstance(error, RejectionsFull):  # the sender comes again
            logger().warning(Log.store_unavailable, error=str(error))
