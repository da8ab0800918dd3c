"""The store's invariants, under whatever order of events, workers, clocks and operators Hypothesis thinks of.

The machine is only worth what it notices, so its own test takes out one line of the scripts at a time: the schedule of
a push, of a reap; the pause of a profile; the touch of a resumed account; the end of a lease, of a batch, of the
numbers in flight; the look whether a number is in flight; the cap; the place of a failed number; the mark of a stale
place; the waking of who waits; the books of a replay and of a supersession; the mark of an event with a refusal; the
order of events; the archive's list and its routes; the second call of a direction's owner.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from servers import Server
from store_machine import StoreMachine
from store_mutations import MUTATIONS, Mutation, mutated
from trunkline.store import Store, StoreUnavailable
from trunkline.store.scripts import Script

MACHINE = settings(
    max_examples=40, stateful_step_count=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
HUNT = settings(
    MACHINE, max_examples=3_000, phases=[Phase.generate], report_multiple_bugs=False, print_blob=False, derandomize=True
)


def run(server: Server, how: settings, scripts: dict[str, Script] | None = None) -> None:
    with server.client() as client, server.client(decode_responses=False) as raw:
        store = Store(client)
        store._scripts = scripts or store._scripts

        class OnThisServer(StoreMachine):
            def __init__(self) -> None:
                super().__init__(store, raw)

        run_state_machine_as_test(OnThisServer, settings=how)


def test_the_invariants_hold_after_every_step(valkey: Server) -> None:
    run(valkey, MACHINE)


def test_the_invariants_hold_on_redis(redis_server: Server) -> None:
    run(redis_server, settings(MACHINE, max_examples=10))


@pytest.mark.chaos
def test_the_invariants_hold_for_long(server: Server) -> None:
    run(server, settings(MACHINE, max_examples=3_000))


@pytest.mark.parametrize(
    "mutation", [pytest.param(each, id=each.what, marks=[pytest.mark.chaos] * each.rare) for each in MUTATIONS]
)
def test_the_machine_notices_when(valkey: Server, mutation: Mutation) -> None:
    scripts = mutated(mutation)
    with pytest.raises((AssertionError, StoreUnavailable)):
        run(valkey, HUNT, scripts)
