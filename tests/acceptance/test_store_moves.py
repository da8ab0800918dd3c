"""A worker and a receiver that are running while their store moves to another server, or a hop forgets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from acceptance.running import TRUNKLINE, Running
from acceptance.worker_harness import Commands, Worker, environment, until, working
from support.servers import HOST, Server, require_redis, running
from support.switch import Switch
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import connect

WHERE = re.compile(r"receiving at (http://[\d.]+:\d+)")
CONFIGURATION = """
[store]
url = "{url}"
acknowledge = "memory"
[server]
drain_s = 0
[batch]
max_wait_s = 0.05
[worker]
threads = 4
[profiles.support]
directions = [{{ type = "inbound" }}]
"""


@dataclass(frozen=True)
class Place:
    """A worker, a receiver and commands over two servers behind one address."""

    old: Server
    new: Server
    switch: Switch
    worker: Worker
    receiver: Running
    trunkline: Commands
    sandbox: Sandbox

    def post(self, index: int) -> int:
        """Delivers one number to the receiver; its answer's status."""
        url = WHERE.search("\n".join(self.receiver.lines))
        assert url is not None
        event = {"event_id": f"evt_{index}", "number": number(index), "profile": "support"}
        return httpx.post(f"{url[1]}/v1/events", json=event, trust_env=False, timeout=20).status_code

    def attached(self, index: int) -> bool:
        """Whether a number has got to where it should."""
        found = self.trunkline("number", number(index), "--json").json
        return bool(found and found[0]["state"] == "attached")


def number(index: int) -> str:
    return f"+1415555{index:04d}"


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.chaos)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "redis":
        require_redis()
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack:
        fast = {"repl_diskless_sync_delay": "0"}
        old = stack.enter_context(running(request.param, tmp_path / "old", **fast))
        new = stack.enter_context(running(request.param, tmp_path / "new", **fast))
        follow(new, old)
        switch = stack.enter_context(Switch(old.port))
        sandbox = stack.enter_context(Sandbox(SandboxRules(latency_s=0, fail_rate=0)))
        config = tmp_path / "trunkline.toml"
        config.write_text(CONFIGURATION.format(url=switch.url), "utf-8")
        env = environment(
            TRUNKLINE_CONFIG=config, BLAND_API_KEY="sandbox-key", TRUNKLINE_API_BASE_URL=sandbox.base_url,
            TRUNKLINE_LOG="json",
        )  # fmt: skip
        trunkline = stack.enter_context(Commands(tmp_path, env))
        worker = stack.enter_context(working(tmp_path / "worker.log", env))
        receiver = Running((*TRUNKLINE, "serve", "--port", "0"), env)
        stack.callback(receiver.close)
        receiver.says("receiver_started")
        yield Place(old, new, switch, worker, receiver, trunkline, sandbox)


def follow(one: Server, other: Server) -> None:
    """One becomes the other's replica."""
    with connect(one.url) as client:
        client.replicaof(HOST, str(other.port))
        until(lambda: client.info("replication")["master_link_status"] == "up", "a replica")


def test_worker_and_receiver_follow_a_failover_that_leaves_the_old_primary_alive(place: Place) -> None:
    assert place.post(1) == 202
    until(lambda: place.attached(1), "an attached number")
    with connect(place.new.url) as client:
        client.replicaof("NO", "ONE")
    place.switch.turn(place.new.port)
    follow(place.old, place.new)
    until(lambda: place.post(2) == 202, "a receiver that finds the new primary", within=10)
    until(lambda: place.attached(2), "a worker that finds the new primary", within=20)
    assert place.worker.stop() == 0


def test_half_open_connections_stop_nobody_for_long(place: Place) -> None:
    assert place.post(1) == 202
    until(lambda: place.attached(1), "an attached number")
    place.switch.forget()
    until(lambda: place.post(2) == 202, "a receiver that connects anew", within=10)  # a time-out of 3 s, and what else
    until(lambda: place.attached(2), "a worker that connects anew", within=10)
