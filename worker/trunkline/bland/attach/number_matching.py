"""Finds the numbers that were sent in what an answer says of numbers, however it writes them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from phonenumbers import NumberParseException

from trunkline.bland.attach.envelope import Json, Problem, folded, read_problem, refuses
from trunkline.events.phone import spellings

_NUMBER_KEYS: Final = ("phonenumber", "number", "phone", "did", "phonenumbers", "numbers")
_PARTS: Final = (
    "inbound",
    "outbound",
    "directions",
    "result",
    "results",
)  # of an item, each with its own status
_SEPARATORS: Final = re.compile(r"[\s().\-\u2010-\u2015]+")
_TOKENS: Final = re.compile(r"[\s:,;=\"'()\[\]{}<>|]+")
_WRITTEN_OUT: Final = re.compile(r"\+?[0-9][0-9 ().\-]{5,}[0-9]")
_MAX_LENGTH: Final = 2000  # characters of a sentence in which numbers are looked for

Failure = tuple[str, Problem, Json]


class Sent:
    """The numbers of one call, to be recognised in its answer: `+14155550100` also as `1 (415) 555-0100`.

    What is dialled within the country (`4155550100`) is recognised where only one of them is dialled so. DIDs and
    extensions, which do not begin with +, are theirs verbatim.
    """

    __slots__ = ("_at_home", "_digits", "exact", "lone")

    def __init__(self, numbers: Sequence[str]) -> None:
        self.exact = dict.fromkeys(numbers)
        self._digits: dict[str, str] | None = None
        self._at_home: dict[str, str | None] | None = None
        self.lone = next(iter(self.exact)) if len(self.exact) == 1 else None

    def find(self, value: Json) -> str | None:
        """The number sent that this is, if it is one."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        text = str(value).strip()
        if text in self.exact:
            return text
        if len(text) > 64:
            return None
        if self._digits is None:
            self._digits = {number[1:]: number for number in self.exact if number.startswith("+")}
        compact = _SEPARATORS.sub("", text.removeprefix("tel:"))
        abroad = self._digits.get(compact.removeprefix("+")) or self._digits.get(compact.removeprefix("00"))
        if abroad is None and compact.isdecimal():
            return self._dialled().get(compact)
        return abroad

    def _dialled(self) -> dict[str, str | None]:
        """The numbers by what is dialled for them within their country; None for what is dialled for two of them."""
        if self._at_home is None:
            self._at_home = {}
            for number in self.exact:
                for digits in _within_its_country(number):
                    self._at_home[digits] = None if digits in self._at_home else number
        return self._at_home

    def find_in(self, sentence: str) -> str | None:
        """The number that a sentence is about: the one it begins with, or else the only one it mentions."""
        tokens = _TOKENS.split(sentence[:_MAX_LENGTH].strip())
        first = self.find(tokens[0])
        if first is not None:
            return first
        written = (*(token for token in tokens if token.startswith("+")), *_WRITTEN_OUT.findall(sentence[:_MAX_LENGTH]))
        found = {number for number in map(self.find, written) if number is not None}
        if len(found) != 1:
            return None
        return found.pop()


def _within_its_country(number: str) -> Sequence[str]:
    if not number.startswith("+"):
        return ()
    try:
        return spellings(number)[2:]
    except NumberParseException:
        return ()


def configured_numbers(items: Sequence[Json], sent: Sent) -> set[str]:
    """The numbers that the list of the configured names; an item that also speaks of a failure is left out.

    An object in place of the list has the numbers for its keys.
    """
    found: set[str] = set()
    for item in items:
        if isinstance(item, str) and item in sent.exact:
            found.add(item)
        elif isinstance(item, dict):
            named = _named(folded(item), sent)
            if named is None:
                found.update(number for number, value in _by_key(item, sent) if value and not _failed(value))
            elif not _failed(item):
                found.update(named)
        elif (number := sent.find(item)) is not None:
            found.add(number)
    return found


def failures(items: Sequence[Json], sent: Sent) -> Iterator[Failure]:
    """(number, what is said of it, the raw item) for every item that can be laid at a number's door.

    An item that names no number is the lone number's, if only one was sent.
    """
    for item in items:
        if isinstance(item, dict):
            yield from _of_object(item, sent)
        elif isinstance(item, list):
            number = sent.find(item[0]) if item else None
            if number is not None:
                yield number, read_problem(item[1:]), item
            else:
                yield from failures([inner for inner in item if isinstance(inner, str | dict)], sent)
        elif (number := sent.find(item)) is not None:
            yield number, Problem(), item
        elif isinstance(item, str) and (number := sent.find_in(item) or sent.lone) is not None:
            yield number, read_problem(item), item


def failures_by_error(errors: Sequence[Json], sent: Sent) -> tuple[list[Failure], bool]:
    """The same for the whole call's errors that name a number in a field or a key; and whether there are others."""
    found: list[Failure] = []
    others = False
    for item in errors:
        named: list[Failure] = []
        if isinstance(item, dict):
            named = list(_of_error(item, sent))
        found += named
        others = others or bool(item and not named)
    return found, others


def _of_error(item: Mapping[str, Json], sent: Sent) -> Iterator[Failure]:
    for number in _named(folded(item), sent) or ():
        yield number, read_problem(dict(item)), item
    for number, value in _by_key(item, sent):
        yield number, read_problem(value), {number: value}


def _by_key(item: Mapping[str, Json], sent: Sent) -> list[tuple[str, Json]]:
    return [(number, value) for key, value in item.items() if (number := sent.find(key)) is not None]


def _failed(value: Json) -> bool:
    """Whether what is said of a configured number, or of a direction of it, is that it failed."""
    if isinstance(value, list):
        return any(_failed(item) for item in value if isinstance(item, dict))
    if not isinstance(value, dict):
        return refuses({"status": value})
    fields = folded(value)
    return refuses(value) or any(_failed(fields[part]) for part in _PARTS if part in fields)


def _of_object(item: Mapping[str, Json], sent: Sent) -> Iterator[Failure]:
    numbers = _named(folded(item), sent)
    if numbers is not None:
        problem = read_problem(dict(item))
        yield from ((number, problem, item) for number in numbers)
        return
    if by_number := _by_key(item, sent):
        yield from ((number, read_problem(value), {number: value}) for number, value in by_number)
    elif sent.lone is not None:
        yield sent.lone, read_problem(dict(item)), item


def _named(fields: Mapping[str, Json], sent: Sent) -> list[str] | None:
    """The numbers in an object's own fields for them; None where it has no such field."""
    given = [fields[key] for key in _NUMBER_KEYS if fields.get(key) not in (None, "", [], {})]
    if not given:
        return None
    values = [value for each in given for value in (each if isinstance(each, list) else [each])]
    return list(dict.fromkeys(number for number in map(sent.find, values) if number is not None))
