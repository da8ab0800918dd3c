"""Mapping: what a webhook says becomes number events, by the cases its source is configured with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

from trunkline.errors import InvalidEvent, Mistake
from trunkline.events.event import (
    EPOCH,
    MAX_EVENT_ID,
    MAX_METADATA_BYTES,
    MAX_METADATA_KEYS,
    MAX_METADATA_VALUE,
    MAX_NUMBERS,
    NumberEvent,
    may_exceed,
    metadata_json,
)
from trunkline_producers.webhooks.expressions import Expression, ExpressionFailed

MAX_WEBHOOK_NUMBERS: Final = 100_000  # of one webhook
NUMBER_CEILING: Final = 10**30  # the longest number has 15 digits
_UNSTORABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_LONG_FRACTION: Final = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True, slots=True)
class EventId:
    """Where an event's id is: an expression (a list's parts are joined), or a header; neither: made of the content."""

    expression: Expression | None = None
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """A webhook that only names an order: who asks the carrier for its numbers, and where the order's id is."""

    fetcher: str
    order: Expression


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of event: when it applies (`match` None: always) and where its parts are.

    `notice`: its numbers are on their way out, which is only noticed. `fetch`: its numbers are to be asked for.
    """

    number: Expression | None = None
    match: Expression | None = None
    event_id: EventId = field(default_factory=EventId)
    occurred_at: Expression | None = None
    metadata: Mapping[str, Expression] = field(default_factory=dict)
    notice: bool = False
    fetch: Fetch | None = None


@dataclass(frozen=True, slots=True)
class Thin:
    """An event whose numbers are still to be fetched; `with_numbers` makes the event of it."""

    fetcher: str
    order: str
    event: NumberEvent

    def with_numbers(self, numbers: Sequence[str]) -> tuple[NumberEvent, ...]:
        """The event (or several, where there are very many numbers), once its numbers are known."""
        return tuple(_split(self.event, tuple(numbers)))


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of a webhook: events to store, orders to fetch, numbers on their way out, how many events no case
    is for, and what could not be understood, each with its place."""

    events: tuple[NumberEvent, ...] = ()
    thin: tuple[Thin, ...] = ()
    leaving: tuple[str, ...] = ()
    ignored: int = 0
    faults: tuple[Mistake, ...] = ()


@dataclass(slots=True)
class _Result:
    events: list[NumberEvent] = field(default_factory=list)
    thin: list[Thin] = field(default_factory=list)
    leaving: list[str] = field(default_factory=list)
    ignored: int = 0
    faults: list[Mistake] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _About:
    """What an item has from its delivery; `suffix` tells items apart whose id is a header of the whole delivery."""

    source: str
    headers: Mapping[str, str]
    suffix: str


def map_items(
    items: Sequence[Any], cases: Sequence[Case], *, source: str, headers: Mapping[str, str] | None = None
) -> Mapped:
    """Every item by the first case that matches it. Raises nothing: what can't be understood is in `faults`."""
    found = _Result()
    for index, item in enumerate(items):
        place = f"[{index}]" if len(items) > 1 else ""
        about = _About(source, headers or {}, f"#{index}" if len(items) > 1 else "")
        try:
            case = next((case for case in cases if case.match is None or _holds(case.match.search(item))), None)
            _map_item(item, case, about, found)
        except ExpressionFailed as error:
            found.faults.append(Mistake(place, str(error)))
        except InvalidEvent as invalid:
            found.faults += [mistake.under(place) for mistake in invalid.mistakes]
    return Mapped(tuple(found.events), tuple(found.thin), tuple(found.leaving), found.ignored, tuple(found.faults))


def numbers_in(value: object) -> Iterator[str]:
    """The numbers that an expression found: text, a whole number, or lists of them. Raises InvalidEvent."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, list):  # of any depth: no recursion
            waiting += reversed(found)
        elif isinstance(found, int) and not isinstance(found, bool) and abs(found) < NUMBER_CEILING:
            yield str(found)
        elif found is not None:
            raise InvalidEvent((Mistake("number", "is neither text nor a list of texts"),))


def moment(value: object) -> datetime | None:
    """A time as sources write it: RFC 3339 (without an offset it is UTC), or seconds or milliseconds since 1970.

    None for what is no time: a number is worth more than its time.
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            read = EPOCH + timedelta(seconds=value / 1000 if value > 1e11 else value)
        elif isinstance(value, str):
            text = value.strip()
            if text.isascii() and text.isdigit():
                return moment(int(text[:20]))
            parsed = datetime.fromisoformat(_LONG_FRACTION.sub(r"\1", text))
            read = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return read if read >= EPOCH and read.year < datetime.max.year else None


def event_id_of(found: object, item: object) -> str:
    """An event id of at most 200 storable characters: what was found, its parts joined; else a hash of the content.

    A colon within a part that another follows is escaped, so that different parts never make the same id. Where a part
    is missing the hash stands in for it: what is left may be the same for events that are not.
    """
    parts = found if isinstance(found, list) else [found]
    texts = ["" if part is None else part if isinstance(part, str) else _canonical(part) for part in parts]
    if not any(texts):
        return _content_id(item)
    if not all(texts):
        texts.append(_content_id(item))
    text = ":".join([*(part.replace("\\", "\\\\").replace(":", "\\:") for part in texts[:-1]), texts[-1]])
    if len(text) > MAX_EVENT_ID or _UNSTORABLE.search(text):
        return "long-" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return text


def _content_id(item: object) -> str:
    return "content-" + blake2b(_canonical(item).encode("utf-8", "replace"), digest_size=16).hexdigest()


def metadata_of(found: Mapping[str, object]) -> dict[str, str]:
    """What fits of the metadata that was found: a long value is cut, what is over the bounds is left out."""
    kept: dict[str, str] = {}
    for key, value in found.items():
        if value is not None and len(kept) < MAX_METADATA_KEYS:
            text = value if isinstance(value, str) else _canonical(value)
            kept[key] = _SURROGATE.sub("\ufffd", text)[:MAX_METADATA_VALUE]
    while may_exceed(kept) and len(metadata_json(kept).encode()) > MAX_METADATA_BYTES:
        kept.popitem()
    return kept


def _map_item(item: Any, case: Case | None, about: _About, found: _Result) -> None:
    if case is None:
        found.ignored += 1
        return
    numbers = tuple(text for text in numbers_in(case.number.search(item)) if text.strip()) if case.number else ()
    if case.notice:
        found.leaving += numbers
        return
    if not numbers and not case.fetch:
        where = case.number.text if case.number else "number"
        raise InvalidEvent((Mistake("number", f"there is no number at {where}"),))
    event = NumberEvent(
        event_id=_event_id(case.event_id, item, about),
        numbers=numbers[:MAX_NUMBERS] or ("?",),
        occurred_at=moment(case.occurred_at.search(item)) if case.occurred_at else None,
        source=about.source,
        metadata=metadata_of({key: where.search(item) for key, where in case.metadata.items()}),
    )
    if case.fetch:
        found.thin.append(Thin(case.fetch.fetcher, _order(case.fetch.order, item), event))
    else:
        found.events += _split(event, numbers)


def _order(where: Expression, item: Any) -> str:
    order = where.search(item)
    if isinstance(order, int) and not isinstance(order, bool) and abs(order) < NUMBER_CEILING:
        order = str(order)
    if not isinstance(order, str) or not order:
        raise InvalidEvent((Mistake("order", f"there is no id of an order at {where.text}"),))
    return order


def _split(event: NumberEvent, numbers: tuple[str, ...]) -> Iterator[NumberEvent]:
    """One event, or several of at most 1000 numbers whose ids tell them apart."""
    if len(numbers) > MAX_WEBHOOK_NUMBERS:
        text = f"there are {len(numbers)}; {MAX_WEBHOOK_NUMBERS} are the most of one webhook"
        raise InvalidEvent((Mistake("number", text),))
    if event.numbers == numbers:
        yield event
        return
    for first in range(0, len(numbers), MAX_NUMBERS):
        event_id = event.event_id if first == 0 else event_id_of(f"{event.event_id}#{first}", None)
        yield replace(event, event_id=event_id, numbers=numbers[first : first + MAX_NUMBERS])


def _holds(found: object) -> bool:
    """JMESPath's own notion of truth: nothing, false and what is empty don't hold; 0 does."""
    return found is not None and found is not False and found not in ("", [], {})


def _event_id(where: EventId, item: object, about: _About) -> str:
    if where.header is not None:
        value = about.headers.get(where.header)
        return event_id_of(value and value + about.suffix, item)
    return event_id_of(where.expression.search(item) if where.expression else None, item)


def _canonical(value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError, TypeError):
        raise InvalidEvent((Mistake("", "is nested too deeply to be told from others"),)) from None
