"""The number event: the contract between the sources of numbers and the worker.

The native event in JSON (only `event_id` and a number are required)::

    {"event_id": "evt_1", "number": "+14155550100", "profile": "support", "occurred_at": "2026-11-22T12:00:00Z",
     "source": "billing", "metadata": {"customer": "42"}, "force": false}

`numbers: [...]` takes the place of `number` for several; null anywhere is the same as leaving the key out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from trunkline.errors import InvalidEvent, Mistake
from trunkline.text import LONE_SURROGATE, UNSTORABLE, did_you_mean, printable
from trunkline.timestamps import EPOCH, read_iso

WIRE_VERSION: Final = 1
DEFAULT_SOURCE: Final = "api"
MAX_NUMBERS: Final = 1000  # of one event
MAX_EVENT_ID: Final = 200  # characters
MAX_PROFILE: Final = 200  # characters; a name no profile can have is refused later, number by number
MAX_METADATA_KEYS: Final = 32
MAX_METADATA_KEY: Final = 64  # characters
MAX_METADATA_VALUE: Final = 512  # characters
MAX_METADATA_BYTES: Final = 2048  # of the whole, as compact JSON in UTF-8
MAX_UNKNOWN_TOLD: Final = 10  # keys, one by one

_WIRE_KEYS: Final = (
    "version", "event_id", "number", "numbers", "profile", "occurred_at", "source", "metadata", "force",
)  # fmt: skip
_compact: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
SOURCE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (  # bool before int, which it is a kind of
    (bool, "a boolean"),
    ((int, float), "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (Mapping, "an object"),
    (type(None), "null"),
)


@dataclass(frozen=True, slots=True)
class NumberEvent:
    """A fact from a source: these numbers belong on this direction profile now.

    `numbers` are raw text, 1 to 1000 of them; `profile` None leaves it to the source or the routes; `occurred_at` is
    kept in UTC; `metadata` is bounded text (32 keys of 64 characters, values of 512, 2048 bytes in all); `force` sends
    even what is attached. Raises InvalidEvent with every mistake at once.
    """

    event_id: str
    numbers: tuple[str, ...]
    profile: str | None = None
    occurred_at: datetime | None = None
    source: str = DEFAULT_SOURCE
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    force: bool = False

    def __post_init__(self) -> None:
        mistakes = tuple(_faults(self))
        if mistakes:
            raise InvalidEvent(mistakes)
        if self.occurred_at is not None:
            object.__setattr__(self, "occurred_at", self.occurred_at.astimezone(UTC))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))


def parse_event(obj: object, *, default_source: str = DEFAULT_SOURCE) -> NumberEvent:
    """Read one native event from decoded JSON. Raises InvalidEvent with every mistake at once, and nothing else."""
    if not isinstance(obj, Mapping):
        raise InvalidEvent((Mistake("", f"an event is a JSON object, not {_kind(obj)}"),))
    given = {key: value for key, value in obj.items() if value is not None}
    mistakes: list[Mistake] = [*_unknown_keys(given), *_version_faults(given)]
    event: NumberEvent | None = None
    try:
        event = NumberEvent(
            event_id=_text(given, "event_id", mistakes, missing="?", required=True),
            numbers=_numbers(given, mistakes),
            profile=_text(given, "profile", mistakes, missing="?") if "profile" in given else None,
            occurred_at=_time(given, mistakes),
            source=_text(given, "source", mistakes, missing=default_source),
            metadata=_metadata(given, mistakes),
            force=_flag(given, "force", mistakes),
        )
    except InvalidEvent as invalid:
        mistakes += invalid.mistakes
    if mistakes or event is None:
        raise InvalidEvent(tuple(mistakes))
    return event


def to_wire(event: NumberEvent) -> dict[str, object]:
    """The event as native JSON; `parse_event` of it is the same event."""
    wire: dict[str, object] = {"version": WIRE_VERSION, "event_id": event.event_id, "numbers": list(event.numbers)}
    if event.profile is not None:
        wire["profile"] = event.profile
    if event.occurred_at is not None:
        wire["occurred_at"] = event.occurred_at.isoformat().replace("+00:00", "Z")
    wire["source"] = event.source
    if event.metadata:
        wire["metadata"] = dict(event.metadata)
    if event.force:
        wire["force"] = True
    return wire


def may_exceed(metadata: Mapping[str, str]) -> bool:
    """True if metadata may be more than MAX_METADATA_BYTES as JSON, told from its length alone."""
    longest = 6 * sum(len(key) + len(value) + 1 for key, value in metadata.items())  # \u001f is the longest there is
    return longest > MAX_METADATA_BYTES


def metadata_json(metadata: Mapping[str, str]) -> str:
    """Metadata as it is stored: compact JSON, "" for none."""
    if not metadata:
        return ""
    return _compact(dict(metadata))


def _faults(event: NumberEvent) -> Iterator[Mistake]:
    yield from _bounded("event_id", event.event_id, MAX_EVENT_ID)
    if event.profile is not None:
        yield from _bounded("profile", event.profile, MAX_PROFILE)
    if not SOURCE.fullmatch(event.source):
        yield Mistake("source", "must be 1 to 64 letters, digits, dots, dashes or underscores")
    if not 1 <= len(event.numbers) <= MAX_NUMBERS:
        yield Mistake("numbers", f"holds {len(event.numbers)}; an event has 1 to {MAX_NUMBERS} numbers")
    if event.occurred_at is not None:
        yield from _time_faults(event.occurred_at)
    if event.metadata:
        yield from _metadata_faults(event.metadata)


def _bounded(place: str, text: str, limit: int) -> Iterator[Mistake]:
    yield from (Mistake(place, message) for message in _bound_faults(text, limit))


def _bound_faults(text: str, limit: int) -> Iterator[str]:
    if not 1 <= len(text) <= limit:
        yield f"must be 1 to {limit} characters, not {len(text)}"
    if UNSTORABLE.search(text):
        yield "must not contain control characters or half a surrogate pair"


def _time_faults(moment: datetime) -> Iterator[Mistake]:
    if moment.utcoffset() is None:
        yield Mistake("occurred_at", "needs an offset from UTC, as in 2026-11-22T12:00:00Z")
        return
    if moment < EPOCH:
        yield Mistake("occurred_at", "lies before 1970, which no number event does; leave it out if it is not known")
    elif moment.year == datetime.max.year:
        yield Mistake("occurred_at", "lies in the year 9999, which means that it is not known; leave it out")


def _metadata_faults(metadata: Mapping[str, str]) -> Iterator[Mistake]:
    if len(metadata) > MAX_METADATA_KEYS:
        yield Mistake("metadata", f"has {len(metadata)} keys; {MAX_METADATA_KEYS} are the most")
        return
    for key, value in metadata.items():
        for message in _item_faults(key, value):
            yield Mistake(f"metadata.{printable(key, MAX_METADATA_KEY)}", message)
    if not may_exceed(metadata):
        return
    size = len(metadata_json(metadata).encode("utf-8", "replace"))
    if size > MAX_METADATA_BYTES:
        yield Mistake("metadata", f"is {size} bytes of JSON; {MAX_METADATA_BYTES} are the most")


def _item_faults(key: str, value: str) -> Iterator[str]:
    yield from _bound_faults(key, MAX_METADATA_KEY)
    if len(value) > MAX_METADATA_VALUE:
        yield f"has {len(value)} characters; {MAX_METADATA_VALUE} are the most"
    if LONE_SURROGATE.search(value):
        yield "contains half a surrogate pair, which is not text"


def _unknown_keys(given: Mapping[object, object]) -> Iterator[Mistake]:
    unknown = [key for key in given if key not in _WIRE_KEYS]
    for key in unknown[:MAX_UNKNOWN_TOLD]:
        name = printable(str(key))
        yield Mistake(name, f"is not a key of an event{did_you_mean(name, _WIRE_KEYS)}")
    if (more := len(unknown) - MAX_UNKNOWN_TOLD) > 0:
        yield Mistake("", f"has {more} more keys that no event has")


def _version_faults(given: Mapping[object, object]) -> Iterator[Mistake]:
    version = given.get("version", WIRE_VERSION)
    if isinstance(version, bool) or version != WIRE_VERSION:
        yield Mistake("version", f"must be {WIRE_VERSION}, the only version that is understood here")


def _text(
    given: Mapping[object, object], key: str, mistakes: list[Mistake], *, missing: str, required: bool = False
) -> str:
    if key not in given:
        if required:
            mistakes.append(Mistake(key, "is required"))
        return missing
    value = given[key]
    if isinstance(value, str):
        return value
    mistakes.append(Mistake(key, f"must be text, not {_kind(value)}"))
    return "?"


def _numbers(given: Mapping[object, object], mistakes: list[Mistake]) -> tuple[str, ...]:
    neutral = ("?",)
    if ("number" in given) == ("numbers" in given):
        wrong = "is required (or `numbers`)"
        if "number" in given:
            wrong = "is given beside `numbers`; use one of them"
        mistakes.append(Mistake("number", wrong))
        return neutral
    if "number" in given:
        return (_number(given["number"], "number", mistakes),)
    several = given["numbers"]
    if not isinstance(several, list | tuple):
        mistakes.append(Mistake("numbers", f"must be a list of texts, not {_kind(several)}"))
        return neutral
    return tuple(_number(value, f"numbers[{index}]", mistakes) for index, value in enumerate(several))


def _number(value: object, place: str, mistakes: list[Mistake]) -> str:
    if isinstance(value, str):
        return value
    mistakes.append(Mistake(place, f"must be text in quotes, not {_kind(value)}: a bare number loses its + and zeros"))
    return "?"


def _time(given: Mapping[object, object], mistakes: list[Mistake]) -> datetime | None:
    value = given.get("occurred_at")
    if value is None:
        return None
    moment: datetime | None = None
    if isinstance(value, str):
        moment = read_iso(value)
    if moment is not None:
        return moment
    mistakes.append(Mistake("occurred_at", "must be an RFC 3339 time such as 2026-11-22T12:00:00Z"))
    return None


def _metadata(given: Mapping[object, object], mistakes: list[Mistake]) -> dict[str, str]:
    value = given.get("metadata", {})
    if not isinstance(value, Mapping):
        mistakes.append(Mistake("metadata", f"must be an object of texts, not {_kind(value)}"))
        return {}
    texts = {}
    for key, item in value.items():
        text = _scalar(item)
        if text is not None:
            texts[str(key)] = text
        elif item is not None:
            place = f"metadata.{printable(str(key), MAX_METADATA_KEY)}"
            mistakes.append(Mistake(place, f"must be text, a number or a boolean, not {_kind(item)}"))
    return texts


def _scalar(item: object) -> str | None:
    if isinstance(item, str):
        return item
    if isinstance(item, bool | float):
        return json.dumps(item)
    if isinstance(item, int) and item.bit_length() <= 1024:
        return str(item)
    return None


def _flag(given: Mapping[object, object], key: str, mistakes: list[Mistake]) -> bool:
    value = given.get(key, False)
    if isinstance(value, bool):
        return value
    mistakes.append(Mistake(key, f"must be true or false, not {_kind(value)}"))
    return False


def _kind(value: object) -> str:
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return f"a {type(value).__name__}"
