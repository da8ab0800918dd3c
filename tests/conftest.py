"""Fixtures that tests of several folders share: real servers, and a fresh store on each of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.store import Store

sys.path.insert(0, str(Path(__file__).parent))  # what the tests share lies here; importlib mode adds no folder itself

from servers import Server, require_redis, running

NOON = 1_790_000_000_000  # where injected clocks start, in ms


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey server for the whole session; it keeps nothing on disk."""
    with running("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The system's Redis server for the whole session, where there is one."""
    require_redis()
    with running("redis", tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each kind of server in turn."""
    found: Server = request.getfixturevalue("valkey" if request.param == "valkey" else "redis_server")
    return found


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    """An empty store on each kind of server, with a clock that stands still until the test moves it."""
    with server.client() as client:
        client.flushdb()
        store = Store(client)
        store.now_ms = NOON
        yield store
