"""Reads an answer's body into what it says: the two lists, the errors, the secret; any bytes, never an exception."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

Json = object  # what json.loads gives: dict, list, str, int, float, bool or None

MAX_DEPTH: Final = 6  # levels of nesting within an error that are looked at
WIDEST: Final = 50  # items of a list within an error that are looked at
MAX_WORDS: Final = 100  # codes and sentences of one error
MAX_LENGTH: Final = 2000  # characters of one sentence

_CODE_KEYS: Final = ("error", "code", "errorcode", "type")
_TEXT_KEYS: Final = ("message", "reason", "detail", "details", "description", "title", "msg", "errormessage", "status")
_NESTED_KEYS: Final = ("errors", "failure", "failures")
_NO_NEWS: Final = frozenset({"error", "errors", "failed", "failure", "fail", "status", "about:blank", ""})
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{2,63}|[0-9]{3,6}")
_UNMISTAKABLE_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{3,63}|[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
_REFUSING_KEYS: Final = ("error", "errors", "reason", "failure", "errorcode", "errormessage")
_STATE_KEYS: Final = ("status", "state", "result", "outcome")
_NO_SUCCESS: Final = re.compile(
    r"fail|error|reject|refus|denied|invalid|unsuccess|abort|cancel|\bnot[ _-]", re.IGNORECASE
)
_REGISTER_PASSWORD: Final = re.compile(r"register.{0,12}password", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error says: `codes` are the API's names for it, `texts` its sentences, both as they came."""

    codes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def code(self) -> str | None:
        return self.codes[0] if self.codes else None

    @property
    def words(self) -> str:
        """Everything it says, for people and for reading words in it."""
        return ": ".join(dict.fromkeys((*self.codes, *self.texts)))


@dataclass(frozen=True, slots=True, repr=False)  # it holds passwords, and an answer may repeat any secret
class Envelope:
    """One answer. `configured` and `failed` are None where there are no such lists; `errors` are the whole call's.

    `refused`: it says itself that it is no success, apart from its `errors`.
    """

    readable: bool
    text: str
    configured: list[Json] | None
    failed: list[Json] | None
    errors: list[Json]
    refused: bool
    problem: Problem
    register_password: str | None
    passwords: tuple[str, ...]


def read_envelope(body: bytes) -> Envelope:
    """`{"data": …, "errors": …}` in all the forms in use, the lists at the top level too, HTML, or nothing."""
    text = body.decode("utf-8-sig", "replace")
    readable, parsed = parse_json(text)
    if not readable:
        return _unreadable(text)
    configured, failed = _lists(parsed)
    errors, refused = _errors(parsed)
    register_password, passwords = _passwords(parsed, text)
    return Envelope(True, text, configured, failed, errors, refused, read_problem(parsed), register_password, passwords)


def _unreadable(text: str) -> Envelope:
    withheld = _REGISTER_PASSWORD.search(text) is not None
    if withheld:
        text = "(withheld: it can't be read and may hold a register password)"
    sentence = text.strip()[:MAX_LENGTH]
    problem = Problem()
    if sentence and not withheld and not sentence.startswith("<"):
        problem = Problem(texts=(sentence,))
    return Envelope(False, text, None, None, [], False, problem, None, ())


def parse_json(text: str) -> tuple[bool, Json]:
    """(True, value), or (False, None) for what is not JSON or not fit to be read (bombs of nesting, endless numbers).

    A key given twice keeps both its lists: the second must not hide what the first says.
    """
    try:
        return True, json.loads(text, object_pairs_hook=_joined)
    except (ValueError, RecursionError):
        return False, None


def dump(value: Json) -> str:
    """A part of an answer as one line of JSON, for the operator."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    except (ValueError, RecursionError):
        return "(too deeply nested to show)"


def folded(item: Mapping[str, Json]) -> dict[str, Json]:
    """The object by keys without case, dashes and underscores: `phoneNumber` is `phone_number`."""
    return {key.lower().replace("_", "").replace("-", ""): value for key, value in item.items()}


def refuses(item: Mapping[str, Json]) -> bool:
    """Whether an object says that it is no success: by an error, a flag that is false, or a status in words."""
    fields = folded(item)
    if any(fields.get(key) for key in _REFUSING_KEYS) or fields.get("success") is False or fields.get("ok") is False:
        return True
    states = (fields.get(key) for key in _STATE_KEYS)
    return any(isinstance(state, str) and _NO_SUCCESS.search(state) for state in states)


def read_problem(value: Json) -> Problem:
    """Codes and sentences of an error in any shape: text, `{error, message}`, `{errors: […]}`, lists of these."""
    codes: dict[str, None] = {}
    texts: dict[str, None] = {}
    for is_code, word in islice(_words(value, True, MAX_DEPTH), MAX_WORDS):
        clean = word.strip()[:MAX_LENGTH]
        if clean.lower() in _NO_NEWS:
            continue
        shape = _CODE if is_code else _UNMISTAKABLE_CODE
        (codes if shape.fullmatch(clean) else texts)[clean] = None
    return Problem(tuple(codes), tuple(texts))


def _words(value: Json, may_be_code: bool, depth: int) -> Iterator[tuple[bool, str]]:
    if depth == 0:
        return
    if isinstance(value, str):
        yield may_be_code, value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield may_be_code, str(value)
    elif isinstance(value, list):
        for item in value[:WIDEST]:
            yield from _words(item, may_be_code, depth - 1)
    elif isinstance(value, dict):
        yield from _words_of_object(folded(value), depth)


def _words_of_object(item: Mapping[str, Json], depth: int) -> Iterator[tuple[bool, str]]:
    for keys, may_be_code in ((_CODE_KEYS, True), (_NESTED_KEYS, True), (_TEXT_KEYS, False)):
        for key in keys:
            if key in item:
                yield from _words(item[key], may_be_code, depth - 1)
    scope = item.get("requiredscope")
    if isinstance(scope, str):
        yield False, f"required scope {scope}"


def _lists(parsed: Json) -> tuple[list[Json] | None, list[Json] | None]:
    if not isinstance(parsed, dict):
        return None, None
    for place in (parsed.get("data"), parsed):
        if isinstance(place, dict) and ("configured" in place or "failed" in place):
            return _listed(place.get("configured")), _listed(place.get("failed"))
    return None, None


def _errors(parsed: Json) -> tuple[list[Json], bool]:
    """The errors of the whole call, beside its lists too, and whether it says in another way that it is no success."""
    if not isinstance(parsed, dict):
        return [], False
    data = parsed.get("data")
    places = [each for each in (parsed, data) if isinstance(each, dict)]
    errors: list[Json] = []
    for place in places:
        said = place.get("errors")
        if isinstance(said, list):
            errors += said
        else:
            errors.append(said)
    rest = ({key: value for key, value in place.items() if key != "errors"} for place in places)
    return errors, any(map(refuses, rest))


def _listed(value: Json) -> list[Json] | None:
    """A list as it is; one item in place of a list as a list of one; anything else says nothing."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str | dict) and value else None


def _joined(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    joined = dict(pairs)
    if len(joined) == len(pairs):
        return joined
    joined = {}
    for key, value in pairs:
        _join(joined, key, value)
    return joined


def _join(joined: dict[str, Json], key: str, value: Json) -> None:
    if key in joined:
        value = _both(joined[key], value)
    joined[key] = value


def _both(earlier: Json, later: Json) -> Json:
    if isinstance(earlier, list) and isinstance(later, list):
        return [*earlier, *later]
    if isinstance(earlier, dict) and isinstance(later, dict):
        joined = dict(earlier)
        for key, value in later.items():
            _join(joined, key, value)
        return joined
    return later


def _passwords(parsed: Json, text: str) -> tuple[str | None, tuple[str, ...]]:
    """The register password, and whatever else stands under a password's key: in an odd place it is still a secret."""
    if "assword" not in text.lower() and "\\u" not in text:
        return None, ()
    found: list[str] = []
    register: list[str] = []
    waiting: list[Json] = [parsed]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            for key, inner in value.items():
                name = key.lower().replace("_", "")
                if "password" in name and isinstance(inner, str | int | float) and not isinstance(inner, bool):
                    (register if name.startswith("registerpassword") else found).append(str(inner))
                else:
                    waiting.append(inner)
    register = [password for password in register if password]
    return (register[0] if register else None), (*register, *found)
