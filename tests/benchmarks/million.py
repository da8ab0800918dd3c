"""Whether a store with a million numbers is ever held up: `python tests/benchmarks/million.py [--numbers 1000000]`.

A server of its own that logs whatever takes it longer than 10 ms, worker processes, the stand-in API, and the commands
an operator types, one after the other, while everything goes on. It prints how long each step took and what the server
logged in it, and asserts nothing. A machine may keep a process waiting in the midst of its work: a control runs beside
the server, which only reads memory: what is slow there as often is the machine's doing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

sys.path.insert(0, str(Path(__file__).parents[1]))

from throughput import stand_in

from support.servers import Server, running
from trunkline.store import Store, queries, scripts

TRUNKLINE = [sys.executable, "-m", "trunkline"]
SLOW_US = 10_000
NAMES = {each.sha: each.name for each in scripts.load().values()}
SHARES = {"support": 0.5, "sales": 0.2, "wrong": 0.3}  # of the numbers, a profile
CONFIGURATION = """
[accounts.default]
key = { env = "BENCH_KEY" }
requests_per_second = 2000
max_concurrency = 64
[retry]
initial_s = 1.0
max_s = 4.0
[profiles.support]
directions = [{ type = "inbound" }]
[profiles.sales]
directions = [{ type = "inbound" }]
[profiles.wrong]
directions = [{ type = "inbound" }]
"""


class Control:
    """A process that only reads here and there in as much memory as the store has: what it suffers, the machine does.

    Each of its turns reads 2,000 places, which takes a fraction of a millisecond where nothing is in its way.
    """

    PROGRAM = """
import mmap, os, random, select, sys, time
size = int(sys.argv[1])
memory = mmap.mmap(-1, size)
for at in range(0, size, 4096): memory[at] = 1
places, over, worst, spent = [random.randrange(size) for _ in range(200_000)], 0, 0.0, 0.0
while True:
    at = random.randrange(len(places) - 2_000)
    started = time.perf_counter()
    for place in places[at:at + 2_000]: memory[place]
    took = time.perf_counter() - started
    over, worst, spent = over + (took > 0.010), max(worst, took), spent + took
    if select.select([0], [], [], took)[0]:
        if not os.read(0, 1): break
        print(over, f"{worst * 1000:.1f}", f"{spent:.1f}", flush=True)
        over, worst, spent = 0, 0.0, 0.0
"""

    def __init__(self, megabytes: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, str(megabytes << 20)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        first(self._process.pid)

    def said(self) -> str:
        """How it went since this was last asked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?")
        self._process.stdin.flush()
        over, worst, spent = self._process.stdout.readline().split()
        return f"control {over} in {spent} s, worst {worst} ms"

    def end(self) -> None:
        """Stops it."""
        self._process.communicate()


def first(pid: int) -> None:
    """Lets a process go before all others, so that their work is not taken for its own."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)


class Sitting:
    """A store, what surrounds it, and what has been said of each step."""

    def __init__(self, server: Server, folder: Path, env: dict[str, str], control: Control) -> None:
        self.folder = folder
        self._env = env
        self._client = server.client().__enter__()
        self.store = Store(self._client)
        self.control = control

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Times what is done in it, and prints that with what the server logged meanwhile, and the control."""
        self._client.slowlog_reset()
        self._client.config_resetstat()
        self.control.said()
        started = time.perf_counter()
        yield
        took = time.perf_counter() - started
        print(f"  {what:<44}{took:>9.1f} s   slower than 10 ms: {self._slow()}", flush=True)

    def trunkline(self, *words: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        ran = subprocess.run([*TRUNKLINE, *words], env=self._env, capture_output=True, text=True, check=False)
        if ran.returncode and not fails:
            sys.exit(f"trunkline {' '.join(words)}: {ran.returncode}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        return ran

    def worker(self) -> subprocess.Popen[bytes]:
        """Worker processes, supervised."""
        with (self.folder / "worker.log").open("ab") as log:
            return subprocess.Popen([*TRUNKLINE, "worker", "--processes", "2"], env=self._env, stderr=log)

    def waiting(self) -> int:
        """How many numbers of profiles that are not paused wait or are under way."""
        books = queries.books(self.store)
        return sum(
            each.counts["queued"] + each.counts["attaching"] for each in books.profiles if each.profile != "wrong"
        )

    def _slow(self) -> str:
        spent = self._client.info("commandstats").get("cmdstat_evalsha", {}).get("usec", 0) / 1_000_000
        control = self.control.said()
        entries = self._client.slowlog_get(10_000)
        if not entries:
            return f"0 in {spent:.1f} s of scripts; {control}"
        names = Counter(_name_of(each["command"]) for each in entries)
        worst = max(each["duration"] for each in entries) / 1000
        return f"{len(entries)} in {spent:.1f} s of scripts, worst {worst:.1f} ms, {dict(names)}; {control}"


def _name_of(command: bytes | str) -> str:
    """The script's name, or the command with its first word."""
    text = command.decode(errors="replace") if isinstance(command, bytes) else command
    words = text.split()
    return NAMES.get(words[1], " ".join(words[:2])) if len(words) > 1 else text


@contextmanager
def asking(sitting: Sitting) -> Iterator[Counter[str]]:
    """Somebody who asks all the time: the books, a number, the workers, the dead letters."""
    over, asked = Event(), Counter[str]()

    def ask() -> None:
        while not over.is_set():
            for words in (("status",), ("number", "+14152000007"), ("workers",), ("dead", "list", "--limit", "100")):
                sitting.trunkline(*words, "--json", fails=True)
                asked[words[0]] += 1

    thread = Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


def files(folder: Path, numbers: int) -> Iterator[tuple[str, Path, int]]:
    """A CSV file for each profile: its profile, the file, its rows."""
    first = 0
    for profile, share in SHARES.items():
        rows = round(numbers * share)
        path = folder / f"{profile}.csv"
        with path.open("w", encoding="utf-8") as out:
            out.write("number\n")
            out.writelines(f"+1415{2_000_000 + each}\n" for each in range(first, first + rows))
        first += rows
        yield profile, path, rows


def run(numbers: int, kind: str, *, rewrites: bool) -> None:
    """Every step."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trunkline-million-")))
        server = stack.enter_context(
            running(
                kind, folder, appendonly="yes", appendfsync="everysec", maxmemory_policy="noeviction",
                slowlog_log_slower_than=str(SLOW_US), slowlog_max_len="10000",
                auto_aof_rewrite_percentage="100" if rewrites else "0",
            )
        )  # fmt: skip
        first(server.process.pid)
        url, _ = stack.enter_context(stand_in(0.02, 0.01, "dead_rate=0.05"))
        config = folder / "trunkline.toml"
        config.write_text(CONFIGURATION, encoding="utf-8")
        env = dict(os.environ) | {
            "TRUNKLINE_CONFIG": str(config), "TRUNKLINE_REDIS_URL": server.url, "TRUNKLINE_API_BASE_URL": url,
            "BENCH_KEY": "sandbox-key",
        }  # fmt: skip
        control = Control(max(50, numbers * 600 // 1_000_000))
        sitting = Sitting(server, folder, env, control)
        worker = sitting.worker()
        time.sleep(4)
        try:
            sitting.trunkline("pause", "--profile", "wrong")
            with asking(sitting) as asked:
                for profile, path, rows in files(folder, numbers):
                    with sitting.step(f"import of {rows:,} for {profile}, and the work"):
                        sitting.trunkline("import", str(path), "--profile", profile, "--json")
                with sitting.step("the work on the rest"):
                    while sitting.waiting():
                        time.sleep(0.5)
            print(f"  asked meanwhile: {dict(asked)}")
            with sitting.step("status"):
                totals = json.loads(sitting.trunkline("status", "--json").stdout)["totals"]
            print(f"  {totals}")
            with sitting.step("dead list, the whole of it by pages of 1,000"):
                print(f"  {_dead_by_pages(sitting):,} dead letters")
            with sitting.step("dead replay of all, and the work on them"):
                sitting.trunkline("dead", "replay", "--all")
                while sitting.waiting():
                    time.sleep(0.5)
            with sitting.step("audit, while nobody works"):
                print(f"  {sitting.trunkline('audit', fails=True).stdout.strip().splitlines()[-1:]}")
            with sitting.step(f"cancel of the {round(numbers * SHARES['wrong']):,} of a profile"):
                sitting.trunkline("cancel", "--profile", "wrong", "--yes")
            with sitting.step("restart of the worker (killed)"):
                for pid in _family(worker.pid):
                    os.kill(pid, signal.SIGKILL)
                worker.wait()
                worker = sitting.worker()
                sitting.trunkline("enqueue", "--profile", "support", "+14159999999")
                while sitting.waiting():
                    time.sleep(0.2)
            with sitting.step("archive of everything that is attached"):
                sitting.store.now_ms = time.time_ns() // 1_000_000 + 400 * 86_400_000
                archived, seen = 0, 1
                while seen:
                    more, seen = sitting.store.archive(1)
                    archived += more
                sitting.store.now_ms = None
                print(f"  {archived:,} archived")
            with sitting.step("audit once more"):
                print(f"  {sitting.trunkline('audit', fails=True).stdout.strip().splitlines()[-1:]}")
        finally:
            worker.terminate()
            worker.wait()
            control.end()


def _dead_by_pages(sitting: Sitting) -> int:
    found, cursor = 0, ""
    while True:
        ran = sitting.trunkline("dead", "list", "--json", "--limit", "1000", *(("--cursor", cursor) if cursor else ()))
        found += len(json.loads(ran.stdout))
        said = re.search(r"cursor[^\n]*?([\w:.+|,-]+)\s*$", ran.stderr)
        if not said:
            return found
        cursor = said[1]


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def main() -> None:
    """Prints the steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, default=1_000_000)
    parser.add_argument("--server", choices=["valkey", "redis"], default="valkey")
    parser.add_argument(
        "--no-rewrites",
        action="store_true",
        help="the server's copy of itself that rewrites its log, and slows it, stays out",
    )
    args = parser.parse_args()
    print(f"{args.numbers:,} numbers in {len(SHARES)} profiles, on {args.server}")
    run(args.numbers, args.server, rewrites=not args.no_rewrites)


if __name__ == "__main__":
    main()
