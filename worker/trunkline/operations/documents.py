"""JSON documents of the books and of entries, for commands and routes; their names are promised and don't change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from trunkline.config.store_place import StorePlace
from trunkline.operations.waiting import books_of, why_waiting
from trunkline.store.model import Books, Entry, Pause, ProfileBook
from trunkline.store.scripts import SCHEMA
from trunkline.timestamps import rfc3339


def status_document(books: Books, place: StorePlace, schema: int = SCHEMA) -> dict[str, Any]:
    """Return the document of `status --json`: the books per profile and in all, the workers, the store they are of.

    `schema` is that of the store's data.
    """
    return {
        "store": {"kind": place.kind, "at": place.at, "schema": schema, "clock_stepped": _stepped(books)},
        "profiles": [_profile(book) for book in books.profiles],
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


def _profile(book: ProfileBook) -> dict[str, Any]:
    return {
        "profile": book.profile,
        "account": book.account,
        "queued": book.counts["queued"],
        "attaching": book.counts["attaching"],
        "attached": book.counts["attached"],
        "dead": book.counts["dead"],
        "paused": _pause(book.paused),
        "carried": book.carried,
        "oldest_waiting_at": rfc3339(book.oldest_waiting_ms),
    }


def workers_document(books: Books) -> list[dict[str, Any]]:
    """Return the document of `workers --json`: every worker process that lives, as it last registered."""
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
    """Return the document of `number --json`: an object for each entry; the books say what it waits for."""
    return [_entry(entry, books) for entry in entries]


def _entry(entry: Entry, books: Books) -> dict[str, Any]:
    return {
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
        "error": _error(entry),
        "event_ids": list(entry.event_ids),
        "source": entry.source,
        "metadata": json.loads(entry.metadata or "{}"),
    }


def _error(entry: Entry) -> dict[str, str] | None:
    if not entry.error_code:
        return None
    return {"code": entry.dead_code or entry.error_code, "message": entry.message}


def dead_document(letter: Entry) -> dict[str, Any]:
    """Return one dead letter of `dead list --json`; `answer` is the API's own words for it."""
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
