"""A long run in which anything dies at any time: `pytest -m chaos`.

`CHAOS_S` says how many seconds, `CHAOS_SEED` repeats the order of a run (not its timing).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from acceptance.pushing import Pushing
from acceptance.running import TRUNKLINE, Running, kill
from acceptance.site import LEASE_S, Site, site_embedded
from acceptance.worker_harness import until

SECONDS = float(os.environ.get("CHAOS_S", "60"))
SEED = int(os.environ.get("CHAOS_SEED", str(time.time_ns() % 10_000)))
TROUBLE = {"fail_rate": 0.05, "rate_500_after_commit": 0.02, "rate_cut_after": 0.02, "rate_503": 0.02}


@pytest.mark.chaos
def test_whatever_dies_at_whatever_time_nothing_is_lost(tmp_path: Path) -> None:
    print(f"CHAOS_SEED={SEED}")
    with site_embedded(tmp_path, max_size=20, requests_per_second=200, max_concurrency=8) as site:
        site.open_store()
        site.sandbox.change(
            latency_s=0.1, fail_rate=0.05, rate_500_after_commit=0.02, rate_cut_after=0.02, rate_503=0.02
        )
        chaos = Chaos(site, random.Random(SEED))
        with Pushing(site, pause_s=0.02) as pushing:
            chaos.reign(SECONDS)
        chaos.supervise()
        site.sandbox.change(**dict.fromkeys(TROUBLE, 0))
        until(site.everything_has_ended, "the end of every number", within=120)
        until(lambda: site.leases() == 0, "the end of every lease")
        site.is_whole()
        print(f"{len(pushing.accepted)} numbers, {pushing.refusals} refusals; {chaos.done}")


class Chaos:
    """Whoever may die, and how."""

    def __init__(self, site: Site, draw: random.Random) -> None:
        self.done: dict[str, int] = {}
        self._site = site
        self._draw = draw
        self._supervisor: Running | None = None

    def supervise(self) -> Running:
        """A supervisor, a new one if the last was killed."""
        if self._supervisor is None:
            self._supervisor = self._site.start(*TRUNKLINE, "worker", "--processes", "2")
        return self._supervisor

    def reign(self, seconds: float) -> None:
        ways: dict[Callable[[], None], int] = {
            self.a_worker: 6,
            self.a_frozen_worker: 2,
            self.the_server: 3,
            self.the_supervisor: 1,
            self.everything: 1,
        }
        over = time.monotonic() + seconds
        while time.monotonic() < over:
            self.supervise().says("worker_started")
            time.sleep(self._draw.uniform(0.2, 3.0))  # chaos has no condition to wait for
            (way,) = self._draw.choices(list(ways), list(ways.values()))
            self.done[way.__name__] = self.done.get(way.__name__, 0) + 1
            way()

    def a_worker(self) -> None:
        for pid in self._draw.sample(self.supervise().children(), k=1):
            with suppress(ProcessLookupError):
                kill(pid)

    def a_frozen_worker(self) -> None:
        for pid in self._draw.sample(self.supervise().children(), k=1):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(self._draw.uniform(0.1, 2 * LEASE_S))
                os.kill(pid, signal.SIGCONT)

    def the_server(self) -> None:
        kill(self._site.server())

    def the_supervisor(self) -> None:
        self.supervise().signal(signal.SIGKILL)
        self._supervisor = None

    def everything(self) -> None:
        for pid in self.supervise().children():
            with suppress(ProcessLookupError):
                kill(pid)
        self.the_server()
        self.the_supervisor()
