"""Rows of a CSV file: a header that names the columns, then one event a row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trunkline.errors import InvalidEvent, Mistake
from trunkline.events.event import NumberEvent
from trunkline.lifecycle import Refusal
from trunkline.text import did_you_mean, printable
from trunkline.timestamps import read_iso
from trunkline_producers.files.lines import Lines, RowTooLong
from trunkline_producers.files.rows import (
    COLUMNS,
    BadFile,
    Defaults,
    Row,
    column_name,
    refused,
    role,
    row_id,
    without_number,
)

DELIMITERS: Final = ",;\t|"
COLUMNS_SHOWN: Final = 40

_QUOTED: Final = re.compile(r'"[^"]*"?')
_SEVERAL: Final = re.compile(r"[;,|\n]")  # between the numbers of one cell of `numbers`


def csv_rows(lines: Lines, defaults: Defaults) -> Iterator[Row]:
    """Yield every row with text as an event or a refusal. Raises BadFile for a header that can't be used."""
    bare = _QUOTED.sub("", lines.peek())
    records = _records(lines, max(DELIMITERS, key=bare.count))
    header = next((cells for _, cells in records if cells), [])
    if isinstance(header, str):
        raise BadFile(f"has a first line that {header}; it must name the columns")
    layout = layout_of(header, defaults.columns)
    for line, cells in records:
        if isinstance(cells, str):
            outcome: NumberEvent | Refusal | None = refused(f"the row {cells}")
        else:
            outcome = _outcome(cells, layout, defaults)
        if isinstance(outcome, NumberEvent):
            yield Row(line, outcome, None, lines.at_byte)
        elif outcome is not None:
            yield Row(line, None, outcome, lines.at_byte)


@dataclass(frozen=True, slots=True)
class Layout:
    """The indexes of the columns, None for an absent one. `rest` becomes metadata, sorted by name."""

    width: int
    number: int | None
    numbers: int | None
    profile: int | None
    event_id: int | None
    source: int | None
    occurred_at: int | None
    rest: tuple[tuple[int, str], ...]
    looked_for: str


def layout_of(header: Sequence[str], columns: Mapping[str, str]) -> Layout:
    """The columns of a header. Raises BadFile if a column is there twice, or a required one is absent."""
    names = [column_name(cell) for cell in header]
    known: dict[str, int] = {}
    rest: dict[str, int] = {}
    for index, name in enumerate(names):
        purpose = role(name, columns)
        if purpose is None:
            rest[_unique(name or f"column_{index + 1}", rest)] = index
        elif purpose in known:
            raise BadFile(f'has two columns "{printable(name)}"; rename or delete one of them')
        else:
            known[purpose] = index
    for purpose, column in columns.items():
        if purpose not in known:
            raise BadFile(_no_column(names, column, did_you_mean(column, names)))
    looked_for = [f'"{printable(names[known[name]])}"' for name in ("number", "numbers") if name in known]
    if not looked_for:
        raise BadFile(_no_column(names, "number", "; name the one that has it with --number-column"))
    return Layout(
        width=len(names),
        rest=tuple((rest[name], name) for name in sorted(rest)),
        looked_for=" and ".join(looked_for),
        **{name: known.get(name) for name in COLUMNS},
    )


def _unique(name: str, taken: dict[str, int]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name} {number}"
    return unique


def _no_column(names: Sequence[str], wanted: str, advice: str) -> str:
    shown = ", ".join(f'"{printable(name)}"' for name in names[:COLUMNS_SHOWN])
    more = ""
    if len(names) > COLUMNS_SHOWN:
        more = f" and {len(names) - COLUMNS_SHOWN} more"
    lacking = f'has no column "{printable(wanted)}" in its first line, which names the columns'
    return f"{lacking}. There are {shown}{more}{advice}"


def _records(lines: Lines, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each record's first line and its cells, or its mistake. Reading goes on in the line after a broken one."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        line = lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except RowTooLong as error:
            reason = str(error)
        except csv.Error as error:
            reason = _broken(str(error))
        else:
            yield line, lines.fault() or cells
            continue
        lines.give_back_all_but_first()
        yield line, lines.fault() or reason


def _broken(said: str) -> str:
    if said.startswith("unexpected end"):
        return "has a quote that does not close before the end of the file"
    if "expected after" in said:
        return "has a quote that does not end its cell; a quote within a quoted cell is written twice"
    return f"is not CSV: {said}"


def _outcome(cells: list[str], layout: Layout, defaults: Defaults) -> NumberEvent | Refusal | None:
    """The event or the refusal of a row; None for a row without text, as spreadsheets leave them at the end."""
    if not any(map(str.strip, cells)):
        return None
    if len(cells) != layout.width:
        if any(map(str.strip, cells[layout.width :])):
            return refused(f"the row has {len(cells)} cells, and the first line names {layout.width} columns")
        cells = cells[: layout.width] + [""] * (layout.width - len(cells))
    numbers = _numbers(cells, layout)
    if not numbers:
        return without_number(layout.looked_for)
    try:
        return _event(cells, numbers, layout, defaults)
    except InvalidEvent as invalid:
        return refused(str(invalid), numbers[0])


def _numbers(cells: list[str], layout: Layout) -> tuple[str, ...]:
    texts = [_cell(cells, layout.number)]
    if layout.numbers is not None:
        texts += map(str.strip, _SEVERAL.split(cells[layout.numbers]))
    return tuple(text for text in texts if text)


def _event(cells: list[str], numbers: tuple[str, ...], layout: Layout, defaults: Defaults) -> NumberEvent:
    profile = _cell(cells, layout.profile) or defaults.profile
    occurred_at = _cell(cells, layout.occurred_at)
    metadata = {name: text for index, name in layout.rest if (text := cells[index].strip())}
    return NumberEvent(
        event_id=_cell(cells, layout.event_id) or row_id(profile, numbers, occurred_at, metadata.items()),
        numbers=numbers,
        profile=profile,
        occurred_at=_moment(occurred_at),
        source=_cell(cells, layout.source) or defaults.source,
        metadata=metadata,
        force=defaults.force,
    )


def _cell(cells: list[str], index: int | None) -> str:
    if index is None:
        return ""
    return cells[index].strip()


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    moment = read_iso(text)
    if moment is None:
        wrong = Mistake("occurred_at", "must be an RFC 3339 time such as 2026-11-22T12:00:00Z")
        raise InvalidEvent((wrong,))
    return moment
