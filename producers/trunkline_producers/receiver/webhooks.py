"""The endpoint `/hooks/{source}`: verifies a delivery, stores it, and answers once it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from trunkline.lifecycle import Refusal
from trunkline.store import Store, StoreError, StoreUnavailable, rejections
from trunkline_producers.deliveries.delivery import (
    DeliveryResult,
    Fetch,
    Fetched,
    fetched,
    not_understood,
    settled,
    understood,
)
from trunkline_producers.enqueue.async_enqueuer import AsyncEnqueuer, read_at_once
from trunkline_producers.receiver.background import Finishing
from trunkline_producers.receiver.delivery_log import Tally
from trunkline_producers.receiver.requests import LARGE, Budget, Receive, Refused, Scope, raw_target, read_request
from trunkline_producers.receiver.responses import Reply, document, full, no_room, problem, unavailable, unknown_source
from trunkline_producers.sources import Source
from trunkline_producers.verify import Key, Unverified
from trunkline_producers.webhooks.mapping import Mapped
from trunkline_producers.webhooks.request import WebhookRequest

PREFIX: Final = "/hooks/"
MAX_UNDER_WAY: Final = 2_000  # deliveries at a time; more are refused
MAX_TOLD: Final = 100  # refusals in one answer
FETCH_RETRY_S: Final = 60
WITHOUT_BODY: Final = (204, 205)  # by HTTP: a body would be read as the next answer


@dataclass(slots=True, kw_only=True)
class Hooks:
    """The endpoint of every source. `clock` returns unix seconds; `scrub` removes known secrets from a text."""

    sources: Mapping[str, Source]
    enqueuer: AsyncEnqueuer
    store: Store
    tally: Tally
    fetch: Fetch
    clock: Callable[[], float]
    scrub: Callable[[str], str]
    public_url: str | None
    max_body_bytes: int
    max_kept_bytes: int
    finishing: Finishing
    budget: Budget
    _under_way: int = 0

    async def reply(self, scope: Scope, receive: Receive) -> Reply:
        """The reply to one request, whatever its bytes. Raises Disconnected if the sender no longer waits for it."""
        name = scope["path"][len(PREFIX) :].partition("/")[0]
        source = self.sources.get(name)
        if source is None:
            return unknown_source()
        method = scope["method"]
        if method == "OPTIONS":
            return _handshake(source, scope)
        if method not in source.table.methods:
            allowed = ", ".join(source.table.methods)
            return problem(405, "method", "This source does not use that method").with_headers(("allow", allowed))
        try:
            request = await read_request(
                scope, receive, url=self._url(source, scope), limit=self.max_body_bytes, budget=self.budget
            )
        except Refused as refused:
            return refused.reply
        if self._under_way + len(self.finishing) >= MAX_UNDER_WAY:
            return unavailable("Too many deliveries are under way; send it again.")
        self._under_way += 1
        try:
            return await self._deliver(source, request)
        finally:
            self._under_way -= 1

    async def _deliver(self, source: Source, request: WebhookRequest) -> Reply:
        try:
            if len(request.body) > LARGE:
                key, mapped = await asyncio.to_thread(self._verified, source, request)
            else:
                key, mapped = self._verified(source, request)
        except Unverified as error:
            return self._unverified(source, request, error)
        try:
            work = self._take(source, request, mapped)
            if _takes_long(mapped):
                taken = await self.finishing.within(source.table.answer_within_s, work)
            else:  # the push begins at once and goes on after a time-out
                async with asyncio.timeout(source.table.answer_within_s):
                    taken = await work
        except TimeoutError:
            self.tally.unavailable(source.name, "the store did not answer in time")
            return unavailable("It was not stored in time; send it again.")
        except rejections.RejectionsFull as error:
            self.tally.no_room(source.name, str(error))
            return no_room()
        except (StoreUnavailable, StoreError) as error:
            self.tally.unavailable(source.name, str(error))
            return unavailable()
        self.tally.taken(source.name, key.id, taken)
        return reply_to(source, taken)

    def _unverified(self, source: Source, request: WebhookRequest, error: Unverified) -> Reply:
        challenge = source.scheme.challenge
        reply = problem(401, error.reason, "The delivery is not verified", str(error))
        if challenge is None:
            self.tally.unverified(source.name, error.reason)
            return reply
        if request.body or "authorization" in request.headers:  # else the sender only asks for the challenge
            self.tally.unverified(source.name, error.reason)
        return reply.with_headers(("www-authenticate", challenge))

    def _verified(self, source: Source, request: WebhookRequest) -> tuple[Key, Mapped | Refusal]:
        key = source.scheme.verify(request, source.keys, self.clock())
        return key, understood(source, request)

    async def _take(self, source: Source, request: WebhookRequest, mapped: Mapped | Refusal) -> DeliveryResult:
        if isinstance(mapped, Refusal):
            taken = not_understood(source, request, mapped, self.scrub)
        else:
            got = Fetched(mapped, mapped.events)
            if mapped.thin:
                got = await asyncio.to_thread(fetched, source, mapped, self.fetch)
            taken = settled(source, request, got, await self.enqueuer.each(got.events), self.scrub)
        if taken.kept:
            await asyncio.to_thread(
                rejections.keep,
                self.store,
                taken.kept,
                most_bytes=self.max_kept_bytes,
                comes_again=source.table.on_rejected == "refuse",
                counts=taken.counts,
            )
        return taken

    def _url(self, source: Source, scope: Scope) -> str:
        """The URL as the sender used it: the configured base, since a proxy changes it, and the raw target."""
        path, query = raw_target(scope)
        if source.table.url is not None:
            return source.table.url + query
        return (self.public_url or "") + path + query


def reply_to(source: Source, taken: DeliveryResult) -> Reply:
    """The reply to a delivery that was read: 2xx if it is stored, or kept and its source must not see an error."""
    if taken.full:
        return full()
    if taken.unfetched:
        return unavailable("The numbers of the order could not be fetched yet; send it again.", FETCH_RETRY_S)
    content = taken.summary.as_json(MAX_TOLD)
    if taken.ignored:
        content["ignored"] = taken.ignored
    if taken.refused_whole and source.table.on_rejected == "refuse":
        detail = "; ".join(dict.fromkeys(refusal.message for refusal in taken.summary.rejected[:20]))
        if taken.kept:
            content["kept"] = taken.kept.id
        return problem(422, taken.summary.rejected[0].code, "Nothing of it was taken in", detail, **content)
    answer = source.answer
    if answer.status in WITHOUT_BODY:
        return Reply(answer.status)
    if answer.body is not None:
        return Reply(answer.status, answer.body.encode(), answer.media_type)
    return document(answer.status, content)


def _takes_long(mapped: Mapped | Refusal) -> bool:
    """True if a time-out could end the work before it reaches the store, at each redelivery again."""
    if isinstance(mapped, Refusal):
        return True
    return bool(mapped.thin or mapped.faults) or not read_at_once(mapped.events)


def _handshake(source: Source, scope: Scope) -> Reply:
    """CloudEvents' abuse protection: every sender is allowed, as every delivery is verified."""
    allowed = ("allow", ", ".join(source.table.methods))
    origin = next((value for name, value in scope["headers"] if name == b"webhook-request-origin"), None)
    if origin is None:
        return Reply(204, headers=(allowed,))
    said = origin.decode("latin-1")
    return Reply(200, headers=(allowed, ("webhook-allowed-origin", said), ("webhook-allowed-rate", "*")))
