"""An httpx transport that holds one wall-clock deadline over a whole request and records if any of it was sent.

httpx's time-outs bound each read, so a server that sends a byte now and then may take for ever. Here every operation on
the socket gets only what is left of the deadline: connecting, TLS, sending, the headers and the body.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx
from httpcore import SOCKET_OPTION

from trunkline.http.urls import is_loopback

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
    """State of one request: `until` is its deadline (time.monotonic seconds), `sent` says if a byte was written."""

    until: float
    sent: bool | None = None  # None: the transport does not say

    def allow(self, seconds: float | None) -> float:
        """The lesser of `seconds` and what is left until the deadline; 0 or less after it."""
        remaining = self.until - time.monotonic()
        if seconds is None:
            return remaining
        return min(seconds, remaining)


class DeadlineTransport(httpx.BaseTransport):
    """Connections to the hosts of `base_urls` and to no other, through the environment's HTTP proxy if there is one.

    Thread-safe. Every request carries its Sending in its extensions. Raises httpx's errors: UnsupportedProtocol for
    another host. Loopback is never reached by a proxy.
    """

    def __init__(self, *base_urls: str) -> None:
        self._here = _Here()
        backend = _Backend(self._here)
        urls = {_origin(url): url for url in map(httpx.URL, base_urls)}
        self._pools = {origin: _pool(url, _proxy_for(url), backend) for origin, url in urls.items()}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read the headers; the body is read within the same deadline."""
        pool = self._pools.get(_origin(request.url))
        if pool is None:
            raise httpx.UnsupportedProtocol(f"{request.url.host} is none of the hosts that are asked here")
        sending: Sending = request.extensions[SENDING]
        sending.sent = False
        self._here.sending = sending
        with _as_httpx():
            answer = pool.handle_request(
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
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()


class _Here(threading.local):
    """The request of the current thread; a connection serves many threads, one after another."""

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
    """Opens sockets that hold the deadline."""

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
    tls: ssl.SSLContext | None = None
    if url.scheme == "https":
        tls = httpx.create_ssl_context()
    common: dict[str, Any] = {
        "ssl_context": tls,
        "max_connections": MAX_CONNECTIONS,
        "keepalive_expiry": KEEP_ALIVE_S,
        "network_backend": backend,
    }
    if proxy is None:
        return httpcore.ConnectionPool(**common)
    return httpcore.HTTPProxy(_core_url(proxy.url), proxy_auth=proxy.raw_auth, **common)


def _proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """The HTTP proxy for the URL by HTTPS_PROXY, ALL_PROXY and NO_PROXY, None without one."""
    if url.host == "localhost" or is_loopback(url.host) or proxy_bypass(url.host):
        return None
    known = getproxies()
    address = known.get(url.scheme) or known.get("all")
    if not address:
        return None
    if "://" not in address:
        address = f"http://{address}"
    proxy = httpx.Proxy(address)
    if proxy.url.scheme not in ("http", "https"):
        return None
    return proxy


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Translate httpcore's errors to those of the same names in httpx, as httpx's own transport does."""
    try:
        yield
    except _FOREIGN as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
