"""The client of Bland's SIP endpoints: an answer as it came, or an error that says if the request was sent."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, retry_if_result

from trunkline import __version__
from trunkline.bland.attach.quick_repeat import quick_repeat_wait_s
from trunkline.config.sections import Account
from trunkline.errors import TrunklineError
from trunkline.http.exchange import BodyTooLarge, Exchange, exchange, timeout_within
from trunkline.http.transport import DeadlineTransport, Sending
from trunkline.redaction import clip, make_scrubber

__all__ = ["BlandApi", "Exchange", "NotSent", "Permit", "Unanswered"]

Permit = Callable[[], None]

MAX_BODY_BYTES: Final = 32 * 1024 * 1024  # bytes of an answer
TRIES: Final = 3  # the first and two quick repeats
PAUSES_S: Final = (0.2, 0.8)  # before the repeats of what was not sent
ROOM_S: Final = 1.0  # what a repeat must have left of the deadline

_NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_UNFIT: Final = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)

_SENTENCES: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str], ...]] = (
    (_UNFIT, "not_sent", "the request can't be sent as it is"),  # its own text may repeat the key
    (httpx.ConnectTimeout, "connect_timeout", "no connection in time"),
    (httpx.PoolTimeout, "no_connection", "all connections are in use"),
    (httpx.ConnectError, "connect_failed", "no connection: {error}"),
    (httpx.ProxyError, "proxy_failed", "the proxy refused: {error}"),
    (httpx.TimeoutException, "timeout", "no answer in time"),
    (httpx.DecodingError, "garbled", "the answer can't be decoded"),
)


class NotSent(TrunklineError):
    """The request certainly was not processed. `code` is short snake_case, `message` a sentence without secrets."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Unanswered(TrunklineError):
    """The request left and may have been processed; its answer did not arrive whole. Fields as in NotSent."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class BlandApi:
    """One account's API. Safe to use from many threads.

    Every call takes `deadline` (time.monotonic seconds), by which it has ended whatever the network does, and `permit`,
    which is called before every HTTP request, repeats too, and whose errors pass through. Raises NotSent and
    Unanswered; any status is an Exchange, a redirect too. A request takes `account.timeout_s` at most; proxies and
    certificates are those of the environment. `transport` and `sleep` are for programs that bring their own.
    """

    def __init__(
        self,
        account: Account,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        key = ""
        if account.key is not None:
            key = account.key.value.get_secret_value().strip()
        headers = [(b"accept", b"application/json"), (b"accept-encoding", b"identity")]
        headers.append((b"user-agent", f"trunkline/{__version__}".encode()))
        if key:
            headers.append((b"authorization", f"{account.auth_scheme} {key}".strip().encode()))
        self._account = account
        self._scrub = make_scrubber([key])
        self._sleep = sleep
        self._client = httpx.Client(
            base_url=account.base_url,
            headers=headers,
            transport=transport or DeadlineTransport(account.base_url),
            trust_env=False,  # the transport has looked already
            timeout=timeout_within(account.timeout_s),
        )

    def __repr__(self) -> str:
        return f"BlandApi(account={self._account.name!r}, base_url={self._account.base_url!r})"

    @property
    def timeout_s(self) -> float:
        """The longest time of one request, in seconds."""
        return self._account.timeout_s

    def attach(self, body: Mapping[str, object], *, deadline: float, permit: Permit, once: bool = False) -> Exchange:
        """`POST /v1/sip/attach`. https://docs.bland.ai/api-v1/post/sip-attach

        With `once` it is one request, without quick repeats.
        """
        content = json.dumps(body).encode()
        return self._call("POST", "/v1/sip/attach", deadline, permit, content=content, once=once)

    def numbers(self, take: Callable[[bytes], None], *, deadline: float, permit: Permit) -> Exchange:
        """`GET /v1/sip/numbers`: every number of the account.

        The body of a success goes to `take` as it comes, however large it is, and is not in the Exchange; what `take`
        raises ends the request and passes through.
        """
        return self._call("GET", "/v1/sip/numbers", deadline, permit, take=take)

    def number(self, number: str, *, deadline: float, permit: Permit) -> Exchange:
        """`GET /v1/sip?phone_number=`: both directions of one number."""
        return self._call("GET", "/v1/sip", deadline, permit, params={"phone_number": number})

    def me(self, *, deadline: float, permit: Permit, once: bool = False) -> Exchange:
        """`GET /v1/me`: a cheap check of the key; with `once` one request without quick repeats."""
        return self._call("GET", "/v1/me", deadline, permit, once=once)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(
        self,
        method: str,
        path: str,
        deadline: float,
        permit: Permit,
        *,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        take: Callable[[bytes], None] | None = None,
        once: bool = False,
    ) -> Exchange:
        request = self._client.build_request(method, path, content=content, params=params)
        if content is not None:
            request.headers["content-type"] = "application/json"
        if once:
            return self._once(request, deadline, permit, take)
        quickly = Retrying(
            retry=retry_if_exception_type(NotSent) | retry_if_result(lambda answer: _repeat_wait_s(answer) is not None),
            wait=_pause_s,
            stop=partial(_enough, deadline),
            sleep=self._sleep,
            retry_error_callback=_last,
        )
        return quickly(self._once, request, deadline, permit, take)

    def _once(
        self, request: httpx.Request, deadline: float, permit: Permit, take: Callable[[bytes], None] | None
    ) -> Exchange:
        permit()
        now = time.monotonic()
        sending = Sending(min(deadline, now + self._account.timeout_s))
        if sending.until <= now:
            raise NotSent("deadline", "no time was left to send the request")
        try:
            return exchange(self._client, request, sending, max_bytes=MAX_BODY_BYTES, take=take)
        except BodyTooLarge as error:
            raise Unanswered("too_large", str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise self._translated(error, sending) from error

    def _translated(self, error: Exception, sending: Sending) -> NotSent | Unanswered:
        code, message = _explained(error)
        message = clip(message, self._scrub, 300)
        if isinstance(error, _NEVER_LEFT) or sending.sent is False:
            return NotSent(code, message)
        if isinstance(error, _UNFIT) and not sending.sent:
            return NotSent(code, message)
        return Unanswered(code, message)


def _explained(error: Exception) -> tuple[str, str]:
    """A code and a sentence for an error of httpx."""
    for kind, code, sentence in _SENTENCES:
        if isinstance(error, kind):
            return code, sentence.format(error=error)
    return "connection_lost", f"the connection was lost: {error}"


def _repeat_wait_s(answer: Exchange) -> float | None:
    return quick_repeat_wait_s(answer.status, answer.headers, answer.body, datetime.now(UTC))


def _pause_s(state: RetryCallState) -> float:
    if state.outcome is None or state.outcome.failed:
        return PAUSES_S[min(state.attempt_number, len(PAUSES_S)) - 1]
    return _repeat_wait_s(state.outcome.result()) or 0.0


def _enough(deadline: float, state: RetryCallState) -> bool:
    return state.attempt_number >= TRIES or time.monotonic() + state.upcoming_sleep + ROOM_S >= deadline


def _last(state: RetryCallState) -> Exchange:
    """The last answer, or its error raised."""
    if state.outcome is None:
        raise NotSent("not_sent", "the request was never tried")
    answer: Exchange = state.outcome.result()
    return answer
