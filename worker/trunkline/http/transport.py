"""HTTP that keeps one wall-clock deadline over a whole request, and knows whether any of it has left.

httpx's time-outs hold for each read, so a server that sends a byte now and then may take for ever. Here every operation
on the socket gets only what is left of the deadline: connecting, TLS, sending, the headers and the body.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx
from httpcore import SOCKET_OPTION

SENDING: Final = "trunkline_sending"  # the request extension that carries a Sending
MAX_CONNECTIONS: Final = 100
KEEP_ALIVE_S: Final = 5.0

_FOREIGN: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


@dataclass(slots=True)
class Sending:
    """One request under way: `until` is its deadline by time.monotonic, `sent` whether a byte of it was handed over."""

    until: float
    sent: bool | None = None  # None: whoever carries it does not say

    def allow(self, seconds: float | None) -> float:
        """So many of the seconds as there are left until the deadline; 0 or less when it is over."""
        remaining = self.until - time.monotonic()
        return remaining if seconds is None else min(seconds, remaining)


class DeadlineTransport(httpx.BaseTransport):
    """A pool of connections to one API, through the environment's HTTP proxy if there is one. Thread-safe.

    Every request carries its Sending in its extensions. Raises what httpx raises. Loopback is never reached by a proxy.
    """

    def __init__(self, base_url: str) -> None:
        url = httpx.URL(base_url)
        self._here = _Here()
        self._pool = _pool(url, _proxy_for(url), _Backend(self._here))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request and reads the headers; the body comes within the same deadline."""
        sending: Sending = request.extensions[SENDING]
        sending.sent = False
        self._here.sending = sending
        with _as_httpx():
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=_core_url(request.url),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer), extensions=dict(answer.extensions)
        )

    def close(self) -> None:
        """Closes every connection."""
        self._pool.close()


class _Here(threading.local):
    """The request that this thread is carrying; a connection serves many threads, one after another."""

    sending: Sending = Sending(float("inf"))


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Backend(httpcore.NetworkBackend):
    """Opens sockets on which the deadline holds."""

    def __init__(self, here: _Here) -> None:
        self._here = here
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        if (allowed := self._here.sending.allow(timeout)) <= 0:
            raise httpcore.ConnectTimeout("the deadline has passed")
        stream = self._inner.connect_tcp(host, port, allowed, local_address, socket_options)
        return _Stream(stream, self._here)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, here: _Here) -> None:
        self._inner = inner
        self._here = here

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if (allowed := self._here.sending.allow(timeout)) <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return self._inner.read(max_bytes, allowed)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        sending = self._here.sending
        if (allowed := sending.allow(timeout)) <= 0:
            raise httpcore.WriteTimeout("the deadline has passed")
        sending.sent = sending.sent or bool(buffer)
        self._inner.write(buffer, allowed)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        if (allowed := self._here.sending.allow(timeout)) <= 0:
            raise httpcore.ConnectTimeout("the deadline has passed")
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, allowed), self._here)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _pool(url: httpx.URL, proxy: httpx.Proxy | None, backend: _Backend) -> httpcore.ConnectionPool:
    common: dict[str, Any] = {
        "ssl_context": httpx.create_ssl_context() if url.scheme == "https" else None,
        "max_connections": MAX_CONNECTIONS,
        "keepalive_expiry": KEEP_ALIVE_S,
        "network_backend": backend,
    }
    if proxy is None:
        return httpcore.ConnectionPool(**common)
    return httpcore.HTTPProxy(_core_url(proxy.url), proxy_auth=proxy.raw_auth, **common)


def _proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """The HTTP proxy that the environment names for the URL (HTTPS_PROXY, ALL_PROXY, NO_PROXY), if it does."""
    if _is_loopback(url.host) or proxy_bypass(url.host):
        return None
    known = getproxies()
    address = known.get(url.scheme) or known.get("all")
    if not address:
        return None
    proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    return proxy if proxy.url.scheme in ("http", "https") else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpcore's errors under the same names in httpx, as httpx's own transport gives them."""
    try:
        yield
    except _FOREIGN as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
