"""Reads a file of numbers: opens it, tells CSV from JSON lines, gives its rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

from trunkline_producers.files.csv_rows import csv_rows
from trunkline_producers.files.json_rows import json_rows
from trunkline_producers.files.lines import Lines
from trunkline_producers.files.rows import COLUMNS, BadFile, Defaults, Row, folded

STDIN: Final = "-"
JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})


def read_rows(
    path: Path,
    *,
    number_column: str | None = None,
    columns: Mapping[str, str] | None = None,
    profile: str | None = None,
    force: bool = False,
    default_source: str = "import",
) -> Iterator[Row]:
    """Every row of a file as an event or a refusal; a broken row costs only itself. `-` reads stdin.

    CSV in UTF-8 or (with its mark) UTF-16, its delimiter , ; tab or | told from the first line, which names the
    columns; or JSON lines, told by the first character or the suffix. `number`, `numbers` (several in a cell, between
    ; , | or line breaks), `profile`, `event_id`, `source` and `occurred_at` are known by name, whatever their case; the
    rest is metadata, empty cells left out. `columns` says in which column another file has one of these fields, and
    `number_column` the number; `profile` and `default_source` are for rows that name none. A row without an event id
    gets one from what it says, so a file may be read twice.
    Raises BadFile, at the first row or at any later one, for a file that can't be opened, read or used at all.
    """
    named = {**(columns or {}), **({} if number_column is None else {"number": number_column})}
    if unknown := [purpose for purpose in named if purpose not in COLUMNS]:
        raise BadFile(f'has no field "{unknown[0]}" to take a column for; there are {", ".join(COLUMNS)}')
    defaults = Defaults(default_source, {purpose: folded(name) for purpose, name in named.items()}, profile, force)
    name = "standard input" if str(path) == STDIN else str(path)
    rows = 0
    try:
        with _opened(path) as file:
            for row in _rows(Lines(file), path.suffix.lower() in JSON_LINES, defaults):
                rows += 1
                yield row
    except OSError as error:
        raise BadFile(f"{name} can't be read: {_why(error)}") from error
    except BadFile as error:
        raise BadFile(f"{name} {error}") from None
    if not rows:
        raise BadFile(f"{name} has a first line that names the columns, and no rows below it")


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    if str(path) == STDIN:
        return nullcontext(sys.stdin.buffer)
    try:
        return path.open("rb")
    except ValueError:
        raise BadFile("is no name that a file can have") from None


def _rows(lines: Lines, as_json: bool, defaults: Defaults) -> Iterator[Row]:
    while (line := lines.peek()) and not line.strip():
        next(lines)
        lines.begin_row()
    if not line:
        raise BadFile("is empty")
    first = line.lstrip()
    if first.startswith("["):
        raise BadFile("is a JSON array; write one object a line instead (jq -c '.[]' does)")
    return json_rows(lines, defaults) if as_json or first.startswith("{") else csv_rows(lines, defaults)


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return "it is a folder; name a file" if isinstance(error, IsADirectoryError) else error.strerror or str(error)
