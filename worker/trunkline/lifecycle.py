"""What can become of a number: its states, the codes of dead letters and refusals."""

from dataclasses import dataclass
from enum import StrEnum

from trunkline.text import printable


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
class Refusal:
    """A number that was not taken in; `number` is the sender's own text."""

    number: str
    code: RefusalCode
    message: str

    def as_json(self) -> dict[str, str]:
        """The item of `rejected` in answers to producers; always storable and printable, whatever was sent."""
        return {"number": printable(self.number), "code": self.code.value, "message": self.message}
