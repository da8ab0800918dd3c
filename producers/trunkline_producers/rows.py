"""A row of a file, as it was understood: an event, or the reason why it is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from trunkline.contract import NumberEvent, Refusal, RefusalCode, TrunklineError

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
    """What holds for every row that does not say otherwise; `number_column` None is the column `number`."""

    source: str
    number_column: str | None = None
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


def role(name: str, number_column: str | None) -> str | None:
    """What a column is for, one of COLUMNS; None makes it metadata. A named column takes the place of `number`."""
    folded = name.casefold()
    if number_column is not None:
        if folded == column_name(number_column).casefold():
            return "number"
        if folded in {"number", "numbers"}:
            return None
    return folded if folded in COLUMNS else None


def row_id(profile: str | None, numbers: Iterable[str], occurred_at: str, metadata: Iterable[tuple[str, str]]) -> str:
    """The event id of a row without one: the same for the same content, so that a file may be imported twice.

    `metadata` comes sorted, so that the order of the columns does not count.
    """
    parts = [profile or "", occurred_at, *numbers, ""]
    for pair in metadata:
        parts += pair
    told_apart = "".join([f"{len(part)}:{part}" for part in parts])
    return "row-" + blake2b(told_apart.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
