"""A place where things crash: a store, the stand-in API, real processes beside them, and what must hold afterwards.

Nothing here waits for a fixed time: conditions are asked for until they hold or a generous deadline is over.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import redis

from acceptance.running import WORKER, Running
from acceptance.store_proxy import StoreProxy
from acceptance.worker_harness import PATIENCE_S, environment, until
from support.servers import running
from support.store_audit import audit
from trunkline.bootstrap import Opened, open_store
from trunkline.config.settings import Settings, load
from trunkline.events.event import NumberEvent
from trunkline.lifecycle import State
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import Store, StoreUnavailable, connect, queries
from trunkline.store.embedded.process import Home
from trunkline.store.model import Entry
from trunkline_producers.enqueue.enqueuer import Enqueuer

Answer = TypeVar("Answer")

LEASE_S: Final = 2.5
NOISE_S: Final = 20.0  # what a machine busy with other things may add; the time itself is printed
ORDINARY: Final = {
    "requests_per_second": 500, "max_concurrency": 4, "max_size": 100, "timeout_s": 1.7, "lease_s": LEASE_S,
}  # fmt: skip
CONFIGURATION: Final = """
[accounts.default]
key = {{ env = "BLAND_API_KEY" }}
timeout_s = {timeout_s}
requests_per_second = {requests_per_second}
max_concurrency = {max_concurrency}
[batch]
max_size = {max_size}
max_wait_s = 0.1
[retry]
max_attempts = 50
initial_s = 0.2
max_s = 1.0
[worker]
threads = 8
lease_s = {lease_s}
grace_s = 10.0
[profiles.support]
[[profiles.support.directions]]
type = "inbound"
[sources.acme]
verify = {{ scheme = "hmac", header = "X-Signature" }}
keys = [{{ env = "HOOK_KEY" }}]
number = "phone"
event_id = "id"
profile = "support"
"""
HOOK_KEY: Final = "hook-key"
REGISTER: Final = (b"{tl}:meta", b"{tl}:worker")


def patiently(ask: Callable[[], Answer]) -> Answer:
    """What the store says, asked again where a busy machine keeps it from answering."""
    over = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except StoreUnavailable:
            if time.monotonic() > over:
                raise


@dataclass
class Site:
    """Everything that a test of crashes works with; `workers` by the name of their door to the store."""

    folder: Path
    env: dict[str, str]
    settings: Settings
    sandbox: Sandbox
    processes: list[Running] = field(default_factory=list)
    workers: dict[str, Running] = field(default_factory=dict)
    pushed: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _opened: Opened | None = None
    _proxy: StoreProxy | None = None

    @property
    def store(self) -> Store:
        """The store beside the workers, not through the proxy."""
        assert self._opened is not None, "the store is not open here"
        return self._opened.store

    @property
    def proxy(self) -> StoreProxy:
        assert self._proxy is not None, "this site has no proxy"
        return self._proxy

    def open_store(self) -> None:
        """Opens the store in this process, which makes it a user of an embedded server."""
        self._opened = open_store(self.settings)

    def close_store(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def start(self, *command: str, **env: str) -> Running:
        """A process with the site's environment, ended with the site."""
        process = Running(command, self.env | env)
        self.processes.append(process)
        return process

    def start_workers(self, *names: str) -> None:
        """One worker process for each name, each with its own door to the store; returns when all look for work."""
        for name in names:
            self.workers[name] = self.start(*WORKER, TRUNKLINE_REDIS_URL=self.proxy.door(name))
        for name in names:
            self.workers[name].says("worker_started")

    def new_numbers(self, count: int) -> list[str]:
        return [f"+1415{2_000_000 + next(self._numbers):07d}" for _ in range(count)]

    def push(self, count: int, enqueuer: Enqueuer | None = None) -> list[str]:
        """New numbers, each an event of its own; when it returns they are promised."""
        numbers = self.new_numbers(count)
        events = [NumberEvent(event_id=number, numbers=(number,), profile="support", source="s") for number in numbers]
        (enqueuer or self.enqueuer()).enqueue(events)
        self.pushed += numbers
        return numbers

    def enqueuer(self) -> Enqueuer:
        return Enqueuer.from_settings(self.store, self.settings)

    def attach_calls(self) -> list[dict[str, Any]]:
        """The attach calls that the stand-in has seen."""
        return self.sandbox.log()

    def read_backs(self) -> int:
        calls = self.sandbox.stats()["calls"]
        return sum(calls.get(endpoint, 0) for endpoint in ("number", "numbers"))

    def entries(self) -> list[Entry]:
        return list(queries.entries(self.store, (("support", number) for number in self.pushed)))

    def everything_has_ended(self) -> bool:
        """Whether all that was pushed is attached or dead; False too while the store is away."""
        try:
            totals = queries.books(self.store).totals
        except StoreUnavailable:
            return False
        return totals["attached"] + totals["dead"] >= len(self.pushed)

    def ends(self) -> None:
        """Waits until everything has ended, then looks whether nothing is lost and nothing was done twice."""
        until(self.everything_has_ended, "the end of every number")
        until(self._no_leases, "the end of every lease")
        self.is_whole()
        assert [entry.number for entry in self.entries() if entry.state is not State.attached] == []
        assert self.sandbox.stats()["attached"] == len(self.pushed)

    def is_whole(self) -> None:
        """Nothing lost, the books balanced, nothing sent again that was settled, no number in two calls at once."""
        books = queries.books(self.store)
        assert audit(self.store) == []
        assert books.balanced, books
        assert books.totals["accepted"] == len(self.pushed)
        assert books.totals["coalesced"] == 0
        entries = self.entries()
        assert len(entries) == len(self.pushed)
        assert [entry for entry in entries if entry.state is State.dead and not entry.dead_code] == []
        assert self.sent_after_the_settle() == []
        seen = self.sandbox.stats()
        assert (seen["duplicates_in_call"], seen["in_two_calls_numbers"]) == (0, [])

    def sent_after_the_settle(self) -> list[tuple[str, dict[str, Any]]]:
        """The attach calls that carried a number which the store knew as attached; both go by this machine's clock."""
        settled = {each.number: each.updated_ms for each in self.entries() if each.state is State.attached}
        wrong = []
        for call in self.attach_calls():
            came_ms = datetime.fromisoformat(call["at"]).timestamp() * 1000
            wrong += [(n, call) for n in call["numbers"] if settled.get(n, came_ms) < came_ms]
        return wrong

    def leases(self) -> int:
        """How many batches are under way."""
        return int(self.store._client.zcard("{tl}:leases"))

    def dump(self) -> dict[bytes, bytes]:
        """Every key of the store by URL, byte for byte, but for what workers say of themselves meanwhile."""
        assert self.settings.store.url is not None
        with connect(self.settings.store.url.get_secret_value(), decode_responses=False) as client:
            keys = [key for key in client.scan_iter() if not key.startswith(REGISTER)]
            return {key: client.dump(key) for key in keys}

    def server(self) -> int:
        """The process that serves the store now."""

        def pid() -> int:
            try:
                return int(self.store._client.info("server")["process_id"])
            except redis.ConnectionError:
                return 0

        return until(pid, "a server")

    def taken_up_s(self) -> float:
        """Seconds from the first lease of a batch to the second, as the store gave them out."""
        first, second, *_ = self.proxy.passed("claim", having=b"batch")
        assert first.door != second.door, "nobody else took it up"
        return second.at - first.at

    def was_taken_up_in_time(self) -> None:
        """Not before the lease was over, and within it and one second. The store's clock decides, ours looks on."""
        seconds = self.taken_up_s()
        print(f"taken up {seconds:.2f} s after a lease of {LEASE_S:g} s began")
        assert LEASE_S - 0.1 <= seconds <= LEASE_S + 1 + NOISE_S

    def _no_leases(self) -> bool:
        try:
            return self.leases() == 0
        except StoreUnavailable:
            return False


@contextmanager
def site_by_url(folder: Path, **configured: float) -> Iterator[Site]:
    """A server by URL, on disk with every write, and a proxy in front of it for the workers."""
    (folder / "valkey").mkdir()
    with (
        running("valkey", folder / "valkey", appendonly="yes", appendfsync="always") as server,
        StoreProxy(server.port) as proxy,
        _site(folder, configured, TRUNKLINE_REDIS_URL=server.url) as site,
    ):
        site._proxy = proxy
        site.open_store()
        yield site


@contextmanager
def site_embedded(folder: Path, **configured: float) -> Iterator[Site]:
    """An embedded server, started by whoever opens the store first."""
    with _site(folder, configured, TRUNKLINE_DATA_DIR=str(folder / "data")) as site:
        try:
            yield site
        finally:
            for process in site.processes:
                process.close()
            site.close_store()
            until(lambda: _is_over(site), "the end of the embedded server")


def _is_over(site: Site) -> bool:
    """Whether the embedded server has ended; if it was left behind by those who were killed, its next user ends it."""
    if not Home(site.settings.store.data_dir / "valkey").serving():
        return True
    site.open_store()
    site.close_store()
    return False


@contextmanager
def _site(folder: Path, configured: Mapping[str, float], **env: str) -> Iterator[Site]:
    options = {**ORDINARY, **configured}
    config = folder / "trunkline.toml"
    config.write_text(CONFIGURATION.format(**options), "utf-8")
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(SandboxRules(fail_rate=0, latency_s=0.02)))
        variables = environment(
            TRUNKLINE_CONFIG=config,
            TRUNKLINE_API_BASE_URL=sandbox.base_url,
            BLAND_API_KEY="sandbox-key",
            HOOK_KEY=HOOK_KEY,
            **env,
        )
        site = Site(folder, variables, load(config, variables), sandbox)
        stack.callback(site.close_store)
        try:
            yield site
        finally:
            for process in site.processes:
                process.close()
