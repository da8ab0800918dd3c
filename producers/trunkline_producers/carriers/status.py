"""What a carrier's answer says by its status: that it is one, or the error it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from trunkline.text import printable
from trunkline_producers.carriers.errors import CarrierError, CarrierRefused, CarrierUnavailable

MAX_S: Final = 86_400.0
SAID: Final = 200  # characters of a refusal's own words

_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?")
_PASSING: Final = frozenset({408, 425, 429})
_KEY: Final = frozenset({401, 403})


def judge(name: str, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> CarrierError | None:
    """None for a 2xx, else the error. `headers` finds `retry-after` by its lower-case name; `now` is aware.

    The body's own words are repeated, shortened, only where they may say what is wrong with the request; never those of
    a refused key.
    """
    if 200 <= status <= 299:
        return None
    if status in _PASSING or status >= 500:
        return CarrierUnavailable(f"{name} answers {status}", retry_after_s(headers.get("retry-after"), now))
    if status in _KEY:
        what = "the key is not accepted" if status == 401 else "the key may not read this"
        return CarrierRefused(f"{name} answers {status}: {what}; check key, user and account", status)
    if 300 <= status <= 399:
        return CarrierRefused(
            f"{name} answers {status}, a redirect, which is not followed because the key would go along; check url",
            status,
        )
    said = printable(" ".join(body[: 4 * SAID].decode("utf-8", "replace").split()), SAID)
    return CarrierRefused(f"{name} answers {status}: {said or 'no reason given'}", status)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds from `now`, 0 to 86400; None for nothing, and for what is neither seconds nor a date (RFC 9110)."""
    given = (value or "").strip()
    if _SECONDS.fullmatch(given):
        return min(float(given), MAX_S)
    try:
        then = parsedate_to_datetime(given[:100])
        then = then.replace(tzinfo=UTC) if then.utcoffset() is None else then
        return min(max((then - now).total_seconds(), 0.0), MAX_S)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
