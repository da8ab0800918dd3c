"""What people see: tables of the books, of one number, of dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trunkline.lifecycle import State
from trunkline.operations.waiting import books_of, unattended, why_waiting
from trunkline.store.model import Books, Entry, Pause
from trunkline.timestamps import rfc3339

ALWAYS = ("queued", "attaching", "attached", "dead")
SELDOM = ("coalesced", "superseded", "dropped", "archived")  # shown where there are any
DAY_MS = 24 * 3600 * 1000  # how long the status tells of a clock that stepped back
COLOURS = {"attached": "green", "dead": "red", "attaching": "cyan", "queued": "yellow"}


def books_table(books: Books) -> RenderableType:
    """The books: a row a profile, the sum, and the conservation law."""
    columns = ("accepted", *ALWAYS, *(name for name in SELDOM if books.totals[name]))
    table = Table(box=box.SIMPLE_HEAD)
    widest = max((len(book.profile) for book in books.profiles), default=0)
    table.add_column("profile", no_wrap=True, min_width=widest)
    for name in columns:  # on a narrow terminal the line is wrapped, and no number is cut
        width = max(len(name), len(f"{books.totals[name]:,}"))
        table.add_column(name, justify="right", style=COLOURS.get(name), no_wrap=True, min_width=width)
    for book in books.profiles:
        table.add_row(book.profile, *(f"{book.counts[name]:,}" for name in columns))
    table.add_section()
    table.add_row("in all", *(f"{books.totals[name]:,}" for name in columns), style="bold")
    events, calls = books.events, books.calls
    lines = [
        f"events: {events['accepted']:,} accepted, {events['duplicate']:,} duplicate, {events['rejected']:,} rejected",
        f"calls:  {calls['attach']:,} attach calls carried {calls['numbers']:,} numbers",
        _who_lives(books),
    ]
    paused = [_paused("profile", book.profile, book.paused) for book in books.profiles if book.paused]
    paused += [_paused("account", book.account, book.paused) for book in books.accounts if book.paused]
    notices = [Text(notice, "yellow") for notice in notices_of(books)]
    verdict = Text("the books balance", "green") if books.balanced else Text("THE BOOKS DO NOT BALANCE", "bold red")
    return Group(table, *(Text(line) for line in lines), *paused, *notices, verdict)


def _who_lives(books: Books) -> str:
    """How many workers there are, and with how many configurations: two while a deploy goes on."""
    living, configurations = len(books.workers), len({worker.configuration for worker in books.workers})
    if not living:
        return "workers: none live"
    plural = "" if configurations == 1 else "s"
    return f"workers: {living:,} live{'s' if living == 1 else ''}, with {configurations:,} configuration{plural}"


def notices_of(books: Books) -> list[str]:
    """What an operator should look at, a sentence each: numbers that nobody sends, a clock that stepped back."""
    workers = len(books.workers)
    waiting = [book for book in books.profiles if book.counts["queued"]]
    unsent = [(book.profile, unattended(book, workers)) for book in waiting]
    notices = [f"profile {profile} waits: {reason}" for profile, reason in unsent if reason]
    if books.clock_stepped is not None:
        by_ms, at_ms = books.clock_stepped
        if books.now_ms - at_ms < DAY_MS:
            stepped = f"the store's clock stepped back by {by_ms / 1000:g} s at {rfc3339(at_ms)}"
            notices.append(f"{stepped}; look at the time service (NTP) of its host")
    return notices


def workers_table(books: Books) -> Table:
    """The workers that live, a line each."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("host", "pid", "version", "threads busy", "configuration", "last seen"):
        table.add_column(name, no_wrap=True)
    for worker in books.workers:
        seen = f"{max(0, books.now_ms - worker.seen_ms) / 1000:.0f} s ago"
        busy = f"{worker.busy} of {worker.threads}"
        row = (worker.host, str(worker.pid), worker.version, busy, worker.configuration, seen)
        table.add_row(*(Text(text) for text in row))
    return table


def entries_view(entries: Iterable[Entry], books: Books) -> RenderableType:
    """Everything known of a number, a block a profile; the books say what it waits for."""
    blocks: list[RenderableType] = []
    for entry in entries:
        rows: list[tuple[str, object]] = [
            ("number", entry.number),
            ("profile", entry.profile),
            ("account", books_of(entry, books)[1].account),
            ("state", Text(entry.state.value, COLOURS.get(entry.state.value, ""))),
            ("waits for", why_waiting(entry, books)),
            ("in doubt", _doubt(entry)),
            ("attempts", entry.attempts),
            ("queued at", rfc3339(entry.queued_ms)),
            ("updated at", rfc3339(entry.updated_ms)),
            ("next attempt at", rfc3339(entry.next_attempt_ms)),
            ("error", f"{entry.dead_code or entry.error_code}: {entry.message}" if entry.error_code else None),
            ("the API said", entry.answer or None),
            ("source", entry.source),
            ("events", ", ".join(entry.event_ids)),
            ("metadata", entry.metadata or None),
        ]
        blocks += [pairs_table((name, value) for name, value in rows if value is not None), Text("")]
    return Group(*blocks[:-1])


def _doubt(entry: Entry) -> str | None:
    if not entry.in_doubt:
        return None
    if entry.state is State.dropped:
        return "cancelled; an earlier call may have attached it"
    return "an earlier call may have attached it"


def dead_table(entries: Iterable[Entry]) -> Table:
    """Dead letters, oldest first."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("number", "profile", "code"):
        table.add_column(name, no_wrap=True)
    table.add_column("what the API or trunkline says", overflow="fold")
    table.add_column("dead since", no_wrap=True)
    for entry in entries:
        says = f"{entry.api_code}: {entry.message}" if entry.api_code else entry.message
        since = (rfc3339(entry.dead_ms) or "")[:16].replace("T", " ")
        table.add_row(Text(entry.number), Text(entry.profile), Text(entry.dead_code, "red"), Text(says), Text(since))
    return table


def pairs_table(rows: Iterable[tuple[str, Any]]) -> Table:
    """Names and values without a frame."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value if isinstance(value, Text) else Text(str(value)))
    return table


def _paused(kind: str, name: str, pause: Pause) -> Text:
    if pause.by == "operator":
        stopped = f"{kind} {name} is paused by an operator"
    elif kind == "account":
        stopped = f"the breaker of account {name} is open"
    else:
        stopped = f"{kind} {name} is paused by the API's answers"
    until = f", asked again at {rfc3339(pause.until_ms)}" if pause.until_ms else ""
    return Text(f"{stopped} since {rfc3339(pause.since_ms)}{until}: {pause.reason}", "yellow")
