"""The store's server may refuse commands for a while, and that of the events queue may be gone: the work goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from acceptance.worker_harness import Commands, Worker, environment, until, working
from support.servers import HOST, Server, program, running
from trunkline.runtime.actors import EVENT_ACTOR, EVENTS_QUEUE
from trunkline.sandbox import Sandbox, SandboxRules

NUMBER = "+14155550100"
CONFIGURATION = """
[store]
url = "{store}"
broker_url = "{broker}"
[batch]
max_wait_s = 0.05
[profiles.support]
directions = [{{ type = "inbound" }}]
"""


@dataclass(frozen=True)
class Place:
    """A worker at work on a store of its own, with the events queue on another server."""

    store: Server
    broker: Server
    worker: Worker
    trunkline: Commands

    def enqueue(self) -> None:
        assert self.trunkline("enqueue", "--profile", "support", NUMBER).code == 0

    def send(self, event: dict[str, object]) -> None:
        """As another program does."""
        with redis.Redis.from_url(self.broker.url) as client:
            broker = RedisBroker(client=client, middleware=[])  # type: ignore[no-untyped-call]  # dramatiq's
            broker.enqueue(dramatiq.Message(EVENTS_QUEUE, EVENT_ACTOR, args=(event,), kwargs={}, options={}))

    def is_attached(self) -> bool:
        return bool(self.trunkline("number", NUMBER, "--json").json[0]["state"] == "attached")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        for name in ("store", "broker"):
            (tmp_path / name).mkdir()
        store = stack.enter_context(running("valkey", tmp_path / "store", appendonly="yes"))
        broker = stack.enter_context(running("valkey", tmp_path / "broker"))
        sandbox = stack.enter_context(Sandbox(SandboxRules(latency_s=0, fail_rate=0)))
        config = tmp_path / "trunkline.toml"
        config.write_text(CONFIGURATION.format(store=store.url, broker=broker.url), "utf-8")
        env = environment(TRUNKLINE_CONFIG=config, BLAND_API_KEY="sandbox-key", TRUNKLINE_API_BASE_URL=sandbox.base_url)
        trunkline = stack.enter_context(Commands(tmp_path, env))
        worker = stack.enter_context(working(tmp_path / "worker.log", env))
        yield Place(store, broker, worker, trunkline)


def test_numbers_are_attached_while_the_queues_server_is_away(place: Place) -> None:
    place.broker.process.kill()
    place.broker.process.wait()
    until(lambda: place.worker.logged("store_unavailable"), "a worker that notices")
    place.enqueue()
    until(place.is_attached, "an attached number")
    with again(place.broker):
        until(lambda: place.worker.logged("store_available"), "a worker that notices that it is back")
        assert place.worker.stop() == 0
    assert "Traceback" not in place.worker.log.read_text("utf-8")


def test_what_an_older_release_left_in_its_queue_of_hints_is_not_read(place: Place) -> None:
    with place.broker.client() as broker:
        broker.rpush("dramatiq:trunkline", "an old hint")
        place.enqueue()
        until(place.is_attached, "an attached number")
        assert broker.lrange("dramatiq:trunkline", 0, -1) == ["an old hint"]


def test_numbers_are_attached_after_the_store_refused_commands(place: Place) -> None:
    """As a full disk makes it: it answers, and what it answers is no."""
    with place.store.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")  # type: ignore[no-untyped-call]
        until(lambda: place.worker.logged("store_unavailable"), "a worker that notices")
        client.execute_command("ACL", "SETUSER", "default", "+@all")  # type: ignore[no-untyped-call]
    place.enqueue()
    until(place.is_attached, "an attached number")


def test_an_event_waits_for_a_store_that_refuses_commands(place: Place) -> None:
    with place.store.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")  # type: ignore[no-untyped-call]
        place.send({"event_id": "evt-1", "number": NUMBER, "profile": "support"})
        (waits,) = until(lambda: place.worker.logged("event_waits"), "the event waits")
        assert "no permissions" in waits["reason"]
        client.execute_command("ACL", "SETUSER", "default", "+@all")  # type: ignore[no-untyped-call]
    until(lambda: place.trunkline("number", NUMBER).code == 0 and place.is_attached(), "an attached number")


@contextmanager
def again(server: Server) -> Iterator[None]:
    """A server at the same port, without anything in it."""
    words = ["--bind", HOST, "--port", str(server.port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([str(program("valkey")), *words], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
