"""A place where things crash: a store, the stand-in API, real processes beside them, and what must hold afterwards.

Nothing here waits for a fixed time: conditions are asked for until they hold or a generous deadline is over.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from acceptance.store_proxy import StoreProxy
from acceptance.worker_harness import PATIENCE_S, environment, until
from servers import running
from trunkline.contract import NumberEvent, State
from trunkline.opening import Opened, open_store
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.settings import Settings, load
from trunkline.store import Store, StoreUnavailable, connect, reading
from trunkline.store.model import Entry
from trunkline_producers.enqueue import Enqueuer

LEASE_S: Final = 2.0
NOISE_S: Final = 4.0  # what a busy machine may add to a time that is promised
WORKER: Final = (sys.executable, "-m", "trunkline.app")
TRUNKLINE: Final = (sys.executable, "-m", "trunkline")
CONFIGURATION: Final = """
[accounts.default]
key = {{ env = "BLAND_API_KEY" }}
timeout_s = 1.2
requests_per_second = {requests_per_second}
max_concurrency = {max_concurrency}
[batch]
max_size = {max_size}
max_wait_s = 0.1
[retry]
initial_s = 0.2
max_s = 1.0
[worker]
threads = 8
lease_s = {lease_s}
grace_s = 10.0
[profiles.support]
[[profiles.support.directions]]
type = "inbound"
"""


class Running:
    """A process of trunkline and its children: they share its stderr, so the end of that says that all are gone."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,  # a process group of its own, as in a terminal: Ctrl-C reaches all of it
        )  # fmt: skip
        self.lines: list[str] = []
        self.all_gone = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event, of it and its children."""
        lines = (json.loads(line) for line in list(self.lines) if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]

    def says(self, event: str, times: int = 1) -> None:
        """Waits until an event was logged so often."""
        until(lambda: len(self.logged(event)) >= times or not self._talks(event), f"{event} x{times} of {self}")
        assert len(self.logged(event)) >= times, self

    def children(self) -> list[int]:
        """The worker processes that a supervisor has started and not lost again."""
        lost = {line["pid"] for line in self.logged("process_died")}
        return [line["pid"] for line in self.logged("process_started") if line["pid"] not in lost]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        os.killpg(self.pid, number)

    def exit_code(self) -> int:
        """Waits for its end."""
        return self.process.wait(PATIENCE_S)

    def has_left_nobody(self) -> bool:
        """Waits until it and all its children are gone."""
        return self.all_gone.wait(PATIENCE_S)

    def was_surprised(self) -> list[str]:
        """What it and its children logged of exceptions that nobody expected."""
        return [line for line in self.lines if "Traceback" in line]

    def close(self) -> None:
        """Ends what is left of it, stopped or not."""
        if not self.all_gone.is_set():
            with suppress(ProcessLookupError):
                self.signal_group(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)

    def __repr__(self) -> str:
        return f"{self.process.args!r} ({self.pid}), which said:\n" + "\n".join(self.lines[-40:])

    def _talks(self, event: str) -> bool:
        return not self.all_gone.is_set() or bool(self.logged(event))

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
        self.all_gone.set()


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
        return list(reading.entries(self.store, (("support", number) for number in self.pushed)))

    def everything_has_ended(self) -> bool:
        """Whether all that was pushed is attached or dead; False too while the store is away."""
        try:
            totals = reading.books(self.store).totals
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
        books = reading.books(self.store)
        assert self.store.audit() == []
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
        settled: dict[str, int] = {}
        outcomes: Any = self.store.client.xrange("{tl}:outcomes")
        for _, outcome in outcomes:
            if outcome["state"] == State.attached.value:
                for number in outcome["numbers"].split("\n"):
                    settled.setdefault(number, int(outcome["at"]))
        wrong = []
        for call in self.attach_calls():
            came_ms = datetime.fromisoformat(call["at"]).timestamp() * 1000
            wrong += [(n, call) for n in call["numbers"] if settled.get(n, came_ms) < came_ms]
        return wrong

    def leases(self) -> int:
        """How many batches are under way."""
        return int(self.store.client.zcard("{tl}:leases"))

    def dump(self) -> dict[bytes, bytes]:
        """Every key of the store by URL, byte for byte."""
        assert self.settings.store.url is not None
        with connect(self.settings.store.url.get_secret_value(), decode_responses=False) as client:
            return {key: client.dump(key) for key in client.scan_iter()}  # type: ignore[misc]  # redis-py types it for async too

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


class Pushing(threading.Thread):
    """A producer under load: one event after the other, each again until the store has taken it."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.accepted: list[str] = []
        self.refusals = 0  # how often the store was away
        self._site = site
        self._enqueuer = site.enqueuer()
        self._enough = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self) -> None:
        try:
            while not self._enough.wait(0.002):
                self._push(self._site.new_numbers(1)[0])
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self._failure = error

    def _push(self, number: str) -> None:
        event = NumberEvent(event_id=number, numbers=(number,), profile="support", source="s")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                summary = self._enqueuer.enqueue([event])
                break
            except StoreUnavailable:
                self.refusals += 1
                assert time.monotonic() < deadline, "the store does not come back"
                self._enough.wait(0.05)
        # One that was taken in although its answer never came is known at the second try.
        assert summary.accepted + summary.duplicate == 1, summary
        self.accepted.append(number)

    def has_pushed(self, count: int) -> None:
        """Waits until so many more are in."""
        before = len(self.accepted)
        until(lambda: len(self.accepted) >= before + count or self._failure, f"{count} pushes")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ends it; what was taken in is the site's from now on."""
        if not self._enough.is_set():
            self._enough.set()
            self.join(PATIENCE_S)
            assert not self.is_alive()
            self._site.pushed += self.accepted
            if self._failure is not None:
                raise self._failure


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
        yield site


@contextmanager
def _site(folder: Path, configured: Mapping[str, float], **env: str) -> Iterator[Site]:
    options = {"requests_per_second": 500, "max_concurrency": 4, "max_size": 100, "lease_s": LEASE_S, **configured}
    config = folder / "trunkline.toml"
    config.write_text(CONFIGURATION.format(**options), "utf-8")
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(SandboxRules(fail_rate=0, latency_s=0.02)))
        variables = environment(
            TRUNKLINE_CONFIG=config, TRUNKLINE_API_BASE_URL=sandbox.base_url, BLAND_API_KEY="sandbox-key", **env
        )
        site = Site(folder, variables, load(config, variables), sandbox)
        stack.callback(site.close_store)
        try:
            yield site
        finally:
            for process in site.processes:
                process.close()
