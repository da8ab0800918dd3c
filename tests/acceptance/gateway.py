"""A gateway in front of the stand-in API that fails in one of several ways for as long as a test says.

Its log has every request that reached it, on the connections that it reset unread too.
"""

from __future__ import annotations

import http.server
import socket
import struct
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal, Self

import httpx

from support.servers import HOST
from trunkline.sandbox.service import ENDPOINTS

Way = Literal["away", "503", "503 soon", "reset", "hang", "500 page", "attach 503"]
PAGE: Final = b"<!doctype html><title>500</title><h1>Internal Server Error</h1><hr>nginx"
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing the socket resets the connection


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: when it came (monotonic seconds), and for which endpoint; "connection" for one that was not read."""

    at: float
    endpoint: str


class _Misbehaves(Exception):
    """The connection ends without an answer."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body go out in one write
    server: Gateway

    def handle(self) -> None:
        if self.server.way == "reset":
            self.server.note("connection")
            self._reset()
            return
        try:
            super().handle()
        except (_Misbehaves, OSError):
            self._reset()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        endpoint = ENDPOINTS.get((self.command, self.path.partition("?")[0]), "other")
        self.server.note(endpoint)
        failure = self._failure(endpoint)
        if failure is None:
            answer = self.server.ask_the_api(self.command, self.path, dict(self.headers), body)
            media_type = answer.headers["content-type"]
            failure = self._failure("") or (answer.status_code, {"Content-Type": media_type}, answer.content)
        status, headers, content = failure
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def _failure(self, endpoint: str) -> tuple[int, dict[str, str], bytes] | None:
        """What is said in place of the API's answer; `endpoint` is "" where the API has done already what it was asked.

        Then only the connection may still fail, as it does for what is under way when trouble begins.
        """
        way = self.server.way
        if way == "hang":
            self.server.over.wait()
        if way in ("hang", "reset"):
            raise _Misbehaves
        if not endpoint or way is None or (way == "attach 503" and endpoint != "attach"):
            return None
        if way == "500 page":
            return HTTPStatus.INTERNAL_SERVER_ERROR, {"Content-Type": "text/html"}, PAGE
        return HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"} if way == "503 soon" else {}, b""

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


class Gateway(http.server.ThreadingHTTPServer):
    """Is well for so many attach calls, then fails in its way until `recover`.

    A context manager, which listens from the start of the block; "away" it holds its port and does not listen.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, api: str, way: Way, *, well_for: int) -> None:
        super().__init__((HOST, 0), _Handler, bind_and_activate=False)
        self.server_bind()
        self.way: Way | None = way if way == "away" else None
        self.began = threading.Event()
        self.over = threading.Event()
        self.asked: list[Asked] = []
        self._next_way = way
        self._well_for = well_for
        self._lock = threading.Lock()
        self._api = httpx.Client(base_url=api, timeout=60, trust_env=False)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}"

    def __enter__(self) -> Self:
        if self.way == "away":
            self.began.set()
        else:
            self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()
        self._api.close()

    def recover(self) -> None:
        """From now on it is well; who still waits for an answer gets none."""
        away, self.way = self.way == "away", None
        self.over.set()
        if away:
            self._listen()

    def note(self, endpoint: str) -> None:
        """A request has come; trouble begins with the attach call that is one too many."""
        with self._lock:
            self.asked.append(Asked(time.monotonic(), endpoint))
            if endpoint == "attach" and not self.began.is_set():
                self._well_for -= 1
                if self._well_for < 0:
                    self.way = self._next_way
                    self.began.set()

    def ask_the_api(self, method: str, target: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        passed_on = {
            name: value for name, value in headers.items() if name.lower() in ("authorization", "content-type")
        }
        return self._api.request(method, target, headers=passed_on, content=body)

    def _listen(self) -> None:
        self.server_activate()
        self._thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Closes at once, without the polite end of the library's, so that a reset is one."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is nothing to print."""
