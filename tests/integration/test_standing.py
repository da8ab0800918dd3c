"""How things stand in the store: who lives, what is carried, since when the oldest waits, why a number does."""

from __future__ import annotations

import pytest

from support.store_steps import attach, claim, delivery, entry, go_on, govern, number, publish, push, sent, settle
from trunkline.operations.waiting import waiting_for
from trunkline.store import Store, queries
from trunkline.store.model import (
    AccountBook,
    AccountRule,
    Disposition,
    OpenBreaker,
    Policies,
    ProfileBook,
    ProfilePolicy,
    RefusedAlike,
    Settlement,
)
from trunkline.store.registry import Registration

MINUTE_MS = 60_000


@pytest.fixture(autouse=True)
def _published(store: Store) -> None:
    publish(store, size=2, wait_ms=0, cap=3)


def profile(store: Store, name: str = "support") -> ProfileBook:
    return next(book for book in queries.books(store).profiles if book.profile == name)


def account(store: Store) -> AccountBook:
    (book,) = queries.books(store).accounts
    return book


def why(store: Store, which: int) -> str:
    """What a number waits for."""
    books = queries.books(store)
    said = waiting_for(
        entry(store, number(which)), profile(store), account(store), len(books.workers), store.now_ms or 0
    )
    return said or ""


def configuration(fingerprint: str) -> Policies:
    return Policies({"default": AccountRule(3, 0)}, {"support": ProfilePolicy("default", 2, 0, fingerprint, "io")})


# Who lives and what they carry


def test_a_worker_is_told_with_what_it_last_said_of_itself(store: Store) -> None:
    about: dict[str, str | int] = {"host": "one", "pid": 7, "version": "0.1.0", "threads": 8, "busy": 3}
    worker = Registration(store, configuration("f0"), worker="one:7:aa", ttl_ms=MINUTE_MS)
    worker.join(about)
    (told,) = [each for each in queries.books(store).workers if each.id != "only"]
    assert (told.id, told.host, told.pid, told.version) == ("one:7:aa", "one", 7, "0.1.0")
    assert (told.threads, told.busy, told.configuration, told.seen_ms) == (8, 3, worker.digest, store.now_ms)
    worker.leave()
    assert [each.id for each in queries.books(store).workers] == ["only"]


def test_a_profile_is_carried_by_a_living_worker_that_has_it_as_it_was_published(store: Store) -> None:
    assert profile(store).carried
    Registration(store, configuration("f0"), worker="only", ttl_ms=MINUTE_MS).leave()
    assert not profile(store).carried
    push(store, number(1))
    assert why(store, 1).startswith("no worker lives")
    govern(store, configuration("f1"))
    assert profile(store).carried


# Since when the oldest waits


def test_the_oldest_that_waits_is_found_in_ready_in_split_and_in_retry(store: Store) -> None:
    assert profile(store).oldest_waiting_ms is None
    first = store.now_ms or 0
    push(store, number(1), number(2))
    go_on(store, MINUTE_MS)
    push(store, number(3))
    assert profile(store).oldest_waiting_ms == first  # in ready
    settle(store, sent(store, claim(store)), "split")
    assert profile(store).oldest_waiting_ms == first  # in split
    settle(store, sent(store, claim(store)), "retry", (store.now_ms or 0) + MINUTE_MS)
    attach(store, sent(store, claim(store)))
    attach(store, sent(store, claim(store)))
    assert profile(store).oldest_waiting_ms == first  # in retry
    attach(store, sent(store, claim(store)))
    assert profile(store).oldest_waiting_ms is None


def test_places_that_cancelled_numbers_left_at_the_head_hide_nothing(store: Store) -> None:
    store.pause_profile("support", "by hand")
    push(store, *(number(n) for n in range(5)))
    go_on(store, MINUTE_MS)
    push(store, number(9))
    store.cancel(("support", number(n)) for n in range(5))
    assert profile(store).oldest_waiting_ms == store.now_ms
    store.cancel([("support", number(9))])
    assert profile(store).oldest_waiting_ms is None


# Why a number waits


def test_what_was_paused_is_told(store: Store) -> None:
    push(store, number(1))
    store.pause_profile("support", "the PBX moves")
    assert why(store, 1).startswith("the profile support is paused by an operator: the PBX moves")
    store.pause_account("default", "the bill")
    assert why(store, 1).startswith("the account default is paused by an operator: the bill")


def test_an_open_breaker_is_told_with_its_end_and_its_probe(store: Store) -> None:
    push(store, number(1))
    batch = sent(store, claim(store))
    backs = (Disposition(number(1), "released"),)
    store.settle(
        batch.id, Settlement(batch.fingerprint, dispositions=backs, breaker=OpenBreaker(MINUTE_MS, "401 AUTH_FAILURE"))
    )
    assert "is open until" in why(store, 1)
    go_on(store, MINUTE_MS)
    assert why(store, 1).endswith("because of 401 AUTH_FAILURE; a probe (GET /v1/me) is due")
    store.claim(MINUTE_MS)
    store.probed("default")
    assert account(store).most_calls == 1  # half-open: one batch


def test_a_retry_and_the_batch_of_another_profile_are_told(store: Store) -> None:
    publish(store, size=2, wait_ms=0, profiles=("support", "sales"))
    store.push([delivery([("sales", number(1))])])
    sent(store, claim(store))
    push(store, number(1), number(2))
    claim(store)
    assert why(store, 1).startswith("another profile's batch has this number")
    push(store, number(3))
    settle(store, claim(store), "retry", (store.now_ms or 0) + MINUTE_MS)
    assert why(store, 3).startswith("its retry is due at")


def test_company_the_calls_at_once_and_the_rate_are_told(store: Store) -> None:
    publish(store, size=2, wait_ms=5_000, cap=1, interval_ms=MINUTE_MS)
    push(store, number(1))
    assert why(store, 1).startswith("it waits for company until")
    batch = sent(store, claim(store))
    push(store, number(2), number(3))
    assert why(store, 2) == "the account default has as many calls under way as it may at once (1)"
    attach(store, batch)
    assert why(store, 2).startswith("the rate of the account default lets it go about")


def test_a_canary_is_told_to_those_that_wait_for_it(store: Store) -> None:
    push(store, number(0))
    attach(store, sent(store, claim(store)))
    for n in (1, 2, 3):
        push(store, number(n))
        batch = sent(store, claim(store))
        dead = Disposition(number(n), "dead", dead_code="rejected_by_api", code="http_400")
        alike = RefusedAlike("400 BAD", (number(n),), "BAD: no such trunk")
        store.settle(batch.id, Settlement(batch.fingerprint, dispositions=(dead,), refused=alike))
    push(store, number(4))
    assert profile(store).canary == number(0)
    assert why(store, 4).startswith(f"the canary {number(0)} goes first")
    assert "turn" in why(store, 0)


def test_a_number_whose_call_may_have_arrived_is_in_doubt_also_once_it_is_cancelled(store: Store) -> None:
    push(store, number(1), number(2))
    settle(store, sent(store, claim(store)), "in_doubt", (store.now_ms or 0) + MINUTE_MS)
    assert entry(store, number(1)).in_doubt
    store.cancel([("support", number(1))])
    assert entry(store, number(1)).in_doubt
    attach(store, sent(store, claim(store)))
    assert not entry(store, number(2)).in_doubt


# The clock


def test_a_clock_that_stepped_back_is_told(store: Store) -> None:
    worker = Registration(store, configuration("f0"), worker="one", ttl_ms=MINUTE_MS)
    worker.join()
    go_on(store, -10 * MINUTE_MS)
    worker.beat()
    assert queries.books(store).clock_stepped == (10 * MINUTE_MS, store.now_ms)
    assert queries.books(store).now_ms == store.now_ms


@pytest.mark.parametrize("kind", ["retry", "in_doubt", "released"])
def test_what_was_reckoned_before_the_clock_stepped_back_is_put_right_by_as_much(store: Store, kind: str) -> None:
    push(store, number(1))
    batch = sent(store, claim(store))
    at_ms = batch.now_ms + 5_000
    go_on(store, -60 * MINUTE_MS)
    settle(store, batch, kind, at_ms)
    assert store.now_ms is not None
    assert entry(store, number(1)).next_attempt_ms == store.now_ms + 5_000
