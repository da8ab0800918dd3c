"""Reading of a request: its body under a bound while it streams in, its target raw."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from trunkline_producers.receiver.responses import Reply, problem, too_large, unavailable
from trunkline_producers.webhooks.request import WebhookRequest, headers_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
MAX_BYTES_COMING: Final = 256 * 1024 * 1024
LARGE: Final = 65_536  # bytes; a larger body is read in a thread, so that other requests need not wait
BODY_S: Final = 15.0  # time that a body may take


class Refused(Exception):
    """The request can't be read; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Disconnected(Exception):
    """The sender hung up before its body was whole."""


def raw_target(scope: Scope) -> tuple[str, str]:
    """Path and query as they were sent, byte for byte; the query with its question mark, or ""."""
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    if not query:
        return path, ""
    return path, f"?{query}"


@dataclass(slots=True)
class Budget:
    """Bytes of incoming bodies that may still be held, of all requests together."""

    left: int = MAX_BYTES_COMING

    def take(self, size: int) -> None:
        """Take room for `size` bytes. Raises Refused if there is none."""
        if size > self.left:
            raise Refused(unavailable("Too much is coming in at once; send it again."))
        self.left -= size


async def read_request(scope: Scope, receive: Receive, *, url: str, limit: int, budget: Budget) -> WebhookRequest:
    """Read the whole request. Raises Refused for a body that is too large, too slow or encoded, and Disconnected."""
    headers = headers_of((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise Refused(problem(415, "encoded", "The body is encoded", "Send it without a Content-Encoding."))
    length = headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > limit):
        raise Refused(too_large(limit))
    body = await read_body(receive, limit, budget)
    return WebhookRequest(scope["method"], url, body, headers)


async def read_body(receive: Receive, limit: int, budget: Budget) -> bytes:
    """The body, never more than `limit` bytes of it in memory. Raises Refused and Disconnected."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Disconnected
                part: bytes = message.get("body", b"")
                if size + len(part) > limit:
                    raise Refused(too_large(limit))
                budget.take(len(part))
                size += len(part)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        detail = f"The body did not come within {BODY_S:g} seconds."
        slow = problem(408, "too_slow", "The body came too slowly", detail)
        raise Refused(slow.with_headers(("connection", "close"))) from None  # the rest of it would be waited for
    finally:
        budget.left += size


async def send_reply(send: Send, reply: Reply) -> None:
    """Sends a reply."""
    headers = [(b"content-length", str(len(reply.body)).encode())]
    if reply.body:
        headers.append((b"content-type", reply.media_type.encode("latin-1")))
    headers += [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def closing(send: Send) -> Send:
    """Sends answers that end their connection."""

    async def closed(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return closed
