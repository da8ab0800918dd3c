"""The JSON documents that commands and routes answer with; their names are promised and don't change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from trunkline.config.store_place import StorePlace
from trunkline.operations.waiting import books_of, why_waiting
from trunkline.store.model import Books, Entry, Pause
from trunkline.store.rejections import StoredRejection
from trunkline.store.scripts import SCHEMA
from trunkline.timestamps import rfc3339


def status_document(books: Books, place: StorePlace, schema: int = SCHEMA) -> dict[str, Any]:
    """`status --json`: the books per profile and in all, who works on them, and which store they are of.

    `schema`: of its data.
    """
    return {
        "store": {"kind": place.kind, "at": place.at, "schema": schema, "clock_stepped": _stepped(books)},
        "profiles": [
            {
                "profile": book.profile,
                "account": book.account,
                **{name: book.counts[name] for name in ("queued", "attaching", "attached", "dead")},
                "paused": _pause(book.paused),
                "carried": book.carried,
                "oldest_waiting_at": rfc3339(book.oldest_waiting_ms),
            }
            for book in books.profiles
        ],
        "accounts": [
            {"account": book.account, "paused": _pause(book.paused), "retry_at": rfc3339(book.retry_at_ms)}
            for book in books.accounts
        ],
        "workers": workers_document(books),
        "totals": dict(books.totals),
        "events": dict(books.events),
        "calls": dict(books.calls),
        "balanced": books.balanced,
    }


def workers_document(books: Books) -> list[dict[str, Any]]:
    """`workers --json`: every worker process that lives, as it last spoke of itself."""
    return [
        {
            "id": worker.id,
            "host": worker.host,
            "pid": worker.pid,
            "version": worker.version,
            "threads": worker.threads,
            "busy": worker.busy,
            "configuration": worker.configuration,
            "seen_at": rfc3339(worker.seen_ms),
        }
        for worker in books.workers
    ]


def number_document(entries: Iterable[Entry], books: Books) -> list[dict[str, Any]]:
    """`number --json`: everything known of one number, an object a profile; the books say what it waits for."""
    return [
        {
            "number": entry.number,
            "profile": entry.profile,
            "account": books_of(entry, books)[1].account,
            "state": entry.state.value,
            "waiting_for": why_waiting(entry, books),
            "in_doubt": entry.in_doubt,
            "attempts": entry.attempts,
            "queued_at": rfc3339(entry.queued_ms),
            "updated_at": rfc3339(entry.updated_ms),
            "next_attempt_at": rfc3339(entry.next_attempt_ms),
            "error": {"code": entry.dead_code or entry.error_code, "message": entry.message}
            if entry.error_code
            else None,
            "event_ids": list(entry.event_ids),
            "source": entry.source,
            "metadata": json.loads(entry.metadata) if entry.metadata else {},
        }
        for entry in entries
    ]


def dead_document(letter: Entry) -> dict[str, Any]:
    """One dead letter of `dead list --json`, with the API's own words."""
    return {
        "number": letter.number,
        "profile": letter.profile,
        "code": letter.dead_code,
        "api_code": letter.api_code or None,
        "message": letter.message,
        "attempts": letter.attempts,
        "dead_at": rfc3339(letter.dead_ms),
        "event_ids": list(letter.event_ids),
        "answer": letter.answer or None,
    }


def rejected_document(rejections: Iterable[StoredRejection]) -> list[dict[str, Any]]:
    """`rejected list --json`: what could not be taken in, the newest first; `bytes` is the body's length as it came."""
    return [
        {
            "id": kept.id,
            "source": kept.source,
            "code": kept.code,
            "message": kept.message,
            "at": rfc3339(kept.at_ms),
            "times": kept.times,
            "bytes": kept.size,
        }
        for kept in rejections
    ]


def rejection_document(kept: StoredRejection) -> dict[str, Any]:
    """`rejected show --json`: one with its request; `body` is null where it is not kept, or not UTF-8."""
    (summary,) = rejected_document([kept])
    try:
        body = kept.body.decode("utf-8") if kept.whole else None
    except UnicodeDecodeError:
        body = None
    request = {"method": kept.method, "url": kept.url, "headers": dict(kept.headers), "body": body}
    return {**summary, "first_at": rfc3339(kept.first_ms), **request}


def _stepped(books: Books) -> dict[str, Any] | None:
    if books.clock_stepped is None:
        return None
    by_ms, at_ms = books.clock_stepped
    return {"by_s": by_ms / 1000, "at": rfc3339(at_ms)}


def _pause(pause: Pause | None) -> dict[str, Any] | None:
    if pause is None:
        return None
    return {
        "reason": pause.reason,
        "since": rfc3339(pause.since_ms),
        "until": rfc3339(pause.until_ms),
        "by": pause.by,
    }
