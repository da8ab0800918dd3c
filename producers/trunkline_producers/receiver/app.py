"""The receiver: sources, store and routes as one ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from threading import Event
from typing import Final

from fastapi import FastAPI

from trunkline.config.settings import Settings
from trunkline.events.routing import prepare
from trunkline.http.urls import on_loopback
from trunkline.store import Store, StoreError, StoreUnavailable, rejections
from trunkline.telemetry.logs import Log, logger
from trunkline_producers.deliveries.order_lookup import Fetcher
from trunkline_producers.deliveries.replay import Replayer
from trunkline_producers.enqueue.async_enqueuer import AsyncEnqueuer
from trunkline_producers.enqueue.enqueuer import Enqueuer
from trunkline_producers.receiver.background import Finishing
from trunkline_producers.receiver.delivery_log import Tally
from trunkline_producers.receiver.events_api import Api, make_app
from trunkline_producers.receiver.readiness import Readiness
from trunkline_producers.receiver.requests import Budget, Disconnected, Receive, Scope, Send, closing, send_reply
from trunkline_producers.receiver.webhooks import PREFIX, Hooks
from trunkline_producers.sources import Source

TICK_S: Final = 10.0  # between two looks at the published profiles; sums are logged as often
FETCH_AGAIN_TICKS: Final = 6  # between two look-ups of orders that failed
MAX_FETCHED_AGAIN: Final = 20
FETCH_S: Final = 10.0
FETCH_FOR_MS: Final = 3 * 24 * 3600 * 1000


class Receiver:
    """The ASGI application. Webhooks go straight to their endpoint, every other request through FastAPI.

    Webhooks have one route, and a framework's routing costs more than verifying, mapping and storing together.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        sources: Mapping[str, Source],
        *,
        scrub: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        server = settings.server
        prepare(settings.routes)
        self._plain = Enqueuer.from_settings(store, settings)
        self._enqueuer = AsyncEnqueuer(self._plain)
        self._tally = Tally(time.monotonic)
        self._turn = 0
        self._clock = clock
        self._fetchers = (Fetcher(), Fetcher(budget_s=FETCH_S))  # the first while a source waits for its answer
        self._replayer = Replayer(self._plain, sources, self._fetchers[1], scrub)
        self._finishing = Finishing()
        self._readiness = Readiness(store)
        self._stopping = Event()
        budget = Budget()
        self._hooks = Hooks(
            sources=sources,
            enqueuer=self._enqueuer,
            store=store,
            tally=self._tally,
            fetch=self._fetchers[0],
            clock=clock,
            scrub=scrub,
            public_url=server.public_url,
            max_body_bytes=server.max_body_bytes,
            max_kept_bytes=server.max_kept_bytes,
            finishing=self._finishing,
            budget=budget,
        )
        token: str | None = None
        if server.token:
            token = server.token.value.get_secret_value()
        api = Api(
            enqueuer=self._enqueuer,
            store=store,
            token=token,
            public=server.public_url is not None and not on_loopback(server.public_url),
            max_body_bytes=server.max_body_bytes,
            max_kept_bytes=server.max_kept_bytes,
            tally=self._tally,
            finishing=self._finishing,
            budget=budget,
            readiness=self._readiness,
        )
        self._rest = make_app(api, self._lifespan)

    def drain(self) -> None:
        """Let /readyz refuse and every answer close its connection from now on. Safe in a signal handler."""
        self._readiness.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the start and the end of the application."""
        if self._readiness.stopping:
            send = closing(send)
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            try:
                await send_reply(send, await self._hooks.reply(scope, receive))
            except Disconnected:
                return
        elif scope["type"] in {"http", "lifespan"}:
            with suppress(Disconnected):
                await self._rest(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            self._stopping.set()
            ticking.cancel()
            await self._finishing.close()
            await self._enqueuer.close()
            for fetcher in self._fetchers:
                fetcher.close()
            self._tally.flush()

    async def _tick(self) -> None:
        for tick in count(1):
            await asyncio.sleep(TICK_S)
            self._tally.flush()
            try:
                await asyncio.to_thread(self._plain.refresh)
                if tick % FETCH_AGAIN_TICKS == 0:
                    await asyncio.to_thread(self.fetch_again)
            except (StoreUnavailable, StoreError) as error:
                logger().warning(Log.store_unavailable, error=str(error))

    def fetch_again(self) -> None:
        """Look up the numbers that a carrier could not give when their webhook came: the next few orders, in turn."""
        store = self._plain.store
        young = self._clock() * 1000 - FETCH_FOR_MS
        waiting = rejections.ids_with(store, rejections.NOT_FETCHED, since_ms=young)
        if not waiting:
            return
        first = self._turn % len(waiting)
        turn = (waiting[first:] + waiting[:first])[:MAX_FETCHED_AGAIN]
        self._turn += len(turn)
        for kept in rejections.get(store, turn):
            if self._stopping.is_set():
                return
            if kept.first_ms < young:
                continue  # too old: left to the operator
            taken = self._replayer.replay(kept)
            name = Log.rejection_replayed
            if taken.kept:
                name = Log.rejection_not_replayed
            logger().info(name, id=kept.id, source=kept.source, accepted=taken.summary.accepted)
