"""When a request was signed, and whether that is near enough to now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from trunkline_producers.verify.scheme import Reason, Unverified
from trunkline_producers.webhooks.bodies import Unreadable, read_json
from trunkline_producers.webhooks.expressions import Expression, ExpressionFailed
from trunkline_producers.webhooks.request import WebhookRequest

Unit = Literal["s", "ms", "rfc3339"]

DEFAULT_TOLERANCE_S: Final = 300.0
_DIGITS: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
# Fractions of any length and no zone at all (then UTC) are what Sinch sends.
_RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Window:
    """How far, in seconds, a timestamp may lie behind and ahead of now."""

    tolerance_s: float = DEFAULT_TOLERANCE_S
    future_s: float = DEFAULT_TOLERANCE_S

    def check(self, at: float, now: float) -> None:
        """Raises Unverified for a time, in unix seconds, that is out of the window."""
        if now - at > self.tolerance_s:
            raise Unverified(Reason.stale, f"the request was signed more than {self.tolerance_s:g} s ago")
        if at - now > self.future_s:
            raise Unverified(Reason.from_future, f"the request was signed more than {self.future_s:g} s ahead of now")


DEFAULT_WINDOW: Final = Window()


@dataclass(frozen=True, slots=True)
class Stamp:
    """A timestamp as it was sent, and the unix seconds that it means."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Timestamp:
    """Where the timestamp stands: in a header, under a tag beside the signature, or in the signed body, as JSON."""

    place: str | Expression
    tagged: bool = False
    unit: Unit = "s"
    window: Window = DEFAULT_WINDOW

    def beside(self, request: WebhookRequest, tags: list[tuple[str, str]]) -> Stamp | None:
        """The timestamp outside the body, None where it is inside. Raises Unverified."""
        if isinstance(self.place, Expression):
            return None
        if not self.tagged:
            return read_stamp(request.headers.get(self.place), self.unit)
        values = [value for tag, value in tags if tag == self.place]
        if len(values) > 1:
            raise Unverified(Reason.malformed_timestamp, "there is more than one timestamp")
        return read_stamp(values[0] if values else None, self.unit)

    def within(self, request: WebhookRequest) -> Stamp:
        """The timestamp in the body, which is to be believed only once the body is. Raises Unverified."""
        value: Any = None
        if isinstance(self.place, Expression):
            try:
                value = self.place.search(read_json(request.body))
            except (Unreadable, ExpressionFailed):
                value = None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15:
            value = str(value)
        if value is not None and not isinstance(value, str):
            raise Unverified(Reason.malformed_timestamp, "the timestamp is neither text nor a whole number")
        return read_stamp(value, self.unit)


def read_stamp(text: str | None, unit: Unit) -> Stamp:
    """A timestamp read. Raises Unverified for a missing or malformed one."""
    if not text:
        raise Unverified(Reason.missing_timestamp, "there is no timestamp")
    at = _from_rfc3339(text) if unit == "rfc3339" else _from_digits(text, 1 if unit == "s" else 1000)
    if at is None:
        raise Unverified(Reason.malformed_timestamp, f"the timestamp is not what unit = {unit} says")
    return Stamp(text, at)


def _from_digits(text: str, in_a_second: int) -> float | None:
    return int(text) / in_a_second if _DIGITS.fullmatch(text) else None


def _from_rfc3339(text: str) -> float | None:
    found = _RFC3339.fullmatch(text)
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'' if zone in {None, 'Z', 'z'} else zone}")
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() + float(fraction or 0)
    except (ValueError, OverflowError):
        return None
