"""An account's breaker, and calls that fail as a whole: what opens it, and who pays an attempt."""

from __future__ import annotations

import pytest

from support.store_steps import LEASE_MS, attach, claim, entry, go_on, number, numbers_of, publish, push, sent, settle
from trunkline.lifecycle import State
from trunkline.store import Store, queries
from trunkline.store.model import Batch, Disposition, Probe, Settlement, Trouble

ONE, TWO, THREE = (number(n) for n in range(3))
AWAY_MS = 20_000


@pytest.fixture(autouse=True)
def _published(store: Store) -> None:
    publish(store, size=2, wait_ms=0)


def fail(store: Store, batch: Batch, after_ms: int = 0) -> None:
    """The gateway answers 503 in the API's place; the numbers may go again soon."""
    assert store.now_ms is not None
    at_ms = store.now_ms + after_ms
    numbers = numbers_of(batch)
    free = tuple(Disposition(each, "retry", at_ms, code="http_503", free=True) for each in numbers)
    paid = Disposition(numbers[0], "retry", at_ms, code="http_503") if len(numbers) == 1 else None
    assert store.settle(
        batch.id, Settlement(batch.fingerprint, dispositions=free, trouble=Trouble("503", AWAY_MS, paid))
    )


def called(store: Store, *numbers: str) -> Batch:
    push(store, *numbers)
    return sent(store, claim(store))


def is_open(store: Store) -> bool:
    (book,) = queries.books(store).accounts
    return book.paused is not None


def test_two_calls_in_a_row_that_fail_as_a_whole_open_it_and_one_success_between_does_not(store: Store) -> None:
    fail(store, called(store, ONE, TWO))
    assert not is_open(store)
    attach(store, called(store, THREE))
    fail(store, sent(store, claim(store)))
    assert not is_open(store)
    fail(store, called(store, THREE))
    assert is_open(store)


def test_an_outage_without_end_costs_no_number_an_attempt_and_a_call_for_each_probe(store: Store) -> None:
    push(store, *(number(n) for n in range(9)))
    fail(store, sent(store, claim(store)))
    fail(store, sent(store, claim(store)))
    for _ in range(50):
        assert isinstance(store.claim(LEASE_MS), Probe) or go_on(store, AWAY_MS) is None
        go_on(store, 1)
        store.probed("default")
        fail(store, sent(store, claim(store)))
        assert is_open(store)
    assert {entry(store, number(n)).attempts for n in range(9)} == {0}


def test_a_batch_that_fails_while_others_succeed_is_split_and_only_a_lone_number_pays(store: Store) -> None:
    fail(store, called(store, ONE, TWO), after_ms=10)
    go_on(store, 1)
    attach(store, called(store, THREE))
    go_on(store, 10)
    fail(store, sent(store, claim(store)))
    go_on(store, 1)
    first, second = sent(store, claim(store)), sent(store, claim(store))
    assert sorted(numbers_of(first) + numbers_of(second)) == [ONE, TWO], "each alone: they are suspects"
    go_on(store, 10)
    attach(store, second)
    fail(store, first)
    assert entry(store, *numbers_of(first)).attempts == 1
    assert entry(store, *numbers_of(second)).state is State.attached
    assert not is_open(store)


def test_an_answer_to_what_was_sent_before_a_failure_proves_nothing_of_the_gateway_since(store: Store) -> None:
    """As an outage begins, calls that went out before it are still answered."""
    publish(store, size=1, wait_ms=0)
    push(store, ONE, TWO)
    early, late = sent(store, claim(store)), sent(store, claim(store))
    go_on(store, 10)
    fail(store, late)
    go_on(store, 10)
    attach(store, early)
    for _ in range(2):
        fail(store, sent(store, claim(store)))
        go_on(store, 1)
    assert is_open(store)
    assert entry(store, *numbers_of(late)).attempts == 0


def test_an_outage_after_the_clock_stepped_back_costs_no_attempt_either(store: Store) -> None:
    """Who was answered last is not known then: that answer seems to come after every failure."""
    publish(store, size=1, wait_ms=0)
    attach(store, called(store, TWO))
    go_on(store, -3_600_000)
    fail(store, called(store, ONE))
    go_on(store, 1)
    fail(store, sent(store, claim(store)))
    assert is_open(store)
    assert entry(store, ONE).attempts == 0


def test_a_batch_of_a_worker_that_lives_is_taken_up_and_counts_as_no_crash(store: Store) -> None:
    """It could not tell in time what became of it, as where the store was out of memory."""
    publish(store, size=1, wait_ms=0)
    store.worker = "only"
    push(store, ONE)
    for _ in range(4):
        sent(store, claim(store))
        go_on(store, LEASE_MS)
        assert store.reap().numbers == 1
    settle(store, claim(store), "released")
    assert entry(store, ONE).state is State.queued


def test_a_number_that_is_only_checked_keeps_being_that_when_its_worker_dies(store: Store) -> None:
    attach(store, called(store, ONE, TWO))
    push(store, ONE, THREE)
    batch = claim(store)
    assert store.permit(batch.id, batch.account, 1) == 0  # for THREE: ONE was found where it should be
    go_on(store, LEASE_MS)
    store.reap()
    assert {leased.number: leased.verify for leased in claim(store).numbers} == {ONE: "check", THREE: "in_doubt"}
