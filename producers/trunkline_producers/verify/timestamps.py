"""The timestamp of a request: its place, its form, and the window around now in which it counts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from trunkline.schema import Fault, Table, Text
from trunkline.timestamps import aware, read_iso
from trunkline_producers.verify.scheme import Header, Reason, Unverified
from trunkline_producers.webhooks.bodies import Unreadable, read_json
from trunkline_producers.webhooks.expressions import ExpressionFailed, ExpressionField
from trunkline_producers.webhooks.request import WebhookRequest

Unit = Literal["s", "ms", "rfc3339"]
Tolerance = Annotated[float, Field(ge=0, le=7 * 86400)]

DEFAULT_TOLERANCE_S: Final = 300.0
_DIGITS: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
# Fractions of any length and no zone at all (then UTC) are what Sinch sends.
_RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)


def check_window(at: float, now: float, *, tolerance_s: float = math.inf, future_s: float = math.inf) -> None:
    """Raise Unverified for a time (unix seconds) more than `tolerance_s` before or `future_s` after `now`."""
    if now - at > tolerance_s:
        raise Unverified(Reason.stale, f"the request was signed more than {tolerance_s:g} s ago")
    if at - now > future_s:
        raise Unverified(Reason.from_future, f"the request was signed more than {future_s:g} s ahead of now")


@dataclass(frozen=True, slots=True)
class Stamp:
    """A timestamp as it was sent, and its unix seconds."""

    text: str
    at: float


class Timestamp(Table):
    """Place of the timestamp: a header, a tag beside the signature, or an expression in the signed body, as JSON.

    `tolerance_s` and `future_s` are how many seconds it may lie behind and ahead of now.
    """

    what: ClassVar[str] = "timestamp"
    header: Header | None = None
    tag: Text | None = None
    body: ExpressionField | None = None
    unit: Unit = "s"
    tolerance_s: Tolerance = DEFAULT_TOLERANCE_S
    future_s: Tolerance = DEFAULT_TOLERANCE_S

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """Check that exactly one place is named."""
        if sum(name in raw for name in ("header", "tag", "body")) != 1:
            yield (), 'must have one of header = "…", tag = "…" and body = "…"'

    def beside(self, request: WebhookRequest, tags: list[tuple[str, str]]) -> Stamp | None:
        """The timestamp outside the body, None if it is inside. Raises Unverified."""
        if self.body is not None:
            return None
        if self.header is not None:
            return read_stamp(request.headers.get(self.header), self.unit)
        values = [value for tag, value in tags if tag == self.tag]
        if len(values) > 1:
            raise Unverified(Reason.malformed_timestamp, "there is more than one timestamp")
        return read_stamp("".join(values), self.unit)

    def within(self, request: WebhookRequest) -> Stamp:
        """The timestamp in the body, to be believed only after the body is verified. Raises Unverified."""
        value: Any = None
        if self.body is not None:
            try:
                value = self.body.search(read_json(request.body))
            except (Unreadable, ExpressionFailed):
                value = None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15:
            value = str(value)
        if value is not None and not isinstance(value, str):
            raise Unverified(Reason.malformed_timestamp, "the timestamp is neither text nor a whole number")
        return read_stamp(value, self.unit)

    def check(self, stamp: Stamp, now: float) -> None:
        """Raise Unverified for a timestamp outside the window around `now` (unix seconds)."""
        check_window(stamp.at, now, tolerance_s=self.tolerance_s, future_s=self.future_s)


def read_stamp(text: str | None, unit: Unit) -> Stamp:
    """Read a timestamp. Raises Unverified for a missing or malformed one."""
    if not text:
        raise Unverified(Reason.missing_timestamp, "there is no timestamp")
    match unit:
        case "rfc3339":
            at = _from_rfc3339(text)
        case "ms":
            at = _from_digits(text, 1000)
        case "s":
            at = _from_digits(text, 1)
    if at is None:
        raise Unverified(Reason.malformed_timestamp, f"the timestamp is not what unit = {unit} says")
    return Stamp(text, at)


def _from_digits(text: str, in_a_second: int) -> float | None:
    if not _DIGITS.fullmatch(text):
        return None
    return int(text) / in_a_second


def _from_rfc3339(text: str) -> float | None:
    found = _RFC3339.fullmatch(text)
    if not found:
        return None
    day, clock, fraction, zone = found.groups("")
    moment = read_iso(f"{day}T{clock}{zone}")
    if moment is None:
        return None
    return aware(moment).timestamp() + float(fraction or 0)
