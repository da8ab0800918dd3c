"""Foreign text: the characters that are not stored, a printable form, and a guess at what was meant."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

UNSTORABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # in ids and names
LONE_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def printable(text: str, limit: int = 80) -> str:
    """Foreign text for one line of output: no control characters, no lone surrogates, at most `limit` characters."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return "".join(map(_shown, text))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` if a known word is close to this one, else ""."""
    for close in get_close_matches(word, list(known), n=1):
        return f'; did you mean "{close}"?'
    return ""


def _shown(char: str) -> str:
    if unicodedata.category(char) in {"Cc", "Cs", "Cf", "Zl", "Zp"}:
        return "\ufffd"
    return char
