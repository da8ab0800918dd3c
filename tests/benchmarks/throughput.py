"""How fast the engine is, as a table: `python tests/benchmarks/throughput.py [--numbers 50000]`.

The whole product on one machine: an embedded store (every write on disk before it is answered), the stand-in API in a
process of its own, worker processes, and one producer. It prints what it measures and asserts nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import httpx

from trunkline.bootstrap import Opened, open_store, policies_of
from trunkline.config.settings import Settings, load
from trunkline.events.event import NumberEvent
from trunkline.runtime.supervisor import Supervisor
from trunkline.store import queries
from trunkline.store.model import Books
from trunkline_producers.enqueue.enqueuer import Enqueuer

IDLE_S = 10.0


def configuration(profiles: int) -> str:
    """Rate and concurrency out of the way, so that the engine is what is measured."""
    head = """
[accounts.default]
key = { env = "BENCH_KEY" }
requests_per_second = 2000
max_concurrency = 64
[batch]
max_wait_s = 1.0
[retry]
initial_s = 1.0
max_s = 4.0
"""
    return head + "".join(
        f'[profiles.p{i:02d}]\n[[profiles.p{i:02d}.directions]]\ntype = "inbound"\n' for i in range(profiles)
    )


@contextlib.contextmanager
def stand_in(latency: float, fail_rate: float, *rules: str) -> Iterator[tuple[str, int]]:
    """The sandbox in a process of its own, with further rules (NAME=VALUE): its URL and its pid."""
    command = [sys.executable, "-m", "trunkline", "sandbox", "--port", "0", "--latency", str(latency)]
    command += ["--fail-rate", str(fail_rate), *(word for rule in rules for word in ("--rule", rule))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert found, "the sandbox said no URL"
        yield found[0], process.pid
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def workers(env: dict[str, str], settings: Settings, processes: int, log: Path) -> Iterator[Supervisor]:
    """Supervised worker processes."""
    with log.open("wb") as stderr:
        supervisor = Supervisor(env, processes, settings.worker.grace_s, stderr=stderr)
        supervisor.start()
        watch = Thread(target=supervisor.run)
        watch.start()
        try:
            yield supervisor
        finally:
            supervisor.stop()
            watch.join()


def events(numbers: int, profiles: int) -> list[NumberEvent]:
    """Number events made beforehand, so that making them is not measured."""
    return [
        NumberEvent(
            event_id=f"bench-{i}", numbers=(f"+1415{2_000_000 + i:07d}",), profile=f"p{i % profiles:02d}", source="b"
        )
        for i in range(numbers)
    ]


@dataclass(slots=True)
class Watch:
    """When how many numbers had ended, looked at all the time from before the push on."""

    opened: Opened
    numbers: int
    seen: list[tuple[float, int]] = field(default_factory=list)
    books: Books | None = None

    def run(self) -> None:
        """Until every number is attached or dead."""
        while True:
            self.books = queries.books(self.opened.store)
            ended = self.books.totals["attached"] + self.books.totals["dead"]
            self.seen.append((time.perf_counter(), ended))
            if ended >= self.numbers:
                return
            time.sleep(0.1)

    def when(self, share: float) -> float:
        """The moment at which this share had ended."""
        return next(moment for moment, ended in self.seen if ended >= share * self.numbers)


def commands(opened: Opened) -> int:
    """How many commands the server has run, those inside scripts too."""
    return int(opened.store._client.info("stats")["total_commands_processed"])


def cpu_of(pid: int) -> float:
    """Seconds of processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(opened: Opened) -> int:
    """Bytes the server has allocated."""
    return int(opened.store._client.info("memory")["used_memory"])


def run(args: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Every figure: what, how much, what was aimed at."""
    rows: list[tuple[str, str, str]] = []
    with (
        tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name,
        stand_in(args.latency, args.fail_rate) as (url, stand_in_pid),
    ):
        folder = Path(name)
        config = folder / "trunkline.toml"
        config.write_text(configuration(args.profiles), encoding="utf-8")
        env = dict(os.environ) | {
            "TRUNKLINE_CONFIG": str(config),
            "TRUNKLINE_DATA_DIR": str(folder / "data"),
            "TRUNKLINE_API_BASE_URL": url,
            "TRUNKLINE_THREADS": str(args.threads),
            "BENCH_KEY": "bench",
        }
        settings = load(config, env)
        opened = open_store(settings)
        opened.store.publish(policies_of(settings))
        enqueuer = Enqueuer.from_settings(opened.store, settings)
        with workers(env, settings, args.processes, folder / "worker.log") as supervisor:
            time.sleep(4)  # until the processes are up
            before = commands(opened)
            time.sleep(IDLE_S)
            idle = (commands(opened) - before) / IDLE_S
            batch = events(args.numbers, args.profiles)
            watch = Watch(opened, args.numbers)
            watching = Thread(target=watch.run)
            watching.start()
            pids = {"producer": [os.getpid()], "workers": supervisor.pids(), "stand-in": [stand_in_pid]}
            pids["store"] = [int(opened.store._client.info("server")["process_id"])]
            used = {who: sum(map(cpu_of, each)) for who, each in pids.items()}
            started = time.perf_counter()
            summary = enqueuer.enqueue(batch)
            pushed = time.perf_counter() - started
            watching.join()
            used = {who: sum(map(cpu_of, each)) - used[who] for who, each in pids.items()}
        books = watch.books
        assert books is not None
        almost, end = watch.when(0.95) - started, watch.when(1.0) - started
        stats = httpx.get(f"{url}/_sandbox/stats").json()
        assert books.balanced
        assert summary.accepted == args.numbers
        per_thousand = 1000 * books.calls["attach"] / args.numbers
        rows += [
            ("events a second, push to settled", f"{0.95 * args.numbers / almost:,.0f}", "8,000 or more"),
            ("  95 % of them were settled in", f"{almost:.2f} s", f"the push itself took {pushed:.2f} s"),
            ("  the last after its backoff, at", f"{end:.2f} s", f"{args.numbers / end:,.0f} a second over all"),
            ("calls per 1,000 numbers", f"{per_thousand:.1f}", "12 or fewer"),
            (
                "processor time a number",
                f"{1e6 * sum(used.values()) / args.numbers:.0f} µs",
                ", ".join(f"{who} {1e6 * each / args.numbers:.0f}" for who, each in used.items()),
            ),
            ("numbers the stand-in failed", f"{stats['attach']['failed']:,}", ""),
            ("idle commands a second", f"{idle:.1f}", "25 or fewer"),
        ]
        opened.store._client.flushall()
        opened.store.publish(policies_of(settings))
        time.sleep(1)
        empty = memory(opened)
        Enqueuer.from_settings(opened.store, settings).enqueue(batch)
        rows.append(("store bytes a waiting number", f"{(memory(opened) - empty) / args.numbers:.0f}", "450 or fewer"))
        opened.close()
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, default=50_000)
    parser.add_argument("--profiles", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--fail-rate", type=float, default=0.02)
    args = parser.parse_args()
    print(f"{args.numbers:,} numbers, {args.profiles} profiles, {args.processes} x {args.threads} threads,", end=" ")
    print(f"an API of {args.latency * 1000:g} ms that fails {args.fail_rate:.0%} of the numbers at each try")
    for what, figure, aim in run(args):
        print(f"  {what:<36}{figure:>22}   {aim}")


if __name__ == "__main__":
    main()
