"""Tables of the books and of the workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trunkline.cli.render import COLOURS
from trunkline.operations.status import notices_of
from trunkline.store.model import Books, Pause
from trunkline.timestamps import rfc3339

ALWAYS: Final = ("queued", "attaching", "attached", "dead")
SELDOM: Final = ("coalesced", "superseded", "dropped", "archived")  # shown where there are any


def books_table(books: Books) -> RenderableType:
    """Return the books for people: a row for each profile, the sum, events and calls, pauses, the conservation law."""
    return Group(
        _counts(books),
        *map(Text, _sums(books)),
        *_pauses(books),
        *(Text(notice, "yellow") for notice in notices_of(books)),
        _verdict(books),
    )


def _counts(books: Books) -> Table:
    seldom = filter(lambda name: books.totals[name], SELDOM)
    columns = ("accepted", *ALWAYS, *seldom)
    table = Table(box=box.SIMPLE_HEAD)
    widest = max((len(book.profile) for book in books.profiles), default=0)
    table.add_column("profile", no_wrap=True, min_width=widest)
    for name in columns:  # on a narrow terminal the line is wrapped, and no number is cut
        width = max(len(name), len(f"{books.totals[name]:,}"))
        table.add_column(name, justify="right", style=COLOURS.get(name), no_wrap=True, min_width=width)
    for book in books.profiles:
        table.add_row(book.profile, *_cells(book.counts, columns))
    table.add_section()
    table.add_row("in all", *_cells(books.totals, columns), style="bold")
    return table


def _cells(counts: Mapping[str, int], columns: tuple[str, ...]) -> Iterator[str]:
    for name in columns:
        yield f"{counts[name]:,}"


def _sums(books: Books) -> Iterator[str]:
    events, calls = books.events, books.calls
    yield (
        f"events: {events['accepted']:,} accepted, {events['duplicate']:,} duplicate, {events['rejected']:,} rejected"
    )
    yield f"calls:  {calls['attach']:,} attach calls carried {calls['numbers']:,} numbers"
    yield _living(books)


def _living(books: Books) -> str:
    """Count the workers and their configurations; there are two configurations while a deploy goes on."""
    living = len(books.workers)
    configurations = len({worker.configuration for worker in books.workers})
    if not living:
        return "workers: none live"
    told = f"workers: {living:,} live"
    if living == 1:
        told = "workers: 1 lives"
    if configurations == 1:
        return f"{told}, with 1 configuration"
    return f"{told}, with {configurations:,} configurations"


def _pauses(books: Books) -> Iterator[Text]:
    for profile in books.profiles:
        if profile.paused:
            yield _pause("profile", profile.profile, profile.paused)
    for account in books.accounts:
        if account.paused:
            yield _pause("account", account.account, account.paused)


def _pause(kind: str, name: str, pause: Pause) -> Text:
    if pause.by == "operator":
        stopped = f"{kind} {name} is paused by an operator"
    elif kind == "account":
        stopped = f"the breaker of account {name} is open"
    else:
        stopped = f"{kind} {name} is paused by the API's answers"
    until = ""
    if pause.until_ms:
        until = f", asked again at {rfc3339(pause.until_ms)}"
    return Text(f"{stopped} since {rfc3339(pause.since_ms)}{until}: {pause.reason}", "yellow")


def _verdict(books: Books) -> Text:
    if books.balanced:
        return Text("the books balance", "green")
    return Text("THE BOOKS DO NOT BALANCE", "bold red")


def workers_table(books: Books) -> Table:
    """Return the workers that live, a line each."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("host", "pid", "version", "threads busy", "configuration", "last seen"):
        table.add_column(name, no_wrap=True)
    for worker in books.workers:
        seen = f"{max(0, books.now_ms - worker.seen_ms) / 1000:.0f} s ago"
        busy = f"{worker.busy} of {worker.threads}"
        row = (worker.host, str(worker.pid), worker.version, busy, worker.configuration, seen)
        table.add_row(*map(Text, row))
    return table
