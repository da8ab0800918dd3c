"""`GET /v1/sip/numbers` as it comes in: an account may have any number of numbers, and an answer may be any bytes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final

import ijson

MAX_LISTING_BYTES: Final = 512 * 1024 * 1024  # bytes of a listing: some four million numbers
MAX_ITEM_BYTES: Final = 1024 * 1024  # bytes between two numbers of it
MAX_DEPTH: Final = 300  # characters of the path to a value
MAX_KEPT: Final = 250_000  # numbers: some 50 MB
MAX_NUMBER_LENGTH: Final = 64
MAX_ENDPOINT_LENGTH: Final = 256

_PIECE: Final = 4096  # bytes that are parsed at a time, before the bounds are looked at
_SPACING: Final = re.compile(r"[\s().\-]+")
_KNOWN_DIRECTIONS: Final = frozenset({"inbound", "outbound"})
_BOM: Final = b"\xef\xbb\xbf"

# Where the list may be, by the path that ijson gives, and where things are in it and beside it.
_LISTS: Final = ("", "data", "numbers", "data.numbers")
_NUMBER, _NUMBER_TOO, _ENDPOINT, _DIRECTION, _MORE, _TOTAL = range(6)
_FIELDS: Final = {
    "phone_number": _NUMBER,
    "number": _NUMBER_TOO,
    "sip_endpoint": _ENDPOINT,
    "directions": _DIRECTION,
    "directions.type": _DIRECTION,
    "directions.direction": _DIRECTION,
    "directions.item": _DIRECTION,
    "directions.item.type": _DIRECTION,
    "directions.item.direction": _DIRECTION,
}
_AROUND: Final = ("", "data.", "pagination.", "data.pagination.")
_MORE_TO_COME: Final = ("has_more", "next", "next_page", "next_cursor", "next_page_token", "nextPageToken", "hasMore")
_BESIDE: Final = {
    **{f"{place}{name}": _MORE for place, name in product(_AROUND, _MORE_TO_COME)},
    "total": _TOTAL,
    "data.total": _TOTAL,
}


class ListingUnusable(Exception):
    """The answer is no listing, or one that is not read to its end; `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ListedNumber:
    """A number as `GET /v1/sip/numbers` shows it: which directions it has, and one endpoint."""

    directions: frozenset[str]
    sip_endpoint: str | None = None


class Listing:
    """The numbers of an account. `kept`: those that are kept of them, None for all; `count`: how many there were."""

    __slots__ = ("_found", "_kept", "_with_plus", "count")

    def __init__(
        self, found: dict[str, ListedNumber], kept: frozenset[str] | None, count: int, *, with_plus: bool
    ) -> None:
        self._found = found
        self._kept = kept
        self._with_plus = with_plus
        self.count = count

    def get(self, number: str) -> ListedNumber | None:
        """What is listed of a number, None for one that is not listed; only for numbers that it `covers`.

        Digits are a number without its `+` where the listing writes no number with one, and else a DID.
        """
        found = self._found.get(number)
        if found is None and number.startswith("+") and not self._with_plus:
            found = self._found.get(number[1:])
        return found

    def covers(self, numbers: Iterable[str]) -> bool:
        """Whether it can say of each of these whether it is listed."""
        return self._kept is None or self._kept.issuperset(numbers)


class ListingReader:
    """Takes a listing in as it comes. Of more than `most` numbers it keeps those that are `wanted` (None: all)."""

    def __init__(self, wanted: Collection[str] | None = None, *, most: int = MAX_KEPT) -> None:
        self._wanted = None if wanted is None else frozenset(wanted)
        self._spelled = frozenset(spelled for each in wanted or () for spelled in (each, each.removeprefix("+")))
        self._most = most
        self._events: list[tuple[str, str, object]] = ijson.sendable_list()
        self._parser = ijson.parse_coro(self._events, use_float=True)
        self._read = self._since_item = self._count = 0
        self._places: dict[str, int] = dict(_BESIDE)
        self._item: str | None = None  # the path of an item, once the list has begun
        self._found: dict[str, ListedNumber] = {}
        self._all = True
        self._with_plus = self._more = False
        self._total = 0.0
        self._fields: dict[int, str] = {}
        self._directions: set[str] = set()
        self._shapes: dict[tuple[frozenset[str], str | None], ListedNumber] = {}

    def feed(self, octets: bytes) -> None:
        """The next part of the answer. Raises ListingUnusable when it is no use to read on."""
        if self._read == 0:
            octets = octets.removeprefix(_BOM)
        for start in range(0, len(octets), _PIECE):
            piece = octets[start : start + _PIECE]
            self._read += len(piece)
            self._since_item += len(piece)
            try:
                self._parser.send(piece)
            except ijson.JSONError as error:
                raise ListingUnusable("it is not JSON") from error
            self._take()
            if self._read > MAX_LISTING_BYTES:
                raise ListingUnusable(f"it is larger than {MAX_LISTING_BYTES} bytes")
            if self._since_item > MAX_ITEM_BYTES:
                raise ListingUnusable(f"there is no number in {MAX_ITEM_BYTES} bytes of it")

    def listing(self) -> Listing:
        """What was read, now that the answer has ended. Raises ListingUnusable where it isn't all of a listing."""
        try:
            self._parser.close()
        except ijson.JSONError as error:
            raise ListingUnusable("it breaks off") from error
        self._take()
        if self._item is None:
            raise ListingUnusable("there is no list of numbers in it")
        if self._more or self._total > self._count:
            raise ListingUnusable("it is only a part of the listing")
        return Listing(self._found, None if self._all else self._wanted, self._count, with_plus=self._with_plus)

    def _take(self) -> None:
        events = self._events
        if events and len(events[-1][0]) > MAX_DEPTH:
            raise ListingUnusable("it is too deeply nested")
        places, item = self._places, self._item
        for path, event, value in events:
            if path == item:
                self._of_item(event)
            elif (place := places.get(path)) is not None:
                self._note(place, event, value)
            elif item is None and event == "start_array" and path in _LISTS:
                self._item = item = f"{path}.item".removeprefix(".")
                places.update((f"{item}.{name}", place) for name, place in _FIELDS.items())
        events.clear()

    def _of_item(self, event: str) -> None:
        if event == "end_map":
            self._keep()
        elif event not in ("map_key", "end_array"):
            self._count += 1
            self._since_item = 0
            self._fields.clear()
            self._directions.clear()

    def _note(self, place: int, event: str, value: object) -> None:
        if place == _MORE:
            self._more = self._more or bool(value) or event.startswith("start_")
        elif place == _TOTAL:
            self._total = float(value) if isinstance(value, int | float) else 0.0
        elif event == "string" and place == _DIRECTION:
            self._directions.add(str(value).lower())
        elif event in ("string", "number") and isinstance(value, str | int):
            self._fields[place] = str(value)

    def _keep(self) -> None:
        text = self._fields.get(_NUMBER, self._fields.get(_NUMBER_TOO, "")).strip()
        number = _SPACING.sub("", text) if text.startswith("+") else text
        if not number or len(number) > MAX_NUMBER_LENGTH:
            return
        self._with_plus = self._with_plus or number.startswith("+")
        if not self._all and number not in self._spelled:
            return
        endpoint = self._fields.get(_ENDPOINT)
        shape = (frozenset(self._directions & _KNOWN_DIRECTIONS), endpoint[:MAX_ENDPOINT_LENGTH] if endpoint else None)
        self._found[number] = self._shapes.setdefault(shape, ListedNumber(*shape))
        if self._all and self._wanted is not None and len(self._found) > self._most:
            self._all = False
            self._found = {each: listed for each, listed in self._found.items() if each in self._spelled}
