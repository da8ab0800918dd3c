"""Rows of a JSON-lines file: one object a line, a native event or the flat row of an export."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from trunkline.errors import InvalidEvent
from trunkline.events.event import NumberEvent, parse_event
from trunkline.lifecycle import Refusal
from trunkline_producers.files.lines import Lines, RowTooLong
from trunkline_producers.files.rows import Defaults, Row, column_name, refused, role, row_id, without_number

_NATIVE: Final = frozenset({"metadata", "force", "version"})  # beside the columns


def json_rows(lines: Lines, defaults: Defaults) -> Iterator[Row]:
    """Every line that says anything, as an event or a refusal."""
    while True:
        line = lines.begin_row()
        try:
            text = next(lines).strip()
        except StopIteration:
            return
        except RowTooLong as error:
            yield Row(line, None, refused(f"the row {error}"), lines.at_byte)
            continue
        if not text:
            continue
        fault = lines.fault()
        outcome = refused(f"the row {fault}") if fault else _outcome(text, defaults)
        if isinstance(outcome, NumberEvent):
            yield Row(line, outcome, None, lines.at_byte)
        else:
            yield Row(line, None, outcome, lines.at_byte)


def _outcome(text: str, defaults: Defaults) -> NumberEvent | Refusal:
    try:
        said = json.loads(text)
        event = _native(said, defaults) if isinstance(said, dict) else None
    except json.JSONDecodeError as error:
        return refused(f"the row is not JSON: {error.msg} at character {error.pos + 1}; each line is one object")
    except (ValueError, RecursionError):  # a number of thousands of digits, or nesting of thousands of levels
        return refused("the row is not JSON that can be read here: a number is too long or the nesting too deep")
    if event is None:
        return refused("the row is not a JSON object; each line is one object")
    if not event.get("number") and not event.get("numbers"):
        return without_number(f'"{defaults.columns.get("number", "number")}"')
    try:
        return parse_event(event, default_source=defaults.source)
    except InvalidEvent as invalid:
        number = event.get("number")
        return refused(str(invalid), number if isinstance(number, str) else "")


def _native(said: Mapping[str, object], defaults: Defaults) -> dict[str, object]:
    """The row as a native event: known keys by name, the rest under `metadata`, defaults and an id filled in."""
    event: dict[str, object] = {}
    rest: dict[str, object] = {}
    for key, value in said.items():
        given = value.strip() if isinstance(value, str) else value
        if given is None or given == "":
            continue
        name = column_name(key)
        known = role(name, defaults.columns) or (name if name in _NATIVE else None)
        (rest if known is None else event)[known or name] = given
    nested = event.get("metadata", {})
    if isinstance(nested, Mapping):
        event["metadata"] = metadata = {**nested, **rest}
        event.setdefault("profile", defaults.profile)
        event.setdefault("event_id", _id(event, metadata))
    if defaults.force:
        event["force"] = True
    return event


def _id(event: Mapping[str, object], metadata: Mapping[str, object]) -> str:
    several = event.get("numbers")
    numbers = [event.get("number", ""), *(several if isinstance(several, list) else [several])]
    return row_id(
        _text(event.get("profile")),
        map(_text, numbers),
        _text(event.get("occurred_at")),
        sorted((key, _text(value)) for key, value in metadata.items()),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, sort_keys=True)
