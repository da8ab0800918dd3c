"""What the sandbox saw of its clients: counts, calls that overlap, numbers sent again, and a log of attach calls.

Nothing here is locked: the service does that. No key and no password ever comes here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from trunkline.sandbox.book import timestamp
from trunkline.sandbox.conduct import Conduct

LOGGED_CALLS = 2000
NAMED_NUMBERS = 100  # how many offending numbers are named; all are counted


class Link(Protocol):
    """The connection a call came on."""

    def gone(self) -> bool:
        """Whether the client has closed it."""


@dataclass(slots=True, eq=False)
class Call:
    """One attach call. `sent` is every number as it came, `numbers` each once; `configurations` maps a direction to a
    digest of what was asked for it; `at` is wall-clock and `monotonic` monotonic, both in seconds."""

    sent: tuple[str, ...]
    numbers: tuple[str, ...]
    configurations: Mapping[str, str]
    link: Link
    at: float
    monotonic: float
    status: int | None = None
    fault: str | None = None
    configured: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    answered: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "at": timestamp(self.at),
            "monotonic": self.monotonic,
            "numbers": self.sent,
            "directions": list(self.configurations),
            "status": self.status,
            "fault": self.fault,
            "configured": self.configured,
            "failed": self.failed,
            "answered": self.answered,
        }


@dataclass(slots=True)
class _Offence:
    """Something clients shouldn't do: how often, and which numbers first."""

    count: int = 0
    numbers: list[str] = field(default_factory=list)

    def add(self, number: str) -> None:
        self.count += 1
        if len(self.numbers) < NAMED_NUMBERS:
            self.numbers.append(number)


class Witness:
    """Counts from the start of the sandbox."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._by_fault: Counter[str] = Counter()
        self._numbers = self._configured = self._failed = 0
        self._duplicates = self._max_batch = self._max_concurrent = 0
        self._times_sent: dict[str, int] = {}
        self._answered: dict[str, Mapping[str, str]] = {}  # number -> direction -> what it was told is configured
        self._in_flight: dict[Call, None] = {}
        self._sent_again = _Offence()
        self._in_two_calls = _Offence()
        self._log: deque[Call] = deque(maxlen=LOGGED_CALLS)

    def arrive(self, call: Call) -> list[int]:
        """Notes a call that has come in; how often each of its numbers came before."""
        self._log.append(call)
        self._numbers += len(call.sent)
        self._duplicates += len(call.sent) - len(call.numbers)
        self._max_batch = max(self._max_batch, len(call.sent))
        self._look_for_overlaps(call)
        times_sent = []
        for number in call.numbers:
            before = self._times_sent.get(number, 0)
            times_sent.append(before)
            self._times_sent[number] = before + 1
            known = self._answered.get(number)
            if known and any(known.get(direction) == asked for direction, asked in call.configurations.items()):
                self._sent_again.add(number)
        return times_sent

    def leave(self, call: Call, conduct: Conduct, *, answered: bool) -> None:
        """Notes how a call ends; to be called before the answer is written, so that no client can be faster.

        `answered`: the client is there to read the answer.
        """
        self._in_flight.pop(call, None)
        call.fault = conduct.fault
        call.configured, call.failed = conduct.configured, conduct.failed
        call.status = None if conduct.cut else conduct.content.status
        call.answered = answered
        self._by_status["cut" if conduct.cut else str(conduct.content.status)] += 1
        if conduct.fault is not None:
            self._by_fault[conduct.fault] += 1
        self._configured += len(conduct.committed)
        self._failed += len(conduct.failed)
        if answered:
            for number in conduct.configured:
                known = self._answered.get(number)
                self._answered[number] = {**known, **call.configurations} if known else call.configurations

    def unanswered(self, call: Call) -> None:
        """The answer couldn't be written after all."""
        call.answered = False
        for number in call.configured:
            self.forget(number, call.configurations)

    def forget(self, number: str, directions: Iterable[str]) -> None:
        """The number's directions may be sent again: they were detached, or nobody heard that they are configured."""
        gone = set(directions)
        known = self._answered.get(number, {})
        self._answered[number] = {each: asked for each, asked in known.items() if each not in gone}

    def log(self) -> list[dict[str, Any]]:
        """The last attach calls, oldest first."""
        return [call.as_json() for call in self._log]

    def stats(self) -> dict[str, Any]:
        """The counts, as GET /_sandbox/stats shows them."""
        return {
            "calls": dict(self.calls),
            "attach": {
                "numbers": self._numbers,
                "configured": self._configured,
                "failed": self._failed,
                "by_status": dict(self._by_status),
                "by_fault": dict(self._by_fault),
            },
            "max_batch": self._max_batch,
            "duplicates_in_call": self._duplicates,
            "max_concurrent": self._max_concurrent,
            "sent_again_after_success": self._sent_again.count,
            "sent_again_numbers": list(self._sent_again.numbers),
            "in_two_calls_at_once": self._in_two_calls.count,
            "in_two_calls_numbers": list(self._in_two_calls.numbers),
        }

    def _look_for_overlaps(self, call: Call) -> None:
        """A call whose client has gone is over for the client, though the sandbox may still be at it."""
        mine = set(call.numbers)
        for other in self._in_flight:
            both = mine.intersection(other.numbers)
            if both and not other.link.gone():
                for number in sorted(both):
                    self._in_two_calls.add(number)
        self._in_flight[call] = None
        if len(self._in_flight) > self._max_concurrent:
            present = sum(other is call or not other.link.gone() for other in self._in_flight)
            self._max_concurrent = max(self._max_concurrent, present)
