"""A store that is out of memory takes nothing in and lets everything else go on; with room again it takes in again."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis

from acceptance.running import TRUNKLINE, Running
from acceptance.site import patiently
from acceptance.test_receiving import address
from acceptance.worker_harness import Commands, Worker, environment, until, working
from support.servers import Server, require_redis, running
from support.store_audit import audit
from trunkline.bootstrap import open_store
from trunkline.config.settings import Settings, load
from trunkline.events.event import NumberEvent
from trunkline.lifecycle import State
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import Store, queries
from trunkline_producers.enqueue.enqueuer import Enqueuer

TOKEN = "token"
HOOK_KEY = "hook-key"
PROFILE = "support"
CONFIGURATION = """
[store]
url = "{store}"
[accounts.default]
key = {{ env = "BLAND_API_KEY" }}
requests_per_second = 50
[server]
token = {{ env = "TOKEN" }}
[profiles.support]
directions = [{{ type = "inbound" }}]
[sources.acme]
verify = {{ scheme = "hmac", header = "X-Signature" }}
keys = [{{ env = "HOOK_KEY" }}]
number = "phone"
event_id = "id"
profile = "support"
"""
FULL = "out of memory: raise maxmemory"
BALLAST = "ballast"
BALLAST_BYTES = 32_000_000


@dataclass(frozen=True)
class Place:
    """A store that may fill, a worker and a receiver beside it."""

    server: Server
    client: redis.Redis
    settings: Settings
    store: Store
    sandbox: Sandbox
    trunkline: Commands
    env: dict[str, str]
    folder: Path

    def push(self, numbers: Sequence[str]) -> None:
        events = [NumberEvent(event_id=n, numbers=(n,), profile=PROFILE, source="s") for n in numbers]
        enqueuer = Enqueuer.from_settings(self.store, self.settings)
        patiently(lambda: enqueuer.enqueue(events))

    def totals(self) -> dict[str, int]:
        return dict(patiently(lambda: queries.books(self.store)).totals)

    def fill(self) -> None:
        """From now on there is less memory than is used, however much of it the work sets free."""
        self.client.config_set("maxmemory", "1")

    def fill_with_ballast(self) -> None:
        """The same for as long as the ballast is there."""
        used: int = self.client.info("memory")["used_memory"]
        self.client.set(BALLAST, "x" * BALLAST_BYTES)
        self.client.config_set("maxmemory", str(used + BALLAST_BYTES // 2))

    def make_room(self) -> None:
        self.client.config_set("maxmemory", "0")

    def is_attached(self, number: str) -> bool:
        entries = patiently(lambda: queries.entries_of(self.store, number))
        return [each.state for each in entries] == [State.attached]

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        with working(self.folder / "worker.log", self.env) as worker:
            yield worker
            assert "Traceback" not in worker.log.read_text("utf-8")


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.chaos)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "redis":
        require_redis()
    (tmp_path / "store").mkdir()
    with ExitStack() as stack:
        how = {"appendonly": "yes", "appendfsync": "always"}
        server = stack.enter_context(running(request.param, tmp_path / "store", **how))
        sandbox = stack.enter_context(Sandbox(SandboxRules(fail_rate=0, latency_s=0.02)))
        config = tmp_path / "trunkline.toml"
        config.write_text(CONFIGURATION.format(store=server.url), "utf-8")
        env = environment(
            TRUNKLINE_CONFIG=config, TRUNKLINE_API_BASE_URL=sandbox.base_url, BLAND_API_KEY="sandbox-key",
            TOKEN=TOKEN, HOOK_KEY=HOOK_KEY,
        )  # fmt: skip
        settings = load(config, env)
        opened = open_store(settings)
        stack.callback(opened.close)
        trunkline = stack.enter_context(Commands(tmp_path, env))
        client = stack.enter_context(server.client())
        yield Place(server, client, settings, opened.store, sandbox, trunkline, env, tmp_path)


class Door:
    """A receiver process, and what it answers."""

    def __init__(self, place: Place) -> None:
        self._process = Running([*TRUNKLINE, "serve", "--port", "0"], place.env)
        self._client = httpx.Client(base_url=address(self._process), timeout=30, trust_env=False)

    def event(self, number: str) -> httpx.Response:
        body = {"event_id": number, "number": number, "profile": PROFILE}
        return self._client.post("/v1/events", json=body, headers={"authorization": f"Bearer {TOKEN}"})

    def hook(self, number: str) -> httpx.Response:
        body = json.dumps({"id": number, "phone": number}).encode()
        signature = hmac.new(HOOK_KEY.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Signature": signature, "Content-Type": "application/json"}
        return self._client.post("/hooks/acme", content=body, headers=headers)

    def ready(self) -> int:
        return self._client.get("/readyz").status_code

    def close(self) -> None:
        assert self._process.was_surprised() == []
        self._client.close()
        self._process.close()


@pytest.fixture
def door(place: Place) -> Iterator[Door]:
    door = Door(place)
    yield door
    door.close()


def numbers_from(first: int, count: int) -> list[str]:
    return [f"+1415{2_000_000 + first + each:07d}" for each in range(count)]


def play(place: Place, door: Door, count: int) -> None:
    """Numbers wait and the memory is used up: all but taking in works, and with room again that does too."""
    numbers = numbers_from(0, count)
    place.push(numbers)
    assert place.trunkline("pause", "default").code == 0
    place.fill()
    with place.worker() as worker:
        nothing_is_taken_in(place, door)
        assert place.trunkline("cancel", numbers[-1], "--yes").code == 0
        for what in (["pause", "--profile", PROFILE], ["resume", "--profile", PROFILE], ["pause", "default"]):
            ran = place.trunkline(*what)
            assert ran.code == 0, ran.err
        assert place.trunkline("resume", "default").code == 0
        until(lambda: place.totals()["attached"] == count - 1, lambda: f"all attached: {place.totals()}", within=120)
        assert place.trunkline("status").code == 0
        totals = place.totals()
        assert (totals["dead"], totals["dropped"], totals["queued"]) == (0, 1, 0)
        assert place.sandbox.stats()["attached"] == count - 1
        nothing_is_taken_in(place, door)
        place.make_room()
        everything_is_taken_in(place, door, 10_000)
        place.fill_with_ballast()
        nothing_is_taken_in(place, door)
        place.client.delete(BALLAST)
        everything_is_taken_in(place, door, 20_000)
        place.make_room()
        print(f"{place.server.kind}: {count} numbers waited in a full store; {place.totals()}")
        assert not worker.logged("leases_reaped")
    audited = place.trunkline("audit")
    assert (audited.code, audit(place.store)) == (0, []), audited.out


def nothing_is_taken_in(place: Place, door: Door) -> None:
    """With a sentence for people, and for programs with the status that makes them come again."""
    before = place.totals()["accepted"]
    enqueued = place.trunkline("enqueue", "--profile", PROFILE, "+14155550100")
    assert enqueued.code == 1
    assert FULL in enqueued.err
    for answer in (door.event("+14155550101"), door.hook("+14155550102")):
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]
    assert door.ready() == 503
    assert place.totals()["accepted"] == before


def everything_is_taken_in(place: Place, door: Door, first: int) -> None:
    """By the same processes, and attached."""
    by_hand, by_event, by_hook = numbers = numbers_from(5_000_000 + first, 3)
    until(lambda: door.ready() == 200, "a receiver that is ready")
    assert place.trunkline("enqueue", "--profile", PROFILE, by_hand).code == 0
    assert door.event(by_event).status_code == 202
    assert door.hook(by_hook).is_success
    until(lambda: all(map(place.is_attached, numbers)), "what was taken in is attached")


def test_what_waits_in_a_full_store_is_attached_and_nothing_more_is_taken_in(place: Place, door: Door) -> None:
    play(place, door, 300)


@pytest.mark.chaos
def test_ten_thousand_that_wait_in_a_full_store_are_attached(place: Place, door: Door) -> None:
    play(place, door, 10_000)
