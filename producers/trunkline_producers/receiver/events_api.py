"""The routes for programs and platforms: /v1/events, /healthz, /readyz, and their description."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from trunkline import __version__
from trunkline.errors import InvalidEvent, Mistake
from trunkline.events.event import NumberEvent
from trunkline.lifecycle import Refusal, RefusalCode
from trunkline.store import Store, StoreError, StoreUnavailable, rejections
from trunkline_producers.deliveries.replay import kept_of_program
from trunkline_producers.enqueue.async_enqueuer import AsyncEnqueuer
from trunkline_producers.enqueue.enqueuer import Summary
from trunkline_producers.receiver import openapi
from trunkline_producers.receiver.access import refusal
from trunkline_producers.receiver.background import Finishing
from trunkline_producers.receiver.delivery_log import Tally
from trunkline_producers.receiver.readiness import Readiness
from trunkline_producers.receiver.requests import LARGE, Budget, Refused, read_request
from trunkline_producers.receiver.responses import Reply, document, full, no_room, not_ready, problem, unavailable
from trunkline_producers.sources.interpret import at_most, from_cloudevent, native_events
from trunkline_producers.webhooks.bodies import Unreadable, read_json
from trunkline_producers.webhooks.cloudevents import is_cloudevent, read_cloudevents
from trunkline_producers.webhooks.request import WebhookRequest

MAX_TOLD: Final = 1_000  # refusals in one answer
SOURCE: Final = "api"  # of events that name none


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The routes /v1/events and /readyz. Every request is answered within `within_s` seconds."""

    enqueuer: AsyncEnqueuer
    store: Store
    token: str | None
    public: bool
    max_body_bytes: int
    max_kept_bytes: int
    tally: Tally
    finishing: Finishing
    budget: Budget
    readiness: Readiness
    within_s: float = 10.0

    async def events(self, request: Request) -> Reply:
        """POST /v1/events."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        peer = request.client and request.client.host
        if refused := refusal(self.token, peer, headers, public=self.public):
            return refused
        try:
            whole = await read_request(
                request.scope, request.receive, url="", limit=self.max_body_bytes, budget=self.budget
            )
            if len(whole.body) > LARGE:
                events, faults = await asyncio.to_thread(_read, whole)
            else:
                events, faults = _read(whole)
        except Refused as error:
            return error.reply
        except Unreadable as error:
            return problem(400, "unreadable", "The body can't be read", str(error))
        try:
            summaries = await self.finishing.within(self.within_s, self._take(events))
        except TimeoutError:
            return unavailable("It was not stored in time; send it again.")
        except (StoreUnavailable, StoreError) as error:
            return self._not_stored(error)
        refusals = tuple(Refusal("", RefusalCode.invalid_event, str(fault)) for fault in faults)
        return _reply(sum(summaries, Summary()) + Summary(rejected=refusals))

    async def _take(self, events: Sequence[NumberEvent]) -> list[Summary]:
        summaries = await self.enqueuer.each(events)
        for kept in kept_of_program(events, summaries):
            await asyncio.to_thread(rejections.keep, self.store, kept, most_bytes=self.max_kept_bytes, counts=False)
        return summaries

    def _not_stored(self, error: StoreUnavailable | StoreError) -> Reply:
        if isinstance(error, rejections.RejectionsFull):
            self.tally.no_room(SOURCE, str(error))
            return no_room()
        return unavailable()

    async def ready(self) -> Reply:
        """GET /readyz: 200 if an event would be stored now."""
        if trouble := await self.readiness.trouble():
            return not_ready(trouble)
        return document(200, {"status": "ready"})


def make_app(api: Api, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    """The application of these routes; every error is a problem document."""
    app = FastAPI(
        title="trunkline",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        description=openapi.ABOUT,
    )

    @app.post("/v1/events", **openapi.EVENTS)
    async def events(request: Request) -> Response:
        """Number events for programs: one, an array of them, or CloudEvents (structured, binary, batched)."""
        return _response(await api.events(request))

    @app.get("/healthz", **openapi.HEALTH)
    async def healthz() -> Response:
        """The receiver is alive."""
        return _response(document(200, {"status": "alive"}))

    @app.get("/readyz", **openapi.READY)
    async def readyz() -> Response:
        """An event would be stored now: the store takes a write, and the receiver is not stopping."""
        return _response(await api.ready())

    @app.exception_handler(HTTPException)
    async def failed(_request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method"}.get(error.status_code, "refused")
        headers = tuple((name.lower(), value) for name, value in (error.headers or {}).items())
        return _response(problem(error.status_code, code, str(error.detail)).with_headers(*headers))

    app.openapi = lambda: openapi.described(app)  # type: ignore[method-assign]  # FastAPI's own way of extending it
    return app


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers), media_type=reply.media_type)


def _read(request: WebhookRequest) -> tuple[tuple[NumberEvent, ...], tuple[Mistake, ...]]:
    """The events of a request, and the mistakes of the others. Raises Unreadable and Refused."""
    if is_cloudevent(request):
        return _from_cloudevents(request)
    if request.media_type != "application/json" and not request.media_type.endswith("+json"):
        detail = "Send JSON with Content-Type: application/json, or CloudEvents."
        raise Refused(problem(415, "media_type", "The body is of another type", detail))
    found = read_json(request.body)
    if not isinstance(found, list):
        found = [found]
    return native_events(at_most(found), default_source=SOURCE)


def _from_cloudevents(request: WebhookRequest) -> tuple[tuple[NumberEvent, ...], tuple[Mistake, ...]]:
    items: list[Any] = []
    faults: list[Mistake] = []
    for index, event in enumerate(at_most(read_cloudevents(request))):
        try:
            items.append(from_cloudevent(event))
        except InvalidEvent as invalid:
            faults += [mistake.under(f"[{index}]") for mistake in invalid.mistakes]
    events, more = native_events(items, default_source=SOURCE)
    return events, (*faults, *more)


def _reply(summary: Summary) -> Reply:
    content = summary.as_json(MAX_TOLD)
    if any(refusal.code is RefusalCode.queue_full for refusal in summary.rejected):
        return full(**content)
    if summary.rejected and not summary.accepted and not summary.duplicate:
        detail = "; ".join(dict.fromkeys(refusal.message for refusal in summary.rejected[:20]))
        return problem(422, summary.rejected[0].code, "Nothing of it was taken in", detail, **content)
    return document(202, content)
