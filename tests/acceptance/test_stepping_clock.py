"""A store whose clock steps by an hour while numbers wait, are under way and wait for their retry: all end attached.

The server runs under libfaketime (`apt-get install libfaketime`), whose file says how far its clock is off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from acceptance.worker_harness import PATIENCE_S, Commands, Worker, environment, until, working
from support.servers import Server, running
from support.store_audit import audit
from trunkline.bootstrap import open_store
from trunkline.config.settings import Settings, load
from trunkline.events.event import NumberEvent
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import Store, StoreUnavailable, queries
from trunkline_producers.enqueue.enqueuer import Enqueuer

HOUR_S = 3600
SETTLED_WITHIN_S = 70.0  # of the step
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
CONFIGURATION = """
[accounts.default]
key = { env = "BLAND_API_KEY" }
[batch]
max_size = 20
[profiles.support]
directions = [{ type = "inbound" }]
"""


@dataclass(frozen=True)
class Place:
    """A store with a clock that can be moved, and a worker."""

    offset: Path
    server: Server
    settings: Settings
    store: Store
    sandbox: Sandbox
    worker: Worker
    trunkline: Commands

    def push(self, first: int, count: int) -> None:
        numbers = [f"+1415{2_000_000 + first + each:07d}" for each in range(count)]
        events = [NumberEvent(event_id=n, numbers=(n,), profile="support", source="s") for n in numbers]
        Enqueuer.from_settings(self.store, self.settings).enqueue(events)

    def totals(self) -> dict[str, int]:
        """What the books say, nothing while a busy machine keeps the store from answering."""
        try:
            return dict(queries.books(self.store).totals)
        except StoreUnavailable:
            return dict.fromkeys(("accepted", "queued", "attached", "dead"), 0)

    def in_retry(self) -> int:
        return int(self.store._client.zcard("{tl}:retry:support"))

    def steps_to(self, seconds: int) -> None:
        """The clock is off by so much from now on."""
        before = self.now_s()
        self.offset.write_text(f"{seconds:+d}\n", "ascii")
        until(lambda: abs(self.now_s() - before) > HOUR_S / 2, "a clock that stepped")

    def now_s(self) -> int:
        return int(self.store._client.time()[0])

    def all_attached(self) -> bool:
        totals = self.totals()
        return 0 < totals["accepted"] == totals["attached"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if LIBRARY is None:
        pytest.skip("no libfaketime here (apt-get install libfaketime)")
    offset = tmp_path / "offset"
    offset.write_text("+0\n", "ascii")
    (tmp_path / "store").mkdir()
    with ExitStack() as stack:
        with preloaded(monkeypatch, offset):
            server = stack.enter_context(running("valkey", tmp_path / "store", appendonly="yes", appendfsync="always"))
        assert "LD_PRELOAD" not in os.environ
        sandbox = stack.enter_context(Sandbox(SandboxRules(fail_rate=0.3, latency_s=0.2)))
        config = tmp_path / "trunkline.toml"
        config.write_text(CONFIGURATION, "utf-8")
        env = environment(
            TRUNKLINE_CONFIG=config, TRUNKLINE_REDIS_URL=server.url, TRUNKLINE_API_BASE_URL=sandbox.base_url,
            BLAND_API_KEY="sandbox-key",
        )  # fmt: skip
        settings = load(config, env)
        opened = open_store(settings)
        stack.callback(opened.close)
        trunkline = stack.enter_context(Commands(tmp_path, env))
        worker = stack.enter_context(working(tmp_path / "worker.log", env))
        yield Place(offset, server, settings, opened.store, sandbox, worker, trunkline)


@contextmanager
def preloaded(monkeypatch: pytest.MonkeyPatch, offset: Path) -> Iterator[None]:
    """What is started within has a clock that the file moves; its monotonic clock stays as it is."""
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(LIBRARY))
        patch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
        patch.setenv("FAKETIME_NO_CACHE", "1")
        patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        yield


@pytest.mark.chaos
@pytest.mark.parametrize("hours", [-1, 1], ids=["back", "forward"])
def test_after_the_clock_stepped_by_an_hour_everything_is_attached_as_if_it_had_not(place: Place, hours: int) -> None:
    place.push(0, 400)
    until(
        lambda: place.in_retry() and place.totals()["attached"] > 40, "some attached, some in retry", within=PATIENCE_S
    )
    waiting, in_retry = place.totals()["queued"], place.in_retry()
    place.sandbox.change(fail_rate=0)  # else the longest backoff decides
    place.steps_to(hours * HOUR_S)
    stepped = time.monotonic()
    until(place.all_attached, lambda: f"all attached: {place.totals()}", within=SETTLED_WITHIN_S)
    took = time.monotonic() - stepped
    print(f"{hours:+d} h with {waiting} queued, {in_retry} of them in retry: all attached {took:.1f} s after the step")
    said = f"the store's clock stepped back by {HOUR_S}"
    if hours < 0:
        until(lambda: "the store's clock stepped back by 3" in place.trunkline("status").out, said)
    else:
        assert "stepped back" not in place.trunkline("status").out
    assert place.totals()["dead"] == 0
    place.push(1_000, 20)
    until(place.all_attached, lambda: f"what came after the step: {place.totals()}", within=SETTLED_WITHIN_S)
    until(lambda: place.store._client.zcard("{tl}:leases") == 0, "the end of every lease")
    audited = place.trunkline("audit")
    assert (audited.code, audit(place.store)) == (0, []), audited.out
    assert "Traceback" not in place.worker.log.read_text("utf-8")
