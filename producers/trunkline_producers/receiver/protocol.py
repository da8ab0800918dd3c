"""uvicorn's HTTP protocol with bounds: how long a request's head may take to come, and how large it may be."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S: Final = 15.0
HEAD_BYTES: Final = 65_536
_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class BoundedProtocol(HttpToolsProtocol):
    """Hangs up on whoever sends a head that is too large, or too slowly; offers of another protocol are not taken."""

    _head_bytes: int = 0
    _head_whole: bool = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A connection: its first head has to come."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body; a head has a limit here, a body where it is read."""
        if not self._head_whole:
            if not self._head_bytes:
                data = _without_upgrade(data)
                if self._head_timer is None:
                    self._head_timer = self.loop.call_later(HEAD_S, self._hang_up)
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._head_whole and self._head_bytes > HEAD_BYTES:
            self._hang_up()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_timer()
        self._head_whole = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is whole: what comes next is another head."""
        self._head_whole = False
        self._head_bytes = 0
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """An offer whose head came in pieces: the parser leaves the body to the other protocol, so this is the end."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _hang_up(self) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        timer: Any = self._head_timer
        if timer is not None:
            timer.cancel()
            self._head_timer = None


def _without_upgrade(data: bytes) -> bytes:
    """What begins with a head, less its offer to speak another protocol (as Java's client makes with every first
    request): the parser would take the body for that protocol's."""
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[:end]
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + data[len(head) :] if _UPGRADE.search(head) else data
