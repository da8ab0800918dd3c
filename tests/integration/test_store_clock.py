"""The server's clock steps, or stands wrong: nothing waits longer for that than a minute, and the newest event wins."""

from __future__ import annotations

import pytest

from support.store_steps import LEASE_MS, attach, claim, delivery, entry, go_on, number, others, push, sent, settle
from trunkline.lifecycle import State
from trunkline.store import Store
from trunkline.store.model import AccountRule, Idle, OpenBreaker, Policies, Probe, ProfilePolicy, Settlement
from trunkline.store.registry import Registration

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
ONE, TWO = number(1), number(2)


@pytest.fixture
def worker(store: Store) -> Registration:
    """One that lives; its account lets a request through each five seconds."""
    profiles = {name: ProfilePolicy("default", 2, 1_000, "f0", "io") for name in ("support", "sales")}
    worker = Registration(store, Policies({"default": AccountRule(9, 5_000)}, profiles), worker="one", ttl_ms=15_000)
    worker.join()
    return worker


def step(store: Store, worker: Registration, ms: int) -> None:
    """The clock steps between two beats."""
    worker.beat()
    go_on(store, ms)
    worker.beat()


def gate(store: Store, ms: int) -> None:
    push(store, ONE)
    batch = sent(store, claim(store))
    assert store.settle(
        batch.id, Settlement("f0", dispositions=others(batch, "released"), breaker=OpenBreaker(ms, "401"))
    )


def waits_ms(store: Store) -> int:
    said = store.claim(LEASE_MS)
    return (said.wait_ms or 0) if isinstance(said, Idle) else 0


def test_an_account_goes_on_after_a_step_back_of_an_hour(store: Store, worker: Registration) -> None:
    push(store, ONE)
    attach(store, sent(store, claim(store)))
    push(store, TWO)
    step(store, worker, -HOUR_MS)
    assert waits_ms(store) <= MINUTE_MS


def test_a_retry_goes_on_after_a_step_back_of_an_hour(store: Store, worker: Registration) -> None:
    push(store, ONE)
    settle(store, sent(store, claim(store)), "retry", (store.now_ms or 0) + MINUTE_MS)
    step(store, worker, -HOUR_MS)
    assert waits_ms(store) <= MINUTE_MS + 5_000


def test_the_lease_of_a_dead_worker_ends_in_time_after_a_step_back_of_an_hour(
    store: Store, worker: Registration
) -> None:
    push(store, ONE)
    claim(store)
    step(store, worker, -HOUR_MS)
    go_on(store, LEASE_MS)
    assert store.reap().numbers == 1


@pytest.mark.parametrize("shut_ms", [MINUTE_MS, 2 * HOUR_MS])
def test_a_breaker_lets_a_probe_through_after_a_step_back_of_an_hour(
    store: Store, worker: Registration, shut_ms: int
) -> None:
    """However long it has been open."""
    gate(store, MINUTE_MS)
    for _ in range(0, shut_ms, MINUTE_MS):
        go_on(store, MINUTE_MS)
        worker.beat()
        assert isinstance(store.claim(LEASE_MS), Probe)
        store.probed("default", open_ms=MINUTE_MS, reason="401")
    step(store, worker, -HOUR_MS)
    assert waits_ms(store) <= MINUTE_MS


def test_a_probe_does_not_wait_for_the_slot_of_one_before_the_step(store: Store, worker: Registration) -> None:
    gate(store, 1)
    go_on(store, 4_500)
    assert isinstance(store.claim(LEASE_MS), Probe)
    assert store.permit("", "default") > 0, "and that worker dies"
    step(store, worker, -HOUR_MS)
    assert store.permit("", "default") <= 60


def test_an_event_without_a_time_wins_over_one_from_a_clock_that_stood_ahead(
    store: Store, worker: Registration
) -> None:
    step(store, worker, HOUR_MS)
    push(store, ONE)
    step(store, worker, -HOUR_MS)
    push(store, ONE, profile="sales")
    assert (entry(store, ONE).state, entry(store, ONE, "sales").state) == (State.superseded, State.queued)
    store.push([delivery([("support", ONE)], occurred_ms=(store.now_ms or 0) + HOUR_MS)])
    assert entry(store, ONE, "sales").state is State.superseded


def test_what_ended_while_the_clock_stood_ahead_does_not_hold_the_archive_up(
    store: Store, worker: Registration
) -> None:
    step(store, worker, 365 * DAY_MS)
    push(store, ONE)
    attach(store, sent(store, claim(store)))
    step(store, worker, -365 * DAY_MS)
    push(store, TWO)
    attach(store, sent(store, claim(store)))
    go_on(store, 2 * DAY_MS)
    assert store.archive(1)[0] == 1
    go_on(store, 2 * DAY_MS)
    assert store.archive(1)[0] == 1


def test_a_step_ahead_of_an_hour_only_takes_up_what_is_under_way(store: Store, worker: Registration) -> None:
    push(store, ONE)
    batch = sent(store, claim(store))
    step(store, worker, HOUR_MS)
    assert store.reap().numbers == 1
    assert not store.settle(batch.id, Settlement("f0", attached=(ONE,)))
    (leased,) = claim(store).numbers
    assert (leased.verify, leased.crashes) == ("in_doubt", 0)
