"""Retry-After, given in seconds or as a date."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from trunkline.timestamps import aware, read_http_date

MAX_S: Final = 86_400.0

_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_MAX_TEXT_LENGTH: Final = 100


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from `now` (aware), 0 to 86400; None for an absent value and for one that is neither seconds nor a date.

    https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
    """
    text = (value or "").strip()
    if len(text) > _MAX_TEXT_LENGTH:
        return None
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_S)
    moment = read_http_date(text)
    if moment is None:
        return None
    return min(max((aware(moment) - now).total_seconds(), 0.0), MAX_S)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds of the Retry-After of an answer, as of `parse_retry_after`; of several the longest."""
    found = [parse_retry_after(value, now) for name, value in headers.items() if name.lower() == "retry-after"]
    return max((seconds for seconds in found if seconds is not None), default=None)
