"""Replies of the receiver as values; errors are problem documents (RFC 9457)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
_compact: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
RETRY_S: Final = 5  # when the store is away
RETRY_FULL_S: Final = 60  # when the queue is full


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, headers by lower-case name, and the body's bytes."""

    status: int
    body: bytes = b""
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def with_headers(self, *headers: tuple[str, str]) -> Reply:
        """The same reply with more headers."""
        return replace(self, headers=(*self.headers, *headers))


def document(status: int, content: Any, *, media_type: str = JSON) -> Reply:
    """A JSON document."""
    return Reply(status, _compact(content).encode(), media_type)


def problem(status: int, code: str, title: str, detail: str = "", **more: Any) -> Reply:
    """An error: `code` is stable and for programs, `title` and `detail` are for people; `more` are further members."""
    content: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "code": code}
    if detail:
        content["detail"] = detail
    return document(status, content | more, media_type=PROBLEM)


def unknown_source() -> Reply:
    """404, the same for every path without a source, so that nobody learns names by asking."""
    return problem(404, "unknown_source", "There is no such source")


def too_large(limit: int) -> Reply:
    """413: the body is over the limit, and nothing of it was kept."""
    return problem(413, "too_large", "The body is too large", f"At most {limit} bytes are taken.")


def unavailable(detail: str = "The store is away; nothing is lost, send it again.", after_s: int = RETRY_S) -> Reply:
    """503: the sender should send it again."""
    return problem(503, "unavailable", "Not stored", detail).with_headers(("retry-after", str(after_s)))


def no_room() -> Reply:
    """503: it can't be taken in, and there is no room to keep it; the sender should send it again."""
    return unavailable("It can't be taken in, and there is no room to keep it; send it again later.", RETRY_FULL_S)


def not_ready(why: str) -> Reply:
    """503 of /readyz; `why` is shown."""
    return problem(503, "unavailable", "Not ready", why).with_headers(("retry-after", str(RETRY_S)))


def full(**more: Any) -> Reply:
    """429: the queue is over its limit."""
    detail = "Too many numbers wait already; send it again later."
    return problem(429, "queue_full", "The queue is full", detail, **more).with_headers(
        ("retry-after", str(RETRY_FULL_S))
    )
