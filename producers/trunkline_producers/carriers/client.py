"""The HTTP of the carriers' APIs: one request with its quick repeats, and the body of its answer or an error."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Final

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception

from trunkline_producers.carriers.errors import CarrierRefused, CarrierUnavailable, CarrierUnreadable
from trunkline_producers.carriers.status import judge

MAX_BODY_BYTES: Final = 16 * 1024 * 1024  # bytes of an answer
CONNECT_S: Final = 10.0
TRIES: Final = 4
PAUSES_S: Final = (0.2, 0.8, 2.0)  # before the repeats, where the carrier does not say when
MAX_WAIT_S: Final = 60.0  # a carrier that wants more is asked again by whoever called
ROOM_S: Final = 0.5  # what a repeat must have left of the time

_UNFIT: Final = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)


class CarrierHttp:
    """One carrier's API. Safe to use from many threads; redirects are not followed, so the key goes nowhere else.

    `until` is when a call must have ended (time.monotonic seconds): the network is given no more than that for each
    step, and no further repeat begins. `transport` and `sleep` are for programs that bring their own.
    """

    def __init__(
        self,
        name: str,
        *,
        timeout_s: float,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._client = httpx.Client(
            headers={"accept-encoding": "identity"}, verify=_tls(), transport=transport, follow_redirects=False
        )

    def get(self, url: str, headers: Mapping[str, str], *, until: float = float("inf")) -> bytes:
        """The body of a successful answer. Raises CarrierError."""
        return self._call("GET", url, headers, None, until)

    def post(self, url: str, headers: Mapping[str, str], form: Mapping[str, str], *, until: float) -> bytes:
        """The same of a form."""
        return self._call("POST", url, headers, form, until)

    def close(self) -> None:
        """Closes the connections."""
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
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_S, seconds))
        try:
            request = self._client.build_request(
                method, url, headers=dict(headers), data=dict(form) if form else None, timeout=timeout
            )
            return self._exchange(request, now + seconds)
        except _UNFIT:
            # their own text may repeat the key
            raise CarrierRefused(f"{self._name}: the request can't be sent as it is; look at url and key") from None
        except httpx.DecodingError as error:
            raise CarrierUnreadable(f"{self._name}: the answer can't be decoded") from error
        except httpx.TimeoutException as error:
            raise CarrierUnavailable(f"{self._name} did not answer within {seconds:.3g} s") from error
        except httpx.HTTPError as error:
            raise CarrierUnavailable(f"{self._name} can't be reached: {error}") from error

    def _exchange(self, request: httpx.Request, until: float) -> bytes:
        answer = self._client.send(request, stream=True)
        try:
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise CarrierUnreadable(f"{self._name}: the answer is larger than {MAX_BODY_BYTES} bytes")
                if time.monotonic() > until:
                    raise CarrierUnavailable(f"{self._name}: the answer did not arrive whole in time")
        finally:
            answer.close()
        if trouble := judge(self._name, answer.status_code, answer.headers, bytes(body), datetime.now(UTC)):
            raise trouble
        return bytes(body)


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes a while, and all clients may share them."""
    return httpx.create_ssl_context()


def _worth_repeating(error: BaseException) -> bool:
    return isinstance(error, CarrierUnavailable) and (error.retry_after_s or 0.0) <= MAX_WAIT_S


def _pause_s(state: RetryCallState) -> float:
    usual = PAUSES_S[min(state.attempt_number, len(PAUSES_S)) - 1]
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, CarrierUnavailable) else None
    return max(usual, asked or 0.0)


def _enough(until: float, state: RetryCallState) -> bool:
    return state.attempt_number >= TRIES or time.monotonic() + state.upcoming_sleep + ROOM_S >= until
