"""Finds the numbers that were sent in what an answer says of numbers, however it writes them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from trunkline.attach.envelope import Json, Problem, folded, read_problem

_NUMBER_KEYS: Final = ("phonenumber", "number", "phone", "did", "phonenumbers", "numbers")
_REFUSING_KEYS: Final = ("error", "errors", "reason", "failure", "errorcode", "errormessage")
_SEPARATORS: Final = re.compile(r"[\s().\-\u2010-\u2015]+")
_TOKENS: Final = re.compile(r"[\s:,;=\"'()\[\]{}<>|]+")
_WRITTEN_OUT: Final = re.compile(r"\+?[0-9][0-9 ().\-]{5,}[0-9]")
_LONGEST: Final = 2000  # characters of a sentence in which numbers are looked for

Failure = tuple[str, Problem, Json]


class Sent:
    """The numbers of one call, to be recognised in its answer: `+14155550100` also as `1 (415) 555-0100`.

    DIDs and extensions, which do not begin with +, are theirs verbatim.
    """

    __slots__ = ("_digits", "exact", "lone")

    def __init__(self, numbers: Sequence[str]) -> None:
        self.exact = dict.fromkeys(numbers)
        self._digits: dict[str, str] | None = None
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
        return self._digits.get(compact.removeprefix("+")) or self._digits.get(compact.removeprefix("00"))

    def find_in(self, sentence: str) -> str | None:
        """The number that a sentence is about: the one it begins with, or else the only one it mentions."""
        tokens = _TOKENS.split(sentence[:_LONGEST].strip())
        first = self.find(tokens[0]) if tokens else None
        if first is not None:
            return first
        written = (*(token for token in tokens if token.startswith("+")), *_WRITTEN_OUT.findall(sentence[:_LONGEST]))
        found = {number for number in map(self.find, written) if number is not None}
        return found.pop() if len(found) == 1 else None


def configured_numbers(items: Sequence[Json], sent: Sent) -> set[str]:
    """The numbers that the list of the configured names; an item that also speaks of an error is left out."""
    found: set[str] = set()
    for item in items:
        if isinstance(item, str) and item in sent.exact:
            found.add(item)
        elif isinstance(item, dict):
            fields = folded(item)
            if not any(fields.get(key) for key in _REFUSING_KEYS) and fields.get("success") is not False:
                found.update(_named(fields, sent) or ())
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


def failures_by_error(errors: Json, sent: Sent) -> Iterator[Failure]:
    """The same for the whole call's errors, of which only those count that name a number in a field of its own."""
    for item in errors if isinstance(errors, list) else ():
        if isinstance(item, dict) and (numbers := _named(folded(item), sent)):
            yield from ((number, read_problem(item), item) for number in numbers)


def _of_object(item: Mapping[str, Json], sent: Sent) -> Iterator[Failure]:
    numbers = _named(folded(item), sent)
    if numbers is not None:
        problem = read_problem(dict(item))
        yield from ((number, problem, item) for number in numbers)
        return
    by_number = [(number, value) for key, value in item.items() if (number := sent.find(key)) is not None]
    if by_number:
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
