"""One request whose answer is read into memory up to a bound, or handed on piece by piece."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from trunkline.errors import TrunklineError
from trunkline.http.transport import SENDING, Sending

CONNECT_S: Final = 10.0


class BodyTooLarge(TrunklineError):
    """The answer has more than `max_bytes` bytes; the rest of it was not read."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the answer is larger than {max_bytes} bytes")
        self.max_bytes = max_bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answer as it came, secrets included. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def timeout_within(seconds: float) -> httpx.Timeout:
    """The time-outs of a request that may take `seconds`; connecting takes at most CONNECT_S of them."""
    brief = min(CONNECT_S, seconds)
    return httpx.Timeout(connect=brief, read=seconds, write=seconds, pool=brief)


def exchange(
    client: httpx.Client,
    request: httpx.Request,
    sending: Sending,
    *,
    max_bytes: int,
    take: Callable[[bytes], None] | None = None,
) -> Exchange:
    """Send `request` and read its answer, whatever its status, until `sending.until`.

    With `take`, the body of a success is passed to it as it comes, without a bound, and the Exchange has none. Raises
    BodyTooLarge, what `take` raises, and httpx's errors: ReadTimeout also if the body was not complete in time.
    """
    request.extensions = {"timeout": timeout_within(sending.allow(None)).as_dict(), SENDING: sending}
    answer = client.send(request, stream=True)
    body = bytearray()
    keep: Callable[[bytes], None] = body.extend
    if take is not None and answer.is_success:
        keep = take
    try:
        for chunk in answer.iter_bytes():
            keep(chunk)
            if len(body) > max_bytes:
                raise BodyTooLarge(max_bytes)
            if sending.allow(None) <= 0:
                raise httpx.ReadTimeout("the answer did not arrive whole in time")
    finally:
        answer.close()
    return Exchange(answer.status_code, dict(answer.headers), bytes(body))
