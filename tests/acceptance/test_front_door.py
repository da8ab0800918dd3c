"""Programs that speak dramatiq, and dramatiq's own command, work with the same actors and the same store."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from acceptance.worker_harness import Commands, Worker, environment, until, working
from support.servers import HOST, Server, program, running
from support.store_audit import audit
from trunkline.lifecycle import State
from trunkline.runtime.actors import EVENT_ACTOR, EVENTS_QUEUE
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import Store, queries

CONFIGURATION = """
[batch]
max_wait_s = 0.1
[accounts.default]
requests_per_second = 100
[profiles.support]
[[profiles.support.directions]]
type = "inbound"
"""


ONLY = {"TRUNKLINE_THREADS": "1"}
ONE_THREAD = [
    pytest.param((), id="our command"),
    pytest.param(
        (sys.executable, "-m", "dramatiq", "trunkline.app:main", "--processes", "1", "--threads", "1"),
        id="dramatiq's command",
    ),
]
DURABLE = {"appendonly": "yes", "appendfsync": "always"}


def folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def url(server: Server, db: int) -> str:
    return f"redis://{HOST}:{server.port}/{db}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running("valkey", folder(tmp_path, "valkey"), **DURABLE) as server:
        yield server


@pytest.fixture
def env(server: Server, tmp_path: Path) -> Iterator[dict[str, str]]:
    config = tmp_path / "trunkline.toml"
    config.write_text(CONFIGURATION, "utf-8")
    with Sandbox(SandboxRules(fail_rate=0, latency_s=0.01)) as sandbox:
        yield environment(
            TRUNKLINE_CONFIG=config,
            TRUNKLINE_REDIS_URL=url(server, 0),
            TRUNKLINE_API_BASE_URL=sandbox.base_url,
            BLAND_API_KEY="sandbox-key",
        )


def send(server: Server, event: dict[str, object]) -> None:
    """What another program does: dramatiq's own broker, the queue's and the actor's names, and nothing of ours."""
    with redis.Redis.from_url(url(server, 1)) as client:
        broker = RedisBroker(client=client, middleware=[])
        broker.enqueue(
            dramatiq.Message(queue_name=EVENTS_QUEUE, actor_name=EVENT_ACTOR, args=(event,), kwargs={}, options={})
        )


def answers(server: Server) -> bool:
    try:
        with server.client() as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def states(store: Store, number: str) -> list[State]:
    return [entry.state for entry in queries.entries_of(store, number)]


def test_a_message_from_another_program_is_attached_under_dramatiqs_own_command(
    server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    command = (sys.executable, "-m", "dramatiq", "trunkline.app:main", "--processes", "1", "--threads", "4")
    send(server, {"event_id": "evt-1", "number": "+14155550100", "profile": "support"})
    with working(tmp_path / "worker.log", env, *command), server.client() as client:
        store = Store(client)
        until(lambda: states(store, "+14155550100") == [State.attached], "the number is attached")
        assert queries.entries_of(store, "+14155550100")[0].source == "dramatiq"
        assert audit(store) == []


def test_a_message_that_cant_be_taken_is_kept_among_dramatiqs_dead_letters(
    server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    with working(tmp_path / "worker.log", env), redis.Redis.from_url(url(server, 1)) as broker:
        send(server, {"event_id": "evt-1", "number": "+1", "profile": "support"})
        send(server, {"event_id": "evt-2", "numbre": "+14155550100"})
        until(lambda: broker.zcard(f"dramatiq:{EVENTS_QUEUE}.XQ") == 2, "both messages are dead letters")


def test_what_is_no_message_at_all_is_told_and_holds_nothing_up(
    server: Server, env: dict[str, str], tmp_path: Path
) -> None:
    with working(tmp_path / "worker.log", env) as worker, server.client() as client:
        with redis.Redis.from_url(url(server, 1)) as broker:
            broker.hset(f"dramatiq:{EVENTS_QUEUE}.msgs", "id", "{")
            broker.rpush(f"dramatiq:{EVENTS_QUEUE}", "id")
        send(server, {"event_id": "evt-1", "number": "+14155550100", "profile": "support"})
        until(  # sooner than anybody looks without a sign
            lambda: states(Store(client), "+14155550100") == [State.attached], "the number is attached", within=10
        )
        assert len(worker.logged("event_refused")) == 1
        assert "Traceback" not in worker.log.read_text("utf-8")


def test_a_message_waits_for_a_store_that_is_away(server: Server, env: dict[str, str], tmp_path: Path) -> None:
    """The queue is on a server of its own here, so that a message arrives while the store is gone."""
    with running("valkey", folder(tmp_path, "queue")) as queue:
        config = tmp_path / "with-broker.toml"
        config.write_text(f'[store]\nbroker_url = "{url(queue, 1)}"\n{CONFIGURATION}', "utf-8")
        with working(tmp_path / "worker.log", env | {"TRUNKLINE_CONFIG": str(config)}) as worker:
            server.process.kill()
            server.process.wait()
            send(queue, {"event_id": "evt-1", "number": "+14155550100", "profile": "support"})
            until(lambda: worker.logged("event_waits"), "the message waits")
            with back_again(server, tmp_path / "valkey"), server.client() as client:
                until(lambda: states(Store(client), "+14155550100") == [State.attached], "the number is attached")


@pytest.mark.parametrize("command", ONE_THREAD)
def test_a_store_that_was_away_is_told_in_a_handful_of_lines(
    server: Server, env: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    with (
        Sandbox(SandboxRules(fail_rate=0, latency_s=1)) as slow,
        working(tmp_path / "worker.log", env | {"TRUNKLINE_API_BASE_URL": slow.base_url}, *command) as worker,
    ):
        send(server, {"event_id": "evt-1", "number": "+14155550100", "profile": "support"})
        with server.client() as client:
            store = Store(client)
            until(lambda: states(store, "+14155550100") == [State.attaching], "a call is under way")
            server.process.kill()
            server.process.wait()
        until(lambda: len(worker.logged("store_unavailable")) == 2, "the worker misses the store and the queue")
        time.sleep(4)  # what would be told again and again
        with back_again(server, tmp_path / "valkey"), server.client() as client:
            until(lambda: states(Store(client), "+14155550100") == [State.attached], "the number is attached")
            until(lambda: len(worker.logged("store_available")) == 2, "the worker sees them again")
            assert worker.stop() == 0
        assert len(worker.logged("store_unavailable")) == 2
        assert len(worker.logged("store_available")) == 2
    text = worker.log.read_text("utf-8")
    assert "Traceback" not in text
    assert "dramatiq" not in "".join(line for line in text.splitlines() if line.startswith("{"))


WAITING = ("+14155550101", "+14155550102", "+14155550103")


@contextmanager
def full(server: Server, env: dict[str, str], folder: Path, *command: str) -> Iterator[tuple[Worker, Store]]:
    """A worker with one thread and room for one number, which is taken, and its account paused; events wait."""
    config = folder / "full.toml"
    config.write_text(f"[store]\nmax_waiting = 1\n{CONFIGURATION}", "utf-8")
    env = env | ONLY | {"TRUNKLINE_CONFIG": str(config)}
    with Commands(folder, env) as trunkline, server.client() as client:
        store = Store(client)
        with working(folder / "worker.log", env, *command) as worker:
            store.pause_account("default", "so that the queue stays full")
            assert trunkline("enqueue", "--profile", "support", "+14155550100").code == 0
            for number in WAITING:
                send(server, {"event_id": f"evt-{number}", "number": number, "profile": "support"})
            until(lambda: worker.logged("event_waits"), "an event that waits for room")
            yield worker, store


@pytest.mark.parametrize("command", ONE_THREAD)
def test_events_that_wait_for_room_leave_the_threads_to_the_work_that_makes_it(
    server: Server, env: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    with full(server, env, tmp_path, *command) as (worker, store):
        store.resume_account("default")
        until(lambda: all(states(store, number) == [State.attached] for number in WAITING), "all are attached")
        assert len(worker.logged("event_waits")) <= len(WAITING), "once for each event"
        assert audit(store) == []


@pytest.mark.parametrize("command", ONE_THREAD)
def test_a_stop_gives_back_the_events_that_wait_and_takes_no_grace_time(
    server: Server, env: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    with full(server, env, tmp_path, *command) as (worker, _), redis.Redis.from_url(url(server, 1)) as broker:
        began = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - began < 10, "the grace time is 45 s"
        assert broker.llen(f"dramatiq:{EVENTS_QUEUE}") == len(WAITING)
        assert broker.zcard(f"dramatiq:{EVENTS_QUEUE}.XQ") == 0


@contextmanager
def back_again(server: Server, data: Path) -> Iterator[None]:
    """The same server again: its port, its data."""
    settings = {**DURABLE, "bind": HOST, "port": str(server.port), "dir": str(data)}
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    process = subprocess.Popen([str(program("valkey")), *options], stdout=subprocess.DEVNULL)
    try:
        until(lambda: answers(server), "the server is back")
        yield
    finally:
        process.terminate()
        process.wait()
