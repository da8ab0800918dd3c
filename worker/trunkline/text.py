"""Foreign text made safe to show, and a guess at what was meant."""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches


def printable(text: str, limit: int = 80) -> str:
    """Foreign text made fit for a line of output: no control characters, no lone surrogates, bounded length."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join("\ufffd" if unicodedata.category(char) in {"Cc", "Cs", "Cf", "Zl", "Zp"} else char for char in cut)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` where something known is close to the word, else nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
