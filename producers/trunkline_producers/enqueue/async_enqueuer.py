"""Enqueuing from asyncio: as Enqueuer, and what is handed in at once shares one push."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from trunkline.events.event import NumberEvent
from trunkline.events.intake import Delivery
from trunkline.lifecycle import RefusalCode
from trunkline_producers.enqueue.enqueuer import Enqueuer, Summary
from trunkline_producers.enqueue.group_commit import Committer

READ_AT_ONCE: Final = 200  # numbers that are read on the loop itself


def read_at_once(events: Sequence[NumberEvent]) -> bool:
    """Whether these are few enough to be read, and handed to the store, without giving way to others."""
    return sum(len(event.numbers) for event in events) <= READ_AT_ONCE


class AsyncEnqueuer:
    """Takes number events in from an event loop. Raises what Enqueuer raises, and Overloaded (a StoreUnavailable)."""

    def __init__(self, enqueuer: Enqueuer) -> None:
        self._enqueuer = enqueuer
        self._committer = Committer(enqueuer.store)
        self._looking: asyncio.Task[None] | None = None
        self._next_look: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Path | None = None) -> AsyncIterator[AsyncEnqueuer]:
        """An enqueuer for a program of one's own, as Enqueuer.open; leaving it waits for what was handed in."""
        opening = Enqueuer.open(config)
        enqueuer = await asyncio.to_thread(opening.__enter__)
        made = cls(enqueuer)
        try:
            yield made
        finally:
            await made.close()
            await asyncio.to_thread(opening.__exit__, None, None, None)

    async def close(self) -> None:
        """Waits until everything that was handed in is stored."""
        await self._committer.close()

    async def enqueue(self, events: Iterable[NumberEvent]) -> Summary:
        """Stores the events in their order and returns when all are stored, on disk where that was asked for."""
        return sum(await self.each(events), Summary())

    async def each(self, events: Iterable[NumberEvent]) -> list[Summary]:
        """One summary for each event, in their order. All of them go in one push, with whatever else comes at once."""
        several = list(events)
        deliveries = await self._deliveries(several)
        if any(refusal.code is RefusalCode.unknown_profile for one in deliveries for refusal in one.refused):
            await self._refresh()
            deliveries = await self._deliveries(several)
        pushed = await self._committer.push(deliveries)
        return [self._enqueuer.summary(*pair) for pair in zip(deliveries, pushed, strict=True)]

    async def _deliveries(self, events: Sequence[NumberEvent]) -> list[Delivery]:
        """Reading a number takes up to 0.1 ms: very many of them are read beside the loop, which has others waiting."""
        if read_at_once(events):
            return [self._enqueuer.delivery(event) for event in events]
        return await asyncio.to_thread(lambda: [self._enqueuer.delivery(event) for event in events])

    async def _refresh(self) -> None:
        """Looks the profiles up, once for all who ask before it begins: an earlier look may have missed theirs."""
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look_up(self._looking))
        await asyncio.shield(self._next_look)

    async def _look_up(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._looking, self._next_look = self._next_look, None
        await asyncio.to_thread(self._enqueuer.refresh)
