"""A row of a file, as it was understood: an event, or the reason why it is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.events.event import NumberEvent
from trunkline.lifecycle import Refusal, RefusalCode

COLUMNS: Final = ("number", "numbers", "profile", "event_id", "source", "occurred_at")  # known by name


class BadFile(TrunklineError):
    """A file that can't be read as rows at all; the message is a sentence that names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: an event or a refusal, never both.

    `line` is its first physical line, from 1; `at_byte` how many bytes of the file had been read by then (progress).
    """

    line: int
    event: NumberEvent | None
    refusal: Refusal | None
    at_byte: int


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every row that does not say otherwise; `columns` says which column (folded) a field is in."""

    source: str
    columns: Mapping[str, str] = field(default_factory=dict)
    profile: str | None = None
    force: bool = False


def refused(message: str, number: str = "", code: RefusalCode = RefusalCode.invalid_event) -> Refusal:
    """A row that is no event."""
    return Refusal(number, code, message)


def without_number(columns: str) -> Refusal:
    """A row whose number is empty; `columns` says where it was looked for."""
    return refused(f"the row has no number (looked for in {columns})", code=RefusalCode.invalid_number)


def column_name(text: str) -> str:
    """A column's name without the spaces and line breaks around and within it."""
    return " ".join(text.split())


def folded(name: str) -> str:
    """A column's name as names are compared."""
    return column_name(name).casefold()


def role(name: str, columns: Mapping[str, str]) -> str | None:
    """What a column is for, one of COLUMNS; None makes it metadata. A field in `columns` is not under its own name."""
    known = folded(name)
    for purpose, column in columns.items():
        if known == column:
            return purpose
    if known in columns or (known in {"number", "numbers"} and not columns.keys().isdisjoint({"number", "numbers"})):
        return None
    return known if known in COLUMNS else None


def row_id(profile: str | None, numbers: Iterable[str], occurred_at: str, metadata: Iterable[tuple[str, str]]) -> str:
    """The event id of a row without one: the same for the same content, so that a file may be imported twice.

    `metadata` comes sorted, so that the order of the columns does not count.
    """
    parts = [profile or "", occurred_at, *numbers, ""]
    for pair in metadata:
        parts += pair
    told_apart = "".join([f"{len(part)}:{part}" for part in parts])
    return "row-" + blake2b(told_apart.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
