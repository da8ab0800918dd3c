"""What the receiver answers with: replies as values, errors as problem documents (RFC 9457)."""

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
    return document(status, content | ({"detail": detail} if detail else {}) | more, media_type=PROBLEM)


def unknown_source() -> Reply:
    """The same for every path that is no source's, so that nobody learns names by asking."""
    return problem(404, "unknown_source", "There is no such source")


def too_large(limit: int) -> Reply:
    """The body is over the limit; nothing of it was kept."""
    return problem(413, "too_large", "The body is too large", f"At most {limit} bytes are taken.")


def unavailable(detail: str = "The store is away; nothing is lost, send it again.", after_s: int = RETRY_S) -> Reply:
    """Not now: whoever sent it should send it again."""
    return problem(503, "unavailable", "Not stored", detail).with_headers(("retry-after", str(after_s)))


def no_room() -> Reply:
    """It can't be taken in as it is, and there is no room to keep it: whoever sent it should send it again."""
    return unavailable("It can't be taken in, and there is no room to keep it; send it again later.", RETRY_FULL_S)


def not_ready(why: str) -> Reply:
    """Nothing would be stored now; `why` is told to whoever asks."""
    return problem(503, "unavailable", "Not ready", why).with_headers(("retry-after", str(RETRY_S)))


def full(**more: Any) -> Reply:
    """The queue is over its limit."""
    detail = "Too many numbers wait already; send it again later."
    return problem(429, "queue_full", "The queue is full", detail, **more).with_headers(
        ("retry-after", str(RETRY_FULL_S))
    )
