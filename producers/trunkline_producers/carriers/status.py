"""The error that the status of a carrier's answer stands for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from trunkline.http.retry_after import retry_after
from trunkline.text import printable
from trunkline_producers.carriers.errors import CarrierError, CarrierRefused, CarrierUnavailable

MAX_WORDS_LENGTH: Final = 200  # characters of a refusal's own words

_PASSING: Final = frozenset({408, 425, 429})
_KEY: Final = frozenset({401, 403})


def judge(name: str, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> CarrierError | None:
    """Return None for a 2xx, else the error. `now` is aware.

    The error repeats the body's own words, shortened, if they may explain what is wrong with the request; never those
    of a refused key.
    """
    if 200 <= status <= 299:
        return None
    if status in _PASSING or status >= 500:
        return CarrierUnavailable(f"{name} answers {status}", retry_after(headers, now))
    if status in _KEY:
        what = "the key is not accepted"
        if status == 403:
            what = "the key may not read this"
        return CarrierRefused(f"{name} answers {status}: {what}; check key, user and account", status)
    if 300 <= status <= 399:
        return CarrierRefused(
            f"{name} answers {status}, a redirect, which is not followed because the key would go along; check url",
            status,
        )
    said = printable(" ".join(body[: 4 * MAX_WORDS_LENGTH].decode("utf-8", "replace").split()), MAX_WORDS_LENGTH)
    return CarrierRefused(f"{name} answers {status}: {said or 'no reason given'}", status)
