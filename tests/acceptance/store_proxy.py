"""A proxy between workers and their store that can stop one of our scripts at an exact point.

Every worker gets a door of its own, so that a test knows whose request was caught:

    caught = proxy.catch("settle", at="request")   # the next settle of anybody; it does not reach the store
    caught.wait()                                   # now it is here; caught.door says whose it is
    caught.release()                                # and now it goes on

Requests and replies are RESP 2, in which every command has one reply, in order.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from types import TracebackType
from typing import BinaryIO, Final, Literal, Self

from trunkline.store import scripts

HOST: Final = "127.0.0.1"
PATIENCE_S: Final = 40.0  # of a machine that is busy with other things
Point = Literal["request", "reply"]


@dataclass(slots=True, eq=False)
class Caught:
    """One stop of one script: `door` says whose it was, once it is here."""

    script: str
    at: Point
    door: str = ""
    _here: threading.Event = field(default_factory=threading.Event)
    _on: threading.Event = field(default_factory=threading.Event)
    _lost: bool = False

    def wait(self) -> str:
        """Waits until it is here; whose it is."""
        assert self._here.wait(PATIENCE_S), f"no {self.at} of {self.script} came by"
        return self.door

    def release(self) -> None:
        """Lets it go on to where it was going."""
        self._on.set()

    def lose(self) -> None:
        """It never arrives: its connection is cut."""
        self._lost = True
        self._on.set()

    def hold(self, door: str) -> bool:
        """Called by the connection: notes the door, waits; whether it goes on."""
        self.door = door
        self._here.set()
        self._on.wait()
        return not self._lost


@dataclass(frozen=True, slots=True)
class Passed:
    """A script's reply as it came from the store: when (monotonic seconds), for whom, and what."""

    at: float
    door: str
    script: str
    reply: bytes


class StoreProxy:
    """Doors to one server on loopback; a context manager."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._names = {each.sha.encode(): name for name, each in scripts.load().items()}
        self._mutex = threading.Lock()
        self._catches: list[Caught] = []
        self._caught: list[Caught] = []
        self._passed: list[Passed] = []
        self._listeners: list[socket.socket] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def door(self, name: str) -> str:
        """A new address of the store, as a URL."""
        listener = socket.create_server((HOST, 0))
        self._listeners.append(listener)
        self._start(self._accept, listener, name)
        return f"redis://{HOST}:{listener.getsockname()[1]}/0"

    def catch(self, script: str, *, at: Point) -> Caught:
        """Stops the next request or reply of this script, whoever's it is. Of claims only one that has a batch."""
        caught = Caught(script, at)
        with self._mutex:
            self._catches.append(caught)
        return caught

    def passed(self, script: str, *, having: bytes = b"") -> list[Passed]:
        """The replies of this script so far."""
        with self._mutex:
            return [each for each in self._passed if each.script == script and having in each.reply]

    def close(self) -> None:
        """Cuts every connection; what was held never arrives."""
        with self._mutex:
            self._closing = True
            held = [*self._catches, *self._caught]
        for caught in held:
            caught.lose()
        for listener in self._listeners:
            with suppress(OSError):  # shutting it down wakes its accept() on Linux only; a knock does everywhere
                socket.create_connection(listener.getsockname()).close()
        for each in self._sockets:
            _cut(each)
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]  # one of the below
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, door: str) -> None:
        with listener:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with self._mutex:
                    if self._closing:
                        client.close()
                        return
                    server = socket.create_connection((HOST, self._port))
                    self._sockets += (client, server)
                    for each in (client, server):
                        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    asked: deque[str] = deque()
                    self._start(self._carry_requests, client, server, door, asked)
                    self._start(self._carry_replies, client, server, door, asked)

    def _carry_requests(self, client: socket.socket, server: socket.socket, door: str, asked: deque[str]) -> None:
        with client.makefile("rb") as requests, suppress(OSError):
            while request := _value(requests):
                script = self._script(request)
                caught = self._take(script, "request", b"")
                if caught is not None and not caught.hold(door):
                    break
                asked.append(script)
                server.sendall(request)
        _cut(server)
        client.close()

    def _carry_replies(self, client: socket.socket, server: socket.socket, door: str, asked: deque[str]) -> None:
        with server.makefile("rb") as replies, suppress(OSError):
            while reply := _value(replies):
                script = asked.popleft()
                if script:
                    with self._mutex:
                        self._passed.append(Passed(time.monotonic(), door, script, reply))
                caught = self._take(script, "reply", reply)
                if caught is not None and not caught.hold(door):
                    break
                client.sendall(reply)
        _cut(client)
        server.close()

    def _script(self, request: bytes) -> str:
        """The name of the script that this command runs, "" for any other command."""
        words = request.split(b"\r\n", 6)
        if len(words) < 6 or words[2].upper() not in (b"EVALSHA", b"EVAL"):
            return ""
        sha = words[4]
        if words[2].upper() == b"EVAL":
            length = int(words[3][1:])
            text = request[request.index(words[3]) + len(words[3]) + 2 :][:length]
            sha = sha1(text, usedforsecurity=False).hexdigest().encode()
        return self._names.get(sha, "")

    def _take(self, script: str, at: Point, reply: bytes) -> Caught | None:
        nothing_claimed = script == "claim" and at == "reply" and b"batch" not in reply
        if not script or nothing_claimed or reply.startswith(b"-NOSCRIPT"):
            return None
        with self._mutex:
            for caught in self._catches:
                if caught.script == script and caught.at == at:
                    self._catches.remove(caught)
                    self._caught.append(caught)
                    return caught
        return None


def _value(stream: BinaryIO) -> bytes:
    """One RESP 2 value as it came; b"" at the end."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        return b""
    size = int(line[1:]) if line[:1] in b"$*" else -1
    if line[:1] == b"$" and size >= 0:
        return line + stream.read(size + 2)
    return line + b"".join(_value(stream) for _ in range(size)) if line[:1] == b"*" else line


def _cut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
