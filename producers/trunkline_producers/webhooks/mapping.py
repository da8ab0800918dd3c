"""Maps the items of a webhook to number events, by the cases of its source."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import chain
from typing import Any, Final

from trunkline.errors import InvalidEvent, Mistake
from trunkline.events.event import (
    MAX_EVENT_ID,
    MAX_METADATA_BYTES,
    MAX_METADATA_KEYS,
    MAX_METADATA_VALUE,
    MAX_NUMBERS,
    NumberEvent,
    may_exceed,
    metadata_json,
)
from trunkline.text import LONE_SURROGATE, UNSTORABLE
from trunkline.timestamps import EPOCH, plausible, read_iso
from trunkline_producers.webhooks.expressions import Expression, ExpressionFailed

MAX_WEBHOOK_NUMBERS: Final = 100_000  # of one webhook
NUMBER_CEILING: Final = 10**30  # the longest number has 15 digits


@dataclass(frozen=True, slots=True)
class EventId:
    """Place of an event's id: an expression (a list's parts are joined), a header, or a hash of the item."""

    expression: Expression | None = None
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """Look-up of an order's numbers: the name of the fetcher, and the place of the order's id."""

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
        """The event with its numbers, as several events if there are more than one event may have."""
        return tuple(_split(self.event, tuple(numbers)))


@dataclass(frozen=True, slots=True)
class Mapped:
    """Result of mapping a webhook: `events` to store, `thin` ones whose numbers are to be fetched, numbers `leaving`.

    `ignored` counts the items that no case matches; `faults` are the mistakes, each at its place.
    """

    events: tuple[NumberEvent, ...] = ()
    thin: tuple[Thin, ...] = ()
    leaving: tuple[str, ...] = ()
    ignored: int = 0
    faults: tuple[Mistake, ...] = ()


@dataclass(frozen=True, slots=True)
class _About:
    """Context of an item in its delivery; `suffix` tells items apart whose id is a header of the whole delivery."""

    source: str
    headers: Mapping[str, str]
    suffix: str


def map_items(
    items: Sequence[Any], cases: Sequence[Case], *, source: str, headers: Mapping[str, str] | None = None
) -> Mapped:
    """Map every item by the first case that matches it. Raises nothing: mistakes are in `faults`."""
    parts = []
    for index, item in enumerate(items):
        place, suffix = "", ""
        if len(items) > 1:
            place, suffix = f"[{index}]", f"#{index}"
        try:
            parts.append(_map_item(item, cases, _About(source, headers or {}, suffix)))
        except ExpressionFailed as error:
            parts.append(Mapped(faults=(Mistake(place, str(error)),)))
        except InvalidEvent as invalid:
            parts.append(Mapped(faults=tuple(mistake.under(place) for mistake in invalid.mistakes)))
    return _joined(parts)


def _joined(parts: Sequence[Mapped]) -> Mapped:
    if len(parts) == 1:
        return parts[0]
    return Mapped(
        events=tuple(chain.from_iterable(part.events for part in parts)),
        thin=tuple(chain.from_iterable(part.thin for part in parts)),
        leaving=tuple(chain.from_iterable(part.leaving for part in parts)),
        ignored=sum(part.ignored for part in parts),
        faults=tuple(chain.from_iterable(part.faults for part in parts)),
    )


def numbers_in(value: object) -> Iterator[str]:
    """Yield the numbers that an expression found: text, a whole number, or lists of them. Raises InvalidEvent."""
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
    """A time in UTC from RFC 3339 (without an offset it is UTC), or from seconds or milliseconds since 1970.

    None for anything else: an event without its time is better than none.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text.isascii() or not text.isdigit():
            return plausible(read_iso(text))
        value = int(text[:20])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        if value > 1e11:
            return plausible(EPOCH + timedelta(seconds=value / 1000))
        return plausible(EPOCH + timedelta(seconds=value))
    except (ValueError, OverflowError):
        return None


def event_id_of(found: object, item: object) -> str:
    """An event id of at most 200 storable characters: what was found, its parts joined; else a hash of the content.

    A colon within a part that another follows is escaped, so that different parts never make the same id. Where a part
    is missing the hash stands in for it: what is left may be the same for events that are not.
    """
    if not isinstance(found, list):
        found = [found]
    texts = [_as_text(part) for part in found]
    if not any(texts):
        return _content_id(item)
    if not all(texts):
        texts.append(_content_id(item))
    text = ":".join([*(part.replace("\\", "\\\\").replace(":", "\\:") for part in texts[:-1]), texts[-1]])
    if len(text) > MAX_EVENT_ID or UNSTORABLE.search(text):
        return "long-" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return text


def _as_text(found: object) -> str:
    if found is None:
        return ""
    if isinstance(found, str):
        return found
    return _canonical(found)


def _content_id(item: object) -> str:
    return "content-" + blake2b(_canonical(item).encode("utf-8", "replace"), digest_size=16).hexdigest()


def metadata_of(found: Mapping[str, object]) -> dict[str, str]:
    """The metadata that was found, within its bounds: long values are cut, further keys left out."""
    kept: dict[str, str] = {}
    for key, value in found.items():
        if value is not None and len(kept) < MAX_METADATA_KEYS:
            kept[key] = LONE_SURROGATE.sub("\ufffd", _as_text(value))[:MAX_METADATA_VALUE]
    while may_exceed(kept) and len(metadata_json(kept).encode()) > MAX_METADATA_BYTES:
        kept.popitem()
    return kept


def _map_item(item: Any, cases: Sequence[Case], about: _About) -> Mapped:
    """Map one item. Raises ExpressionFailed and InvalidEvent."""
    for case in cases:
        if case.match is None or _holds(case.match.search(item)):
            return _by_case(item, case, about)
    return Mapped(ignored=1)


def _by_case(item: Any, case: Case, about: _About) -> Mapped:
    numbers = tuple(text for text in numbers_in(_search(case.number, item)) if text.strip())
    if case.notice:
        return Mapped(leaving=numbers)
    if not numbers and not case.fetch:
        where = "number"
        if case.number:
            where = case.number.text
        raise InvalidEvent((Mistake("number", f"there is no number at {where}"),))
    event = NumberEvent(
        event_id=_event_id(case.event_id, item, about),
        numbers=numbers[:MAX_NUMBERS] or ("?",),
        occurred_at=moment(_search(case.occurred_at, item)),
        source=about.source,
        metadata=metadata_of({key: where.search(item) for key, where in case.metadata.items()}),
    )
    if case.fetch:
        return Mapped(thin=(Thin(case.fetch.fetcher, _order(case.fetch.order, item), event),))
    return Mapped(events=tuple(_split(event, numbers)))


def _search(where: Expression | None, item: Any) -> Any:
    if where is None:
        return None
    return where.search(item)


def _order(where: Expression, item: Any) -> str:
    order = where.search(item)
    if isinstance(order, int) and not isinstance(order, bool) and abs(order) < NUMBER_CEILING:
        order = str(order)
    if not isinstance(order, str) or not order:
        raise InvalidEvent((Mistake("order", f"there is no id of an order at {where.text}"),))
    return order


def _split(event: NumberEvent, numbers: tuple[str, ...]) -> Iterator[NumberEvent]:
    """Yield the event, or several of at most 1000 numbers, told apart by their ids."""
    if len(numbers) > MAX_WEBHOOK_NUMBERS:
        text = f"there are {len(numbers)}; {MAX_WEBHOOK_NUMBERS} are the most of one webhook"
        raise InvalidEvent((Mistake("number", text),))
    if event.numbers == numbers:
        yield event
        return
    for first in range(0, len(numbers), MAX_NUMBERS):
        event_id = event.event_id
        if first:
            event_id = event_id_of(f"{event_id}#{first}", None)
        yield replace(event, event_id=event_id, numbers=numbers[first : first + MAX_NUMBERS])


def _holds(found: object) -> bool:
    """JMESPath's notion of truth: null, false and empty values are false; 0 is true."""
    return found is not None and found is not False and found not in ("", [], {})


def _event_id(where: EventId, item: object, about: _About) -> str:
    if where.header is not None:
        value = about.headers.get(where.header)
        return event_id_of(value and value + about.suffix, item)
    return event_id_of(_search(where.expression, item), item)


def _canonical(value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError, TypeError):
        raise InvalidEvent((Mistake("", "is nested too deeply to be told from others"),)) from None
