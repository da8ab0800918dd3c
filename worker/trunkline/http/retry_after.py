"""When the API wants to be asked again: Retry-After, in seconds or as a date, and if that is soon enough to wait."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_S: Final = 86_400.0
QUICK_S: Final = 2.0  # up to here a call may wait within its own deadline

_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_MAX_TEXT_LENGTH: Final = 100
_SPEAKS_OF_NUMBERS: Final = (b'"configured"', b'"failed"')


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from `now` (aware), 0 to 86400; None for nothing, and for anything that is neither seconds nor a date.

    https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
    """
    text = (value or "").strip()
    if not text or len(text) > _MAX_TEXT_LENGTH:
        return None
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_S)
    try:
        moment = parsedate_to_datetime(text)
        if moment.utcoffset() is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_S)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The Retry-After of an answer, whatever the case of its name; several: the longest."""
    found = [parse_retry_after(value, now) for name, value in headers.items() if name.lower() == "retry-after"]
    return max((seconds for seconds in found if seconds is not None), default=None)


def quick_repeat_wait_s(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> float | None:
    """Seconds after which the same request may simply be repeated, None where it may not.

    Only a 429 or 503 that names at most two seconds, and only if it does not speak of single numbers: what it says of
    those must be read, and numbers it configured must not be sent again.
    """
    if status not in (429, 503) or any(word in body for word in _SPEAKS_OF_NUMBERS):
        return None
    seconds = retry_after(headers, now)
    return seconds if seconds is not None and seconds <= QUICK_S else None
