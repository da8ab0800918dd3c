"""The store's invariants, under whatever order of events, workers, clocks and operators Hypothesis thinks of."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from servers import Server
from store_machine import StoreMachine
from trunkline.store import Store

SETTINGS = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


def test_the_invariants_hold_after_every_step(valkey: Server) -> None:
    with valkey.client() as client, valkey.client(decode_responses=False) as raw:
        run_state_machine_as_test(lambda: StoreMachine(Store(client), raw), settings=SETTINGS)
