"""Decision if a request to Bland may be repeated within the same call."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from trunkline.http.retry_after import retry_after

QUICK_S: Final = 2.0  # the longest pause within a call
_SPEAKS_OF_NUMBERS: Final = (b'"configured"', b'"failed"')


def quick_repeat_wait_s(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> float | None:
    """Seconds after which the same request may be repeated, None if it may not.

    Only a 429 or 503 whose Retry-After is at most QUICK_S is repeated, and only if its body does not report single
    numbers: those results must be read, and numbers that were configured must not be sent again.
    """
    if status not in (429, 503) or any(word in body for word in _SPEAKS_OF_NUMBERS):
        return None
    seconds = retry_after(headers, now)
    if seconds is None or seconds > QUICK_S:
        return None
    return seconds
