"""Group commit: deliveries that come at once go into the store with one push, and wait for the disk together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from trunkline.events.intake import Delivery
from trunkline.store import Store, StoreError, StoreUnavailable
from trunkline.store.model import Pushed

NUMBERS_A_PUSH: Final = 500  # bounds how long one push holds the server, so how long the next one waits
APART_S: Final = 0.002  # between the beginnings of two pushes that have not much to do
ENOUGH: Final = 32  # deliveries that are worth a push at once
MAX_WAITING: Final = 20_000  # numbers that wait for a push; more are sent away: the store is not keeping up

_Result = list[Pushed] | StoreError | StoreUnavailable


class Overloaded(StoreUnavailable):
    """More deliveries wait for the store than it keeps up with. Nothing of this one was stored: try again later."""


class _Group:
    """Deliveries that were handed in together, and who waits for them."""

    __slots__ = ("deliveries", "done", "size")

    def __init__(self, deliveries: Sequence[Delivery], done: asyncio.Future[list[Pushed]]) -> None:
        self.deliveries = deliveries
        self.done = done
        self.size = sum(len(delivery.numbers) + 1 for delivery in deliveries)


class Committer:
    """Pushes for one event loop. One push is under way at a time; what comes meanwhile makes up the next one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[_Group] = deque()
        self._numbers = 0
        self._busy = False
        self._began = float("-inf")
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="push")

    async def push(self, deliveries: Sequence[Delivery]) -> list[Pushed]:
        """Stores deliveries in their order and returns when they are kept, on disk where that was asked for.

        Who stops waiting does not stop the push. Raises what Store.push raises, and Overloaded.
        """
        if not deliveries:
            return []
        group = _Group(deliveries, asyncio.get_running_loop().create_future())
        if self._numbers and self._numbers + group.size > MAX_WAITING:
            raise Overloaded(f"{self._numbers} numbers wait for the store already")
        self._numbers += group.size
        self._waiting.append(group)
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._soon()
        return await group.done

    async def close(self) -> None:
        """Waits until everything that was handed in is pushed."""
        await self._idle.wait()
        self._thread.shutdown()

    def _soon(self) -> None:
        """The next push, at once after a quiet while: pushes that follow close on one another gather company first."""
        loop = asyncio.get_running_loop()
        early = self._began + APART_S - loop.time()
        if early > 0 and len(self._waiting) < ENOUGH:
            loop.call_later(early, self._next)
        else:
            self._next()

    def _next(self) -> None:
        groups: list[_Group] = []
        size = 0
        while self._waiting and (not groups or size + self._waiting[0].size <= NUMBERS_A_PUSH):
            groups.append(self._waiting.popleft())
            size += groups[-1].size
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        running = loop.run_in_executor(self._thread, self._pushed, groups)
        running.add_done_callback(lambda future: self._done(groups, future))

    def _pushed(self, groups: Sequence[_Group]) -> list[_Result]:
        """In the thread: one push for all, or, where the store can't work with it, one each, so that one bad delivery
        is nobody else's trouble."""
        try:
            results = iter(self._store.push([delivery for group in groups for delivery in group.deliveries]))
        except StoreUnavailable as error:
            return [error] * len(groups)
        except StoreError as error:
            if len(groups) == 1:
                return [error]
            return [result for group in groups for result in self._pushed([group])]
        return [[next(results) for _ in group.deliveries] for group in groups]

    def _done(self, groups: Sequence[_Group], future: asyncio.Future[list[_Result]]) -> None:
        for group in groups:
            self._numbers -= group.size
        failure = future.exception()
        results = future.result() if failure is None else [failure] * len(groups)
        for group, result in zip(groups, results, strict=True):
            if group.done.done():
                continue  # nobody waits any more
            if isinstance(result, BaseException):
                group.done.set_exception(result)
            else:
                group.done.set_result(result)
        if self._waiting:
            self._soon()
        else:
            self._busy = False
            self._idle.set()
