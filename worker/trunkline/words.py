"""The words every part shares: the error tree, what can become of a number, a mistake with its place."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum


class TrunklineError(Exception):
    """The root of every error that is raised on purpose; what to catch is decided by what can be done about it.

    ::

        TrunklineError
        ├── InvalidEvent        the sender must change the event           .mistakes
        ├── NumberRefused       the sender must change the number          .reason
        ├── Unverified          the sender must sign the delivery          .reason
        ├── Unreadable          the sender must change the body
        ├── BadFile             the user must change the file
        ├── ConfigError         the operator must change the configuration .mistakes
        ├── SecretUnresolved    the operator must provide a secret
        ├── EmbeddedError       the embedded server could not be had
        ├── SandboxTaken        a sandbox runs in the folder already
        ├── CarrierError        a carrier's API did not give what was asked for
        ├── NotSent             the API certainly did not process the request
        └── Unanswered          the API may have processed the request
    """


class State(StrEnum):
    """What an entry can be: one number under one profile."""

    queued = "queued"
    attaching = "attaching"
    attached = "attached"
    dead = "dead"
    superseded = "superseded"
    dropped = "dropped"


class DeadCode(StrEnum):
    """Why an entry will not be tried again until somebody replays it."""

    rejected_by_api = "rejected_by_api"
    attempts_exhausted = "attempts_exhausted"
    poison = "poison"
    crashed_worker = "crashed_worker"


class RefusalCode(StrEnum):
    """Why a number or an event was not taken in."""

    invalid_number = "invalid_number"
    unknown_profile = "unknown_profile"
    no_route = "no_route"
    invalid_event = "invalid_event"
    queue_full = "queue_full"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong, and where: `profiles.support.directions[1].sip_endpoint`; an empty place is the whole."""

    place: str
    message: str

    def under(self, place: str) -> "Mistake":
        """The same mistake seen from one level further out."""
        if not self.place or not place:
            return Mistake(place or self.place, self.message)
        return Mistake(f"{place}{'' if self.place.startswith('[') else '.'}{self.place}", self.message)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


@dataclass(frozen=True, slots=True)
class Refusal:
    """A number that was not taken in; `number` is the sender's own text."""

    number: str
    code: RefusalCode
    message: str

    def as_json(self) -> dict[str, str]:
        """The item of `rejected` in answers to producers; always storable and printable, whatever was sent."""
        return {"number": printable(self.number), "code": self.code.value, "message": self.message}


class InvalidEvent(TrunklineError):
    """An event that can't be understood. `mistakes` holds all of them, each with its place in the event."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


def printable(text: str, limit: int = 80) -> str:
    """Foreign text made fit for a line of output: no control characters, no lone surrogates, bounded length."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join("\ufffd" if unicodedata.category(char) in {"Cc", "Cs", "Cf", "Zl", "Zp"} else char for char in cut)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` where something known is close to the word, else nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
