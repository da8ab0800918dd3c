"""What people see: tables of the books, of one number, of dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trunkline.documents import rfc3339
from trunkline.store.model import Books, Entry, Pause

ALWAYS = ("queued", "attaching", "attached", "dead")
SELDOM = ("coalesced", "superseded", "dropped", "archived")  # shown where there are any
COLOURS = {"attached": "green", "dead": "red", "attaching": "cyan", "queued": "yellow"}


def books_table(books: Books) -> RenderableType:
    """The books: a row a profile, the sum, and the conservation law."""
    columns = ("accepted", *ALWAYS, *(name for name in SELDOM if books.totals[name]))
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("profile", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", style=COLOURS.get(name), no_wrap=True)
    for book in books.profiles:
        table.add_row(book.profile, *(f"{book.counts[name]:,}" for name in columns))
    table.add_section()
    table.add_row("in all", *(f"{books.totals[name]:,}" for name in columns), style="bold")
    events, calls = books.events, books.calls
    lines = [
        f"events: {events['accepted']:,} accepted, {events['duplicate']:,} duplicate, {events['rejected']:,} rejected",
        f"calls:  {calls['attach']:,} attach calls carried {calls['numbers']:,} numbers",
    ]
    paused = [_paused("profile", book.profile, book.paused) for book in books.profiles if book.paused]
    paused += [_paused("account", book.account, book.paused) for book in books.accounts if book.paused]
    verdict = Text("the books balance", "green") if books.balanced else Text("THE BOOKS DO NOT BALANCE", "bold red")
    return Group(table, *(Text(line) for line in lines), *paused, verdict)


def entries_view(entries: Iterable[Entry]) -> RenderableType:
    """Everything known of a number, a block a profile."""
    blocks: list[RenderableType] = []
    for entry in entries:
        rows: list[tuple[str, object]] = [
            ("number", entry.number),
            ("profile", entry.profile),
            ("state", Text(entry.state.value, COLOURS.get(entry.state.value, ""))),
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
    until = f", asked again at {rfc3339(pause.until_ms)}" if pause.until_ms else ""
    return Text(
        f"{kind} {name} is paused by {pause.by} since {rfc3339(pause.since_ms)}{until}: {pause.reason}", "yellow"
    )
