"""HTTP to the carriers' APIs: a request with its quick repeats; returns the body of the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception

from trunkline.http.exchange import BodyTooLarge, exchange
from trunkline.http.transport import DeadlineTransport, Sending
from trunkline_producers.carriers.errors import CarrierRefused, CarrierUnavailable, CarrierUnreadable
from trunkline_producers.carriers.status import judge

MAX_BODY_BYTES: Final = 16 * 1024 * 1024  # bytes of an answer
TRIES: Final = 4
PAUSES_S: Final = (0.2, 0.8, 2.0)  # before the repeats, unless the carrier says when
MAX_WAIT_S: Final = 60.0  # a longer Retry-After is left to the caller
ROOM_S: Final = 0.5  # time that a repeat must have left

_UNFIT: Final = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)


class CarrierHttp:
    """One carrier's API at `urls`. Thread-safe. Redirects are not followed, so the key goes nowhere else.

    `until` (time.monotonic seconds) is when a call has ended, whatever the carrier does; one request takes at most
    `timeout_s` of that. `transport` and `sleep` are for programs that bring their own.
    """

    def __init__(
        self,
        name: str,
        *urls: str,
        timeout_s: float,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._client = httpx.Client(
            headers={"accept-encoding": "identity"},
            transport=transport or DeadlineTransport(*urls),
            trust_env=False,  # the transport reads the proxies
        )

    def get(self, url: str, headers: Mapping[str, str], *, until: float = float("inf")) -> bytes:
        """Send a GET and return the body of a successful answer. Raises CarrierError."""
        return self._call("GET", url, headers, None, until)

    def post(self, url: str, headers: Mapping[str, str], form: Mapping[str, str], *, until: float) -> bytes:
        """Send a form and return the body of a successful answer. Raises CarrierError."""
        return self._call("POST", url, headers, form, until)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None, until: float
    ) -> bytes:
        quickly = Retrying(
            retry=retry_if_exception(_worth_repeating),
            wait=_pause_s,
            stop=partial(_enough, until),
            sleep=self._sleep,
            reraise=True,
        )
        return quickly(self._once, method, url, headers, form, until)

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None, until: float
    ) -> bytes:
        now = time.monotonic()
        seconds = min(self._timeout_s, until - now)
        if seconds <= 0:
            raise CarrierUnavailable(f"{self._name}: no time was left to ask")
        try:
            request = self._client.build_request(method, url, headers=headers, data=form)
            answer = exchange(self._client, request, Sending(now + seconds), max_bytes=MAX_BODY_BYTES)
        except BodyTooLarge as error:
            raise CarrierUnreadable(f"{self._name}: {error}") from error
        except _UNFIT:
            # their own text may repeat the key
            raise CarrierRefused(f"{self._name}: the request can't be sent as it is; look at url and key") from None
        except httpx.DecodingError as error:
            raise CarrierUnreadable(f"{self._name}: the answer can't be decoded") from error
        except httpx.TimeoutException as error:
            raise CarrierUnavailable(f"{self._name} did not answer within {seconds:.3g} s") from error
        except httpx.HTTPError as error:
            raise CarrierUnavailable(f"{self._name} can't be reached: {error}") from error
        if trouble := judge(self._name, answer.status, answer.headers, answer.body, datetime.now(UTC)):
            raise trouble
        return answer.body


def _worth_repeating(error: BaseException) -> bool:
    return isinstance(error, CarrierUnavailable) and (error.retry_after_s or 0.0) <= MAX_WAIT_S


def _pause_s(state: RetryCallState) -> float:
    usual = PAUSES_S[min(state.attempt_number, len(PAUSES_S)) - 1]
    error = state.outcome and state.outcome.exception()
    if not isinstance(error, CarrierUnavailable):
        return usual
    return max(usual, error.retry_after_s or 0.0)


def _enough(until: float, state: RetryCallState) -> bool:
    return state.attempt_number >= TRIES or time.monotonic() + state.upcoming_sleep + ROOM_S >= until
