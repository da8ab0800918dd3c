"""Commands that bring numbers in: enqueue by hand, import a file."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import FAILED, USAGE, command, err, fail, out, print_json
from trunkline.cli.session import session
from trunkline.events.event import NumberEvent
from trunkline_producers import Enqueuer, Row, Summary, import_rows, read_rows
from trunkline_producers.files.rows import COLUMNS

MAX_REFUSALS: Final = 1000  # kept for --json; people see every one as it comes


@command
def enqueue(
    numbers: Annotated[list[str], typer.Argument(metavar="NUMBER...")],
    profile: Annotated[str, typer.Option("--profile", metavar="P", help="The direction profile they belong on.")],
    event_id: Annotated[
        str | None, typer.Option("--event-id", help="The same id is one event for 7 days; default: a new one.")
    ] = None,
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Where they come from.")] = "cli",
    force: Annotated[bool, typer.Option("--force", help="Send them even if they are attached.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Enqueues numbers by hand.

    Example: trunkline enqueue --profile support +14155550100 +14155550101
    """
    event = NumberEvent(
        event_id=event_id or f"cli-{uuid.uuid4()}", numbers=tuple(numbers), profile=profile, source=source, force=force
    )
    with session(config, sandbox=sandbox, json=json) as opened:
        summary = Enqueuer.from_settings(opened.store, opened.settings).enqueue([event])
    if json:
        print_json(summary.as_json())
    else:
        out().print(_sentence(summary))
        for refusal in summary.rejected:
            err().print(f"{refusal.number}: {refusal.message}", style="red", markup=False)
    if summary.rejected:
        raise typer.Exit(FAILED)


@command
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header, or JSON lines; - for stdin.")],
    profile: Annotated[str | None, typer.Option("--profile", metavar="P", help="For rows that name none.")] = None,
    number_column: Annotated[
        str | None, typer.Option("--number-column", metavar="C", help="The column with the number.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="FIELD=COLUMN", help="Where another field is, as in event_id='Order ID'."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Send them even if they are attached or were imported before.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Enqueues a CSV or JSON-lines file of any size; running it twice within 7 days enqueues nothing twice.

    Example: trunkline import numbers.csv --profile support
    """
    columns = dict(_pair(text) for text in column or [])
    with session(config, sandbox=sandbox, json=json) as opened:
        enqueuer = Enqueuer.from_settings(opened.store, opened.settings)
        rows = read_rows(file, number_column=number_column, columns=columns, profile=profile, force=force)
        report = _Report(quiet=json)
        with _progress(file, quiet=json) as progress:
            task = progress.add_task("importing", total=file.stat().st_size if file.is_file() else None, note="")
            for n, (row, summary) in enumerate(import_rows(enqueuer, rows)):
                report.take(row, summary)
                if n % 100 == 0:
                    progress.update(task, completed=row.at_byte, note=f"{report.accepted:,} accepted")
    if json:
        print_json(report.as_json())
    else:
        out().print(_sentence(report.summary()) + (f", {report.refused:,} refused" if report.refused else ""))
    if report.refused:
        raise typer.Exit(FAILED)


@dataclass(slots=True)
class _Report:
    """What became of a file's rows so far: sums, and the first refusals with their lines."""

    quiet: bool
    accepted: int = 0
    coalesced: int = 0
    duplicate: int = 0
    refused: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list)

    def take(self, row: Row, summary: Summary) -> None:
        """Counts a row, and tells of what was refused of it."""
        self.accepted += summary.accepted
        self.coalesced += summary.coalesced
        self.duplicate += summary.duplicate
        for refusal in summary.rejected:
            self.refused += 1
            if len(self.refusals) < MAX_REFUSALS:
                self.refusals.append({"line": row.line, **refusal.as_json()})
            if not self.quiet:
                err().print(f"line {row.line}: {refusal.number}: {refusal.message}", style="red", markup=False)

    def summary(self) -> Summary:
        """The sums, as enqueue has them."""
        return Summary(self.accepted, self.coalesced, self.duplicate)

    def as_json(self) -> dict[str, Any]:
        """The answer of enqueue, each refusal with its line; `rejected_total` where not all of them are listed."""
        document = self.summary().as_json() | {"rejected": self.refusals}
        return document | ({"rejected_total": self.refused} if self.refused > len(self.refusals) else {})


def _pair(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not equals or name not in COLUMNS or not column.strip():
        fail(f"{text!r} is no FIELD=COLUMN; the fields are {', '.join(COLUMNS)}", USAGE)
    return name, column


def _progress(file: Path, *, quiet: bool) -> Progress:
    columns = (
        TextColumn(file.name, markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=err(), disable=quiet or not err().is_terminal)


def _sentence(summary: Summary) -> str:
    words = [f"{summary.accepted:,} accepted"]
    if summary.coalesced:
        words.append(f"{summary.coalesced:,} of them joined an entry that was there")
    if summary.duplicate:
        words.append(f"{summary.duplicate:,} seen before within 7 days (--force takes them again)")
    return ", ".join(words)
