"""`trunkline import`: enqueues the numbers of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from trunkline.cli.enqueue import sentence_of
from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import answer, command, err
from trunkline.cli.session import session
from trunkline.operations.import_report import ImportReport
from trunkline.operations.names import WrongUse
from trunkline.text import did_you_mean
from trunkline_producers import Enqueuer, Row, Summary, import_rows, read_rows
from trunkline_producers.files.rows import COLUMNS


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
    columns = dict(map(_column, column or ()))
    report = ImportReport()
    with session(config, sandbox=sandbox, json=json) as opened:
        enqueuer = Enqueuer.from_settings(opened.store, opened.settings)
        rows = read_rows(file, number_column=number_column, columns=columns, profile=profile, force=force)
        with _progress(file, quiet=json) as progress:
            task = progress.add_task("importing", total=_size(file), note="")
            for n, (row, summary) in enumerate(import_rows(enqueuer, rows)):
                report.take(row, summary)
                if not json:
                    _print_refusals(row, summary)
                if n % 100 == 0:
                    progress.update(task, completed=row.at_byte, note=f"{report.accepted:,} accepted")
    told = sentence_of(report.summary())
    if report.refused:
        told += f", {report.refused:,} refused"
    answer(report.document(), told, json=json, fine=not report.refused)


def _column(text: str) -> tuple[str, str]:
    """Read FIELD=COLUMN. Raises WrongUse."""
    name, equals, column = text.partition("=")
    if not equals or name not in COLUMNS or not column.strip():
        fields = f"; the fields are {', '.join(COLUMNS)}"
        raise WrongUse(f"{text!r} is no FIELD=COLUMN{did_you_mean(name, COLUMNS)}{fields}")
    return name, column


def _size(file: Path) -> int | None:
    """Return the bytes of a file, None for what has no end that is known: a pipe, stdin."""
    if file.is_file():
        return file.stat().st_size
    return None


def _print_refusals(row: Row, summary: Summary) -> None:
    for refusal in summary.rejected:
        err().print(f"line {row.line}: {refusal.number}: {refusal.message}", style="red", markup=False)


def _progress(file: Path, *, quiet: bool) -> Progress:
    columns = (
        TextColumn(file.name, markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=err(), disable=quiet or not err().is_terminal)
