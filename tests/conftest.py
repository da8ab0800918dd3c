"""Fixtures that tests of several folders share: real servers, and a fresh store on each of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from support.servers import Server, require_redis, running
from trunkline.store import Store

LONG_S = 3_600  # what a test may take that is not part of the default run; the others' time is in pyproject.toml
DEV_EXAMPLES = 25
NOON = 1_790_000_000_000  # where injected clocks start, in ms

# `--hypothesis-profile dev` is for the run after each change. Without it: `ci` where $CI is set, else Hypothesis's own.
settings.register_profile("dev", max_examples=DEV_EXAMPLES, deadline=None)
settings.register_profile("ci", settings.get_profile("ci"), max_examples=100, deadline=None, print_blob=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are processors: most tests wait for others' processes most of the time."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_configure() -> None:
    """A run in the background of a script ignores Ctrl-C, and so would every process that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long runs may be long."""
    for item in items:
        if {"chaos", "deploy"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.timeout(LONG_S))


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
