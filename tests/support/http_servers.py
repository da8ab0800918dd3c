"""HTTP servers for tests, kind and unkind: on loopback, in threads of their own, gone when the test is."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any


@dataclass
class Seen:
    """What a server saw."""

    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)


Reply = tuple[int, dict[str, str], bytes]


@contextmanager
def answering(*replies: Reply | Callable[[str], Reply]) -> Iterator[tuple[str, Seen]]:
    """An HTTP server that gives these answers in turn, the last for ever."""
    seen, turns = Seen(), count()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body go out together; apart, each answer would wait 40 ms for an acknowledgement

        def _answer(self) -> None:
            octets = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.requests.append((self.command, self.path, headers, octets))
            seen.connections.append(self.client_address[1])
            reply = replies[min(next(turns), len(replies) - 1)]
            status, extra, content = reply(self.path) if callable(reply) else reply
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **extra}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def behaving(conduct: Callable[[socket.socket, threading.Event], None]) -> Iterator[tuple[str, Seen]]:
    """A server of bare sockets: reads what comes first, then does `conduct`, which ends when the event is set."""
    seen, over, threads = Seen(), threading.Event(), []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                seen.requests.append(("", "", {}, whole_request(connection)))
                conduct(connection, over)
            except OSError:
                pass  # the client has hung up, as it should

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


def whole_request(connection: socket.socket) -> bytes:
    """All of an HTTP request, so that closing the connection is no reset; or the first that comes of anything else."""
    octets = connection.recv(65536)
    while octets.startswith((b"GET", b"POST")) and not octets.endswith((b"\r\n\r\n", b"}")):
        octets += connection.recv(65536)
    if octets.startswith(b"POST") and octets.endswith(b"\r\n\r\n"):
        octets += connection.recv(65536)
    return octets


def saying(octets: bytes) -> Callable[[socket.socket, threading.Event], None]:
    return lambda connection, _: connection.sendall(octets)


def dripping(octets: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Says it, and then a byte of more every now and then."""

    def drip(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(octets)
        while not over.wait(0.05):
            connection.sendall(b"x")

    return drip


def hanging(connection: socket.socket, over: threading.Event) -> None:
    over.wait(5)
