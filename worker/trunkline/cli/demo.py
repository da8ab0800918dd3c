"""`trunkline demo`: the whole product on real machinery against the stand-in API, until every number has ended."""

from __future__ import annotations

import signal
import time
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trunkline.cli.books_view import books_table
from trunkline.cli.demo_delivery import deliver
from trunkline.cli.demo_stage import Stage, running
from trunkline.cli.options import JsonOption
from trunkline.cli.output import FAILED, command, err, fail, out, print_json
from trunkline.cli.render import entries_view
from trunkline.config.store_place import place_of
from trunkline.operations.documents import status_document
from trunkline.sandbox import STAND_IN
from trunkline.store import Store, queries
from trunkline.store.model import Books
from trunkline.telemetry import logs
from trunkline_producers import Summary

LOOK_S: Final = 0.2
SILENCE_S: Final = 60.0  # nothing moved for so long: something is broken


@command
def demo(
    numbers: Annotated[int, typer.Option("--numbers", min=1, max=1_000_000, help="How many phone numbers.")] = 2000,
    fail_rate: Annotated[
        float, typer.Option("--fail-rate", min=0, max=0.9, help="Share that fails at each try.")
    ] = 0.05,
    json: JsonOption = False,
) -> None:
    """Runs everything against a stand-in for the API and ends by itself; no key, no server, nothing real is attached.

    Example: trunkline demo --numbers 5000 --fail-rate 0.1
    """
    logs.configure(level=50)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends like Ctrl-C: everything is stopped first
    started = time.monotonic()
    with running(fail_rate) as stage:
        if not json:
            err().print(f"[yellow]{STAND_IN}[/] at {stage.sandbox.base_url}: nothing real is attached")
        summary = deliver(stage, numbers, quiet=json)
        books = _follow(stage.store, quiet=json)
        if not json:
            books = _replay_one(stage, books)
            _explain(stage, summary, books, time.monotonic() - started)
    if json:
        seconds = round(time.monotonic() - started, 1)
        print_json(status_document(books, place_of(stage.settings)) | {"seconds": seconds})
    if not books.balanced or not _ended(books) or books.totals["accepted"] != summary.accepted:
        raise typer.Exit(FAILED)


def _follow(store: Store, *, quiet: bool) -> Books:
    """Wait until every accepted number is attached or dead, and show it; return the books of then."""
    books = queries.books(store)
    last, moved = -1, time.monotonic()
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=err(), disable=quiet, transient=False) as progress:
        task = progress.add_task(
            "attached or dead", total=books.totals["accepted"] - books.totals["coalesced"], note=""
        )
        while not _ended(books):
            time.sleep(LOOK_S)
            books = queries.books(store)
            done = books.totals["attached"] + books.totals["dead"]
            note = f"{books.totals['dead']} dead, {books.totals['queued']} waiting, {books.calls['attach']} calls"
            progress.update(task, completed=done, note=note)
            if books.calls["attach"] != last:
                last, moved = books.calls["attach"], time.monotonic()
            elif time.monotonic() - moved > SILENCE_S:
                fail("nothing has moved for a minute; this is a bug")
    return books


def _replay_one(stage: Stage, books: Books) -> Books:
    """Mend the reason of one dead letter, replay it and wait until it is attached; return the books of then."""
    letter = next(queries.dead_letters(stage.store), None)
    if letter is None:
        return books
    out().print("\nOne of the dead letters:")
    out().print(entries_view([letter], books))
    stage.sandbox.change(dead_rate=0.0)
    stage.store.replay([(letter.profile, letter.number)])
    books = _follow(stage.store, quiet=True)
    state = queries.entries_of(stage.store, letter.number)[0].state.value
    out().print(
        f"\nIts reason is mended and it is replayed (trunkline dead replay {letter.number}): now it is {state}.\n"
    )
    return books


def _explain(stage: Stage, summary: Summary, books: Books, seconds: float) -> None:
    stats = stage.sandbox.stats()
    out().print(books_table(books))
    failed = stats["attach"]["failed"]
    out().print(
        f"\n{summary.accepted:,} numbers in {seconds:.1f} s: {books.calls['attach']:,} calls in place of "
        f"{summary.accepted:,}; {failed:,} times the stand-in failed a number, and only that number was tried again"
    )


def _ended(books: Books) -> bool:
    return not books.totals["queued"] and not books.totals["attaching"]
