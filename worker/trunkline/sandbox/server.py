"""The sandbox's sockets: HTTP/1.1 with keep-alive on loopback, a thread for each connection."""

from __future__ import annotations

import http
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self

from trunkline.sandbox import answers
from trunkline.sandbox.answers import Content
from trunkline.sandbox.control import control
from trunkline.sandbox.rules import SandboxError, SandboxRules
from trunkline.sandbox.service import STAND_IN, Reply, Request, Service

MAX_BODY_BYTES = 8 * 1024 * 1024
_STOP_WAITS_S = 5.0


class _Handler(BaseHTTPRequestHandler):
    """One connection. Answers go out in one write, so that no delayed acknowledgement slows them down."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        body = self._body()
        if body is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        service, request = self.server.service, Request(self.command, self.path, headers, body)
        own = control(service, request)
        self._send(service.handle(request, self) if own is None else Reply(own))

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def gone(self) -> bool:
        """Whether the client has closed the connection."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _body(self) -> bytes | None:
        """The request's body; None if it was refused and answered, or the client went away within it."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self._refuse(411)
            return None
        if int(length) > MAX_BODY_BYTES:
            self._refuse(413)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body

    def _refuse(self, status: int) -> None:
        self.close_connection = True
        self._send(Reply(answers.failure(status)))

    def _send(self, reply: Reply) -> None:
        if reply.cut:
            self.close_connection = True
            return
        wire = self._wire(reply.content)
        if reply.cut_midway:
            self.close_connection = True
            wire = wire[: len(wire) - len(reply.content.body) // 2 - 1]
        try:
            self.wfile.write(wire)
        except OSError:  # the client has gone
            self.close_connection = True
            if reply.unwritten is not None:
                reply.unwritten()

    def _wire(self, content: Content) -> bytes:
        phrase = http.HTTPStatus(content.status).phrase if content.status in _KNOWN else "Unknown"
        headers = {
            "Server": STAND_IN,
            "X-Stand-In": "trunkline-sandbox",
            "Content-Type": content.media_type,
            **content.headers,
            "Content-Length": str(len(content.body)),
            **({"Connection": "close"} if self.close_connection else {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {content.status} {phrase}\r\n{lines}\r\n".encode("latin-1", "replace") + content.body

    def send_error(self, code: int, *_: str | None) -> None:  # its own texts aren't used
        """What http.server itself refuses is answered in the API's envelope, too."""
        self._refuse(code)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed: what came is in /_sandbox/log."""


_KNOWN = frozenset(int(status) for status in http.HTTPStatus)


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def __init__(self, rules: SandboxRules, host: str, port: int) -> None:
        self._stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        self.service = Service(rules, clock=time.time, monotonic=time.monotonic, pause=self._stopping.wait)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise SandboxError(f"the sandbox can't listen on {host}:{port}: {error.strerror}") from error

    def server_bind(self) -> None:
        """Binds without asking the resolver for a name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to print; anything else is a fault of the sandbox."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def end(self) -> None:
        """Closes the port and every connection, and waits for their threads."""
        self.server_close()
        with self._changed:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # already closed by its thread
                    continue
            # only now: a call that wakes while its connection is open would still be answered
            self._stopping.set()
            self._changed.wait_for(lambda: not self._connections, timeout=_STOP_WAITS_S)


def _url(server: _Server) -> str:
    return f"http://{server.server_name}:{server.server_port}"


class Sandbox:
    """A stand-in for api.bland.ai in this process, on a thread of its own; a context manager.

    `base_url` has no `/v1`: the paths begin with it. Raises SandboxError where the port can't be had.
    """

    def __init__(self, rules: SandboxRules | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _Server(rules or SandboxRules(), host, port)
        self._service = self._server.service
        self._thread: threading.Thread | None = None
        self.base_url = _url(self._server)

    def __repr__(self) -> str:
        return f"<Sandbox {self.base_url}: {STAND_IN}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begins to answer; the port is bound since the object was made."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the requests under way and free the port; may be called again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._server.shutdown()
            thread.join()
        self._server.end()

    @property
    def rules(self) -> SandboxRules:
        """The rules in force."""
        return self._service.rules

    def change(self, **changes: Any) -> None:
        """Replaces some of the rules from the next request on; raises RulesError."""
        self._service.change(changes)

    def script(self, steps: Iterable[Mapping[str, Any]]) -> None:
        """Says what happens on the next calls, one step each (see `script.Step`); raises RulesError."""
        self._service.script(list(steps))

    def stats(self) -> dict[str, Any]:
        """The document of GET /_sandbox/stats."""
        return self._service.stats()

    def log(self) -> list[dict[str, Any]]:
        """The document of GET /_sandbox/log: the last attach calls, oldest first."""
        return self._service.log()

    def forget(self, *numbers: str) -> None:
        """Loses the numbers, as if somebody had detached them by hand."""
        self._service.forget(numbers)


def serve(
    rules: SandboxRules,
    host: str = "127.0.0.1",
    port: int = 8089,
    *,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Answers until KeyboardInterrupt; `on_start` is given the base URL first. Raises SandboxError."""
    server = _Server(rules, host, port)
    try:
        if on_start is not None:
            on_start(_url(server))
        server.serve_forever()
    except KeyboardInterrupt:
        return
    finally:
        server.end()
