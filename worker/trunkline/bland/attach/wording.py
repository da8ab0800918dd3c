"""Reads an error's words: whose trouble is it, the account's or a number's, and will it pass.

The words are those of Bland's public pages and of what other people saw; codes vary in case and are sometimes prose, so
everything is compared in lower case with `NOT_OWNED`, `notOwned` and `not-owned` read as `not owned`.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

from trunkline.bland.attach.envelope import Problem

Trouble = Literal["account", "permanent", "already", "passing", "other"]
AccountKind = Literal["auth", "forbidden"]

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_GAPS: Final = re.compile(r"[\s_\-]+")
_ECHO: Final = re.compile(r"[\[{]\s*\"|&quot;|\\\"")  # where a message starts to repeat the request

_STANDING: Final = r"(?:suspended|flagged|disabled|deactivated|banned)"
_HOLDER: Final = r"(?:account|org|organi[sz]ation|workspace)"
_AUTH: Final = re.compile(
    r"\bauth(?:entication|orization)? fail(?:ure|ed)\b"
    r"|\b(?:invalid|missing|expired|revoked|wrong|bad|unknown) (?:api|access|authorization) (?:key|token|header)\b"
)
_FORBIDDEN: Final = re.compile(
    r"\binsufficient (?:scope|permission)s?\b|\bsip (?:is |was |has )?not (?:been |yet )?enabled\b"
    rf"|\b{_HOLDER}\b[^.;]{{0,40}}\b{_STANDING}\b|\b{_STANDING} {_HOLDER}\b"
)
_OWNED_ELSEWHERE: Final = re.compile(
    r"\b(?:not|doesn't|don't) own(?:ed)?\b|\bbelong(?:s|ed|ing)?\b|\banother org|\bpurchased\b|\bblack ?list"
)
_INVALID: Final = re.compile(r"\binvalid")
_INVALID_NUMBER: Final = re.compile(r"\binvalid (?:phone|number|did\b)|\b(?:number|did)s? (?:is|are) invalid\b")
_A_NUMBER: Final = re.compile(r"\b(?:phones?|numbers?|dids?|phone ?numbers?)\b|\+[0-9]{7,}")
_A_KEY: Final = re.compile(r"\b(?:api|access) ?(?:key|token)\b|\bauthorization\b")
_ALREADY: Final = re.compile(r"\balready\b|\bexists\b|\bduplicat")
_PASSING: Final = re.compile(
    r"\btime(?:d)? ?outs?\b|\btemporar|\brates?\b|\bratelimit|\btoo many requests\b|\btry again\b|\bunavailable\b"
)


def trouble_of_number(problem: Problem) -> Trouble:
    """What a reason given for one number means. Words of a permanent refusal count before all but the account's."""
    words = plain(problem)
    if _OWNED_ELSEWHERE.search(words):
        return "permanent"
    if account_kind(problem) is not None:
        return "account"
    if _INVALID.search(words):
        return "permanent"
    if _ALREADY.search(words):
        return "already"
    return "passing" if _PASSING.search(words) else "other"


def account_kind(problem: Problem) -> AccountKind | None:
    """Whether an error names the account: its key (`auth`), or what it may do (`forbidden`)."""
    words = plain(problem)
    if _FORBIDDEN.search(words):
        return "forbidden"
    return "auth" if _AUTH.search(words) else None


def is_about_a_number(problem: Problem) -> bool:
    """Whether a refusal of a whole call speaks of a number that can't be had, and not of a key or an account."""
    words = plain(problem)
    if _INVALID_NUMBER.search(words) or re.search(r"\bblack ?list", words):
        return True
    return bool(_OWNED_ELSEWHERE.search(words) and _A_NUMBER.search(words) and not _A_KEY.search(words))


def plain(problem: Problem) -> str:
    """The words of an error as they are compared; what a sentence repeats of the request is left out."""
    return _plain((*problem.codes, *(_ECHO.split(text, maxsplit=1)[0] for text in problem.texts)))


def likeness(problem: Problem, numbers: Iterable[str]) -> str:
    """An error's words less the numbers and all digits: equal for refusals that are alike."""
    words = problem.words
    for number in numbers:
        words = words.replace(number, "#")
    return re.sub(r"\+?[0-9#][0-9# ().-]*", "#", _plain((words,)))


def _plain(texts: Iterable[str]) -> str:
    joined = " | ".join(texts)
    return _GAPS.sub(" ", _CAMEL.sub(" ", joined).replace("’", "'")).lower()
