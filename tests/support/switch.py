"""A door to a server that can be turned to another one, as a managed failover does, or forget its open connections."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

HOST: Final = "127.0.0.1"
CHUNK: Final = 65_536


class Switch:
    """Forwards TCP from one address to whatever port it is turned to; a context manager.

    Connections that are open stay with the server they were made to, as they do behind a floating address.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._silent: set[socket.socket] = set()
        self._mutex = threading.Lock()
        self._listener = socket.create_server((HOST, 0), backlog=256)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="switch", daemon=True)

    @property
    def url(self) -> str:
        """The address that stays the same."""
        return f"redis://{HOST}:{self._listener.getsockname()[1]}/0"

    def turn(self, port: int) -> None:
        """New connections go to that port from now on."""
        self._port = port

    def forget(self) -> int:
        """Carries nothing more over the connections that are open now, and closes none: they are half-open."""
        with self._mutex:
            self._silent |= set(self._pairs)
            return len(self._silent) // 2

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        with suppress(OSError):
            socket.create_connection(self._listener.getsockname()).close()
        self._thread.join(10)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._closing:
                for key, _ in selector.select():
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    else:
                        self._carry(selector, key.fileobj)  # type: ignore[arg-type]  # only sockets are registered
            for each in self._pairs:
                each.close()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection((HOST, self._port))
        except OSError:
            client.close()
            return
        with self._mutex:
            self._pairs |= {client: server, server: client}
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(each, selectors.EVENT_READ)

    def _carry(self, selector: selectors.BaseSelector, source: socket.socket) -> None:
        if source not in self._pairs:
            return  # its other end was closed in the same round
        other = self._pairs[source]
        try:
            data = source.recv(CHUNK)
            if data and source not in self._silent:
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            with self._mutex:
                for each in (source, other):
                    del self._pairs[each]
                    self._silent.discard(each)
            for each in (source, other):
                selector.unregister(each)
                each.close()
