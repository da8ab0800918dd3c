"""uvicorn's HTTP protocol with bounds on the time and the size of a request's head."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S: Final = 15.0
HEAD_BYTES: Final = 65_536
_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request head takes longer than HEAD_S or is larger than HEAD_BYTES.

    An offer of another protocol is ignored, as RFC 9110 allows. httptools would take the body for that protocol's:
    https://github.com/MagicStack/httptools/issues/124, https://github.com/Kludex/uvicorn/issues/2722
    """

    _head_bytes: int = 0
    _head_whole: bool = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the time of the first head."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time of a head that did not come."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head. Those of a body are bounded when it is read."""
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
        """Stop the time of the head."""
        self._stop_timer()
        self._head_whole = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next head after a complete body."""
        self._head_whole = False
        self._head_bytes = 0
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Close after an offer whose head came in pieces, since the parser leaves its body to the other protocol."""
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
    """Rename the header Upgrade of the head that `data` begins with; Java's client sends it with its first request."""
    head = data.partition(b"\r\n\r\n")[0]
    if not _UPGRADE.search(head):
        return data
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + data[len(head) :]
