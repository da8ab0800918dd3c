"""Tables of entries: one number, dead letters; and what several tables and sentences are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trunkline.lifecycle import State
from trunkline.operations.waiting import books_of, why_waiting
from trunkline.store.model import Books, Dropped, Entry
from trunkline.timestamps import rfc3339

COLOURS: Final = {"attached": "green", "dead": "red", "attaching": "cyan", "queued": "yellow"}  # of states
MINUTE: Final = len("2026-11-22T12:00")


def entries_view(entries: Iterable[Entry], books: Books) -> RenderableType:
    """Return everything known of a number, a block for each profile; the books say what it waits for."""
    blocks: list[RenderableType] = []
    for entry in entries:
        known = filter(lambda row: row[1] is not None, _rows(entry, books))
        blocks += [pairs_table(known), Text("")]
    return Group(*blocks[:-1])


def _rows(entry: Entry, books: Books) -> Iterator[tuple[str, object]]:
    yield "number", entry.number
    yield "profile", entry.profile
    yield "account", books_of(entry, books)[1].account
    yield "state", Text(entry.state.value, COLOURS.get(entry.state.value, ""))
    yield "waits for", why_waiting(entry, books)
    yield "in doubt", _doubt(entry)
    yield "attempts", entry.attempts
    yield "queued at", rfc3339(entry.queued_ms)
    yield "updated at", rfc3339(entry.updated_ms)
    yield "next attempt at", rfc3339(entry.next_attempt_ms)
    if entry.error_code:
        yield "error", f"{entry.dead_code or entry.error_code}: {entry.message}"
    yield "the API said", entry.answer or None
    yield "source", entry.source
    yield "events", ", ".join(entry.event_ids)
    yield "metadata", entry.metadata or None


def _doubt(entry: Entry) -> str | None:
    if not entry.in_doubt:
        return None
    if entry.state is State.dropped:
        return "cancelled; an earlier call may have attached it"
    return "an earlier call may have attached it"


def dead_table(entries: Iterable[Entry]) -> Table:
    """Return dead letters, a line each, in their order."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("number", "profile", "code"):
        table.add_column(name, no_wrap=True)
    table.add_column("what the API or trunkline says", overflow="fold")
    table.add_column("dead since", no_wrap=True)
    for entry in entries:
        says = entry.message
        if entry.api_code:
            says = f"{entry.api_code}: {entry.message}"
        cells = (Text(entry.number), Text(entry.profile), Text(entry.dead_code, "red"), Text(says))
        table.add_row(*cells, Text(to_the_minute(entry.dead_ms)))
    return table


def given_back(done: Dropped) -> str:
    """Return what to add to the sentence of a drop or a cancel: the entries that own a direction again, "" for none."""
    if not done.given_back:
        return ""
    return f"; {done.given_back:,} given back to the profiles they were taken from"


def to_the_minute(at_ms: int | None) -> str:
    """Return a time for a column of a table: day and minute in UTC, "" for None."""
    return (rfc3339(at_ms) or "")[:MINUTE].replace("T", " ")


def pairs_table(rows: Iterable[tuple[str, Any]]) -> Table:
    """Return names and values without a frame; a value that is no Text is shown as plain text."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        if not isinstance(value, Text):
            value = Text(str(value))  # noqa: PLW2901  # the same value, as it is shown
        table.add_row(name, value)
    return table


def lines_table(names: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    """Return a table with a heading and plain text in every cell; long texts are folded."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
