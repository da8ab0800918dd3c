"""The store's invariants, under whatever order of events, workers, clocks and operators Hypothesis thinks of.

The machine is only worth what it notices, so its own test takes out one line of the scripts at a time, by topic:
schedules, touches and pauses; leases, batches, numbers in flight, the cap; places, also stale ones, and who waits for a
number; the books; the order of events and the log of ends; who owns a direction, and what a cancel gives back; edits of
a profile, and whose configuration counts; attempts, the breaker, suspects, the canary, crashes; a clock that steps; a
server without memory. Those that take it many runs are left to the chaos run.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from support.servers import Server
from support.store_machine import StoreMachine
from support.store_mutations import MUTATIONS, Mutation, mutated
from trunkline.store import Store, StoreUnavailable
from trunkline.store.scripts import Script

MACHINE = settings(  # the same runs each time; nothing is shrunk, which would take longer than a test may
    max_examples=25, stateful_step_count=40, deadline=None, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.generate], report_multiple_bugs=False, derandomize=True,
)  # fmt: skip
HUNT = settings(MACHINE, max_examples=3_000, print_blob=False)


def run(server: Server, how: settings, scripts: dict[str, Script] | None = None) -> None:
    with server.client() as client, server.client(decode_responses=False) as raw:
        store = Store(client)
        store._scripts = scripts or store._scripts

        class OnThisServer(StoreMachine):
            def __init__(self) -> None:
                super().__init__(store, raw)

        try:
            run_state_machine_as_test(OnThisServer, settings=how)
        finally:
            raw.config_set("maxmemory", "0")  # a run that ends while the server is full leaves it to the next test


def test_the_invariants_hold_after_every_step(valkey: Server) -> None:
    run(valkey, MACHINE)


def test_the_invariants_hold_on_redis(redis_server: Server) -> None:
    run(redis_server, settings(MACHINE, max_examples=10))


@pytest.mark.chaos
def test_the_invariants_hold_for_long(server: Server) -> None:
    run(server, settings(MACHINE, max_examples=3_000, derandomize=False))


@pytest.mark.parametrize(
    "mutation", [pytest.param(each, id=each.what, marks=[pytest.mark.chaos] * each.rare) for each in MUTATIONS]
)
def test_the_machine_notices_when(valkey: Server, mutation: Mutation) -> None:
    scripts = mutated(mutation)
    with pytest.raises((AssertionError, StoreUnavailable)):
        run(valkey, HUNT, scripts)
