"""HTTP by hand: bytes as they stand go to a port, and what comes back is an answer or the end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Answer:
    """A status, headers by lower-case name, the body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """One connection."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self._came = b""

    def send(self, *parts: bytes) -> None:
        """Sends bytes as they are; whoever hung up already is told nothing."""
        for part in parts:
            try:
                self.raw.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                return

    def finish(self) -> None:
        """Says that nothing more comes."""
        with suppress(OSError):
            self.raw.shutdown(socket.SHUT_WR)

    def answer(self, method: str = "POST") -> Answer | None:
        """The next answer, None where the other end hangs up without one."""
        while b"\r\n\r\n" not in self._came:
            if not self._more():
                return None
        head, _, self._came = self._came.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        while len(self._came) < length and self._more():
            pass
        body, self._came = self._came[:length], self._came[length:]
        return Answer(int(first.split()[1]), headers, body)

    def ended(self) -> bool:
        """Waits for the other end to hang up; False where it says something first."""
        return not self._came and not self._more()

    def rest(self) -> bytes:
        """Everything until the other end hangs up."""
        while self._more():
            pass
        return self._came

    def _more(self) -> bool:
        try:
            part = self.raw.recv(65_536)
        except ConnectionResetError:
            return False
        self._came += part
        return bool(part)


@contextmanager
def connected(url: str) -> Iterator[Line]:
    """A connection to the host and the port of a URL."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Line(raw)


def head(method: str, target: str, **headers: str | int) -> bytes:
    """A request's head; underscores in the headers' names stand for dashes."""
    lines = [f"{method} {target} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
