"""Batches: full and of one profile, in turn, at the account's rate, and whole again after a failure."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from support.store_steps import (
    LEASE_MS,
    attach,
    claim,
    delivery,
    entry,
    go_on,
    govern,
    idle,
    is_sound,
    number,
    numbers_of,
    publish,
    push,
    sent,
    settle,
)
from trunkline.lifecycle import DeadCode, State
from trunkline.store import Store, StoreError, queries
from trunkline.store.client import LeaseLost
from trunkline.store.model import AccountRule, Batch, Disposition, Idle, Policies, ProfilePolicy, Settlement


def test_numbers_wait_for_company_no_longer_than_max_wait(store: Store) -> None:
    publish(store, wait_ms=1_000)
    push(store, number(1))
    go_on(store, 400)
    push(store, number(2))
    assert idle(store) == Idle(600)
    go_on(store, 600)
    assert numbers_of(claim(store)) == [number(1), number(2)]


def test_a_full_batch_goes_at_once(store: Store) -> None:
    publish(store, wait_ms=60_000)
    push(store, *(number(n) for n in range(250)))
    assert [len(claim(store).numbers), len(claim(store).numbers)] == [100, 100]
    assert idle(store) == Idle(60_000)


def test_profiles_of_an_account_take_turns(store: Store) -> None:
    names = ("a", "b", "c")
    publish(store, size=10, profiles=names)
    for name in names:
        push(store, *(number(n + 1_000 * names.index(name)) for n in range(40)), profile=name)
        go_on(store, 1)
    order = []
    for _ in range(12):
        order.append(claim(store).profile)
        go_on(store, 1)
    assert order == ["a", "b", "c"] * 4


def test_no_more_batches_are_out_than_the_account_allows(store: Store) -> None:
    publish(store, size=1, cap=2)
    push(store, number(1), number(2), number(3))
    first, _ = claim(store), claim(store)
    assert idle(store) == Idle(None), "the end of a batch will say so"
    attach(store, sent(store, first))
    assert numbers_of(claim(store)) == [number(3)]


@pytest.mark.parametrize("interval_ms", [10, 200, 2_500])
def test_requests_of_an_account_are_an_interval_apart(store: Store, interval_ms: int) -> None:
    publish(store, size=1, interval_ms=interval_ms)
    push(store, *(number(n) for n in range(12)))
    left = []
    for _ in range(12):
        batch = claim(store)
        while wait_s := store.permit(batch.id, batch.account, 1):
            go_on(store, max(1, round(wait_s * 1000)))
        left.append(store.now_ms or 0)
        attach(store, batch)
    assert abs((left[-1] - left[0]) - 11 * interval_ms) <= 10, "neither faster nor slower"
    assert all(later - sooner >= interval_ms - 10 for sooner, later in pairwise(left))


def test_a_second_request_of_a_batch_waits_for_the_rate_too(store: Store) -> None:
    publish(store, interval_ms=2_000)
    push(store, number(1))
    batch = claim(store)
    assert store.permit(batch.id, batch.account) == 0
    assert 1.9 < store.permit(batch.id, batch.account, 1) <= 2.0


def test_a_lease_that_ran_out_may_not_send(store: Store) -> None:
    publish(store)
    push(store, number(1))
    batch = claim(store)
    go_on(store, LEASE_MS)
    with pytest.raises(LeaseLost):
        store.permit(batch.id, batch.account, 1)


def test_numbers_that_fail_together_come_back_in_one_batch(store: Store) -> None:
    publish(store, size=10, wait_ms=1_000)
    push(store, *(number(n) for n in range(30)))
    batches = [sent(store, claim(store)) for _ in range(3)]
    at = (store.now_ms or 0) + 5_000
    for batch in batches:
        go_on(store, 50)
        failed, good = numbers_of(batch)[:3], numbers_of(batch)[3:]
        others = tuple(Disposition(each, "retry", at, code="http_503") for each in failed)
        store.settle(batch.id, Settlement("f0", attached=tuple(good), dispositions=others))
    go_on(store, 4_000)
    again = claim(store)
    assert len(again.numbers) == 9
    assert {leased.attempts for leased in again.numbers} == {1}
    assert is_sound(store)


def test_a_number_due_again_waits_for_company_and_goes_at_once_when_the_batch_is_full(store: Store) -> None:
    publish(store, size=3, wait_ms=1_000)
    push(store, number(1))
    settle(store, sent(store, claim(store)), "retry", (store.now_ms or 0) + 5_000)
    go_on(store, 5_000)
    assert idle(store) == Idle(1_000)
    push(store, number(2), number(3))
    assert sorted(numbers_of(claim(store))) == [number(n) for n in (1, 2, 3)]


def test_numbers_due_again_that_fill_a_batch_go_at_once(store: Store) -> None:
    publish(store, size=3, wait_ms=1_000)
    push(store, number(1), number(2), number(3))
    settle(store, sent(store, claim(store)), "retry", (store.now_ms or 0) + 5_000)
    assert idle(store) == Idle(5_000)
    go_on(store, 5_000)
    assert len(claim(store).numbers) == 3


def test_a_profile_with_many_numbers_due_again_still_takes_turns(store: Store) -> None:
    publish(store, size=10, profiles=("a", "b"))
    push(store, *(number(n) for n in range(50)), profile="a")
    at = (store.now_ms or 0) + 1_000
    for batch in [claim(store) for _ in range(5)]:
        settle(store, sent(store, batch), "retry", at)
    go_on(store, 10_000)
    push(store, *(number(1_000 + n) for n in range(30)), profile="b")
    order = []
    for _ in range(6):
        go_on(store, 1)
        order.append(claim(store).profile)
    assert order == ["a", "b"] * 3


def test_one_refused_number_in_a_hundred_is_found_in_sixteen_calls(store: Store) -> None:
    publish(store)
    push(store, *(number(n) for n in range(100)))
    culprit, calls = number(37), 0
    while entry(store, culprit).state is not State.dead:
        batch = sent(store, claim(store))
        calls += 1
        if culprit not in numbers_of(batch):
            attach(store, batch)
        elif len(batch.numbers) > 1:
            settle(store, batch, "split", code="http_400")
        else:
            settle(store, batch, "dead", dead_code=DeadCode.poison)
    while isinstance(rest := store.claim(LEASE_MS), Batch):
        calls += 1
        attach(store, sent(store, rest))
    assert calls <= 16
    assert queries.books(store).totals["attached"] == 99
    assert is_sound(store)


def test_what_was_split_is_never_merged_with_others(store: Store) -> None:
    publish(store, wait_ms=0)
    push(store, number(1), number(2))
    settle(store, sent(store, claim(store)), "split")
    push(store, number(3))
    assert [numbers_of(claim(store)) for _ in range(3)] == [[number(1)], [number(2)], [number(3)]]


def crash(store: Store, sends: bool = True) -> int:
    """The next batch's worker dies; how many numbers it had."""
    batch = claim(store)
    if sends:
        sent(store, batch)
    go_on(store, LEASE_MS)
    assert store.reap().batches == 1
    return len(batch.numbers)


def test_a_batch_whose_worker_died_goes_out_again_as_it_was_and_in_doubt(store: Store) -> None:
    publish(store, wait_ms=0)
    push(store, number(1), number(2))
    crash(store)
    push(store, number(3))
    again = claim(store)
    assert numbers_of(again) == [number(1), number(2)]
    assert {(leased.verify, leased.crashes, leased.attempts) for leased in again.numbers} == {("in_doubt", 1, 0)}


def test_a_batch_that_was_not_sent_when_its_worker_died_is_in_no_doubt(store: Store) -> None:
    publish(store)
    push(store, number(1))
    crash(store, sends=False)
    assert [leased.verify for leased in claim(store).numbers] == [""]


def test_two_crashes_split_a_batch_and_a_lone_numbers_third_is_a_dead_letter(store: Store) -> None:
    publish(store)
    push(store, *(number(n) for n in range(8)))
    assert [crash(store), crash(store), crash(store)] == [8, 8, 4]
    while isinstance(batch := store.claim(LEASE_MS), Batch):
        if number(7) not in numbers_of(batch):
            attach(store, sent(store, batch))
            continue
        go_on(store, LEASE_MS)
        store.reap()
    (letter,) = queries.dead_letters(store)
    assert (letter.number, letter.dead_code) == (number(7), DeadCode.crashed_worker)
    assert queries.books(store).totals["attached"] == 7
    assert is_sound(store)


def test_attempts_count_at_the_settle_and_not_for_what_is_handed_back(store: Store) -> None:
    publish(store, wait_ms=0)
    push(store, number(1))
    for kind, attempts in (("released", 0), ("retry", 1), ("in_doubt", 2), ("split", 2)):
        settle(store, sent(store, claim(store)), kind, store.now_ms or 0)
        assert entry(store, number(1)).attempts == attempts


def test_what_the_worker_does_not_speak_of_is_in_doubt_if_it_was_sent(store: Store) -> None:
    publish(store)
    push(store, number(1), number(2))
    batch = sent(store, claim(store))
    assert store.settle(batch.id, Settlement("f0", attached=(number(1),)))
    assert entry(store, number(2)).error_code == "not_told"
    assert [(leased.number, leased.verify) for leased in claim(store).numbers] == [(number(2), "in_doubt")]


def test_a_doubt_from_before_an_edit_is_no_proof_of_what_is_to_be_attached_now(store: Store) -> None:
    publish(store)
    push(store, number(1))
    settle(store, sent(store, claim(store)), "in_doubt", store.now_ms or 0)
    publish(store, fingerprint="f1")
    settle(store, claim(store), "released")
    (leased,) = claim(store).numbers
    assert (leased.verify, leased.forced) == ("in_doubt", True)
    assert is_sound(store)


def test_a_doubt_under_the_same_configuration_is_read_back(store: Store) -> None:
    publish(store)
    push(store, number(1))
    settle(store, sent(store, claim(store)), "in_doubt", store.now_ms or 0)
    publish(store, size=50)
    (leased,) = claim(store).numbers
    assert (leased.verify, leased.forced) == ("in_doubt", False)


def test_a_number_that_was_absent_before_an_edit_may_be_there_after_it(store: Store) -> None:
    publish(store)
    push(store, number(1))
    batch = sent(store, claim(store))
    said = Settlement("f0", dispositions=(Disposition(number(1), "retry", store.now_ms or 0),), absent=(number(1),))
    assert store.settle(batch.id, said)
    batch = claim(store)
    assert [leased.known_absent for leased in batch.numbers] == [True]
    settle(store, batch, "released")
    publish(store, fingerprint="f1")
    assert [leased.known_absent for leased in claim(store).numbers] == [False]


def test_what_was_absent_before_a_call_is_known_though_its_worker_died(store: Store) -> None:
    publish(store)
    push(store, number(1), number(2))
    batch = claim(store)
    while store.permit(batch.id, batch.account, 2, absent=(number(1),)):
        go_on(store, 100)
    go_on(store, LEASE_MS)
    store.reap()
    assert [(leased.number, leased.verify, leased.known_absent) for leased in claim(store).numbers] == [
        (number(1), "in_doubt", True),
        (number(2), "in_doubt", False),
    ]


def test_a_batch_settles_once(store: Store) -> None:
    publish(store)
    push(store, number(1))
    batch = sent(store, claim(store))
    said = Settlement("f0", attached=(number(1),))
    assert [store.settle(batch.id, said), store.settle(batch.id, said)] == [True, False]


def test_an_accounts_trouble_does_not_hold_up_another(store: Store) -> None:
    accounts = {"slow": AccountRule(1, 60_000), "fast": AccountRule(10, 0)}
    profiles = {name: ProfilePolicy(name, 1, 0, "f0", "io") for name in accounts}
    govern(store, Policies(accounts, profiles))
    for n in range(20):
        store.push([delivery([("slow", number(n))]), delivery([("fast", number(n))])])
    seen = Counter(
        batch.account for batch in iter(lambda: store.claim(LEASE_MS), Idle(None)) if isinstance(batch, Batch)
    )
    assert seen == {"slow": 1, "fast": 10}


def test_a_profile_that_moved_to_another_account_frees_the_slot_it_had(store: Store) -> None:
    accounts = {"old": AccountRule(1, 0), "new": AccountRule(1, 0)}
    stays = ProfilePolicy("old", 1, 0, "f0", "io")
    govern(store, Policies(accounts, {"moves": stays, "stays": stays}))
    push(store, number(1), profile="moves")
    batch = sent(store, claim(store))
    push(store, number(2), profile="stays")
    govern(store, Policies(accounts, {"moves": ProfilePolicy("new", 1, 0, "f1", "io"), "stays": stays}))
    assert idle(store) == Idle(None)
    attach(store, batch)
    assert claim(store).profile == "stays"
    assert is_sound(store)


@pytest.mark.parametrize("kind", ["full", "waiting", "leased", "nothing"])
def test_a_look_says_what_a_claim_would_find(store: Store, kind: str) -> None:
    publish(store, size=2, wait_ms=700)
    push(store, *(number(n) for n in range({"full": 4, "waiting": 1, "leased": 2, "nothing": 0}[kind])))
    if kind == "leased":
        claim(store)
    look = store.look(8)
    expected = {
        "full": (2, None, None),
        "waiting": (0, 700, None),
        "leased": (0, None, LEASE_MS),
        "nothing": (0, None, None),
    }
    assert (look.claimable, look.next_due_ms, look.next_lease_ms) == expected[kind]


def test_retries_that_are_due_leave_half_of_each_batch_to_what_is_fresh(store: Store) -> None:
    publish(store, size=4, wait_ms=0)
    again = [number(n) for n in range(12)]
    push(store, *again)
    for _ in range(3):
        settle(store, sent(store, claim(store)), "retry", (store.now_ms or 0) + 1)
    fresh = [number(n) for n in range(20, 24)]
    push(store, *fresh)
    go_on(store, 1)
    first, second, third = (numbers_of(claim(store)) for _ in range(3))
    assert [each for each in first + second if each in fresh] == fresh
    assert len([each for each in first + second if each in again]) == 4
    assert set(third) < set(again), "and take whole ones where nothing fresh is left"


def test_a_disposition_that_nobody_knows_settles_nothing(store: Store) -> None:
    publish(store)
    push(store, number(1))
    batch = sent(store, claim(store))
    with pytest.raises(StoreError, match="unknown kind: maybe"):
        settle(store, batch, "maybe")
    settle(store, batch, "retry")
    assert is_sound(store)
