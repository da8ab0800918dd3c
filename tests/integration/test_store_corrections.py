"""A wrong import is taken back: what it took is theirs again who had it, and what may have been sent is said."""

from __future__ import annotations

import pytest

from support.store_steps import (
    attach,
    claim,
    delivery,
    entry,
    go_on,
    govern,
    idle,
    is_sound,
    number,
    push,
    sent,
    settle,
)
from trunkline.lifecycle import State
from trunkline.store import Store, queries
from trunkline.store.model import AccountRule, Dropped, Policies, ProfilePolicy

N = number(1)
WRONG = [("wrong", N)]


@pytest.fixture(autouse=True)
def _published(store: Store) -> None:
    profiles = dict.fromkeys(("right", "wrong", "worse"), ProfilePolicy("default", 1, 0, "f0", "io"))
    govern(store, Policies({"default": AccountRule(9, 0)}, profiles))


def push_in_turn(store: Store, *profiles: str) -> None:
    for profile in profiles:
        push(store, N, profile=profile)
        go_on(store, 1)


def attach_next(store: Store) -> str:
    batch = sent(store, claim(store))
    attach(store, batch)
    return batch.profile


def states(store: Store) -> dict[str, State]:
    return {each.profile: each.state for each in queries.entries_of(store, N)}


def test_a_number_that_waited_goes_after_all_once_the_wrong_import_is_cancelled(store: Store) -> None:
    push_in_turn(store, "right", "wrong")
    assert states(store) == {"right": State.superseded, "wrong": State.queued}
    assert store.cancel(WRONG) == Dropped(1, given_back=1)
    assert attach_next(store) == "right"
    assert states(store) == {"right": State.attached, "wrong": State.dropped}
    assert is_sound(store)


def test_a_number_that_was_attached_is_that_again_if_the_wrong_import_never_went_out(store: Store) -> None:
    push_in_turn(store, "right")
    attach_next(store)
    push_in_turn(store, "wrong")
    assert store.cancel(WRONG) == Dropped(1, given_back=1)
    assert states(store)["right"] is State.attached
    assert is_sound(store)


def test_a_number_that_was_attached_is_sent_again_if_the_wrong_import_may_have_gone_out(store: Store) -> None:
    push_in_turn(store, "right")
    attach_next(store)
    push_in_turn(store, "wrong")
    settle(store, sent(store, claim(store)), "in_doubt", (store.now_ms or 0) + 1_000)
    assert store.cancel(WRONG) == Dropped(1, in_doubt=1, given_back=1)
    assert entry(store, N, "wrong").in_doubt, "and it is shown as that"
    (leased,) = claim(store).numbers
    assert leased.forced, "a read-back would show what the wrong import left"


def test_what_is_cancelled_during_its_call_gives_back_when_that_ends(store: Store) -> None:
    push_in_turn(store, "right", "wrong")
    batch = sent(store, claim(store))
    assert store.cancel(WRONG) == Dropped(under_way=1)
    settle(store, batch, "retry", 0)
    assert states(store) == {"right": State.queued, "wrong": State.dropped}
    assert attach_next(store) == "right"


def test_a_dead_letter_that_is_dropped_gives_back_too(store: Store) -> None:
    push_in_turn(store, "right", "wrong")
    settle(store, sent(store, claim(store)), "dead", dead_code="rejected_by_api")
    assert store.drop_dead(WRONG) == Dropped(1, given_back=1)
    assert attach_next(store) == "right"


def test_of_several_the_newest_that_is_left_gets_the_number(store: Store) -> None:
    push_in_turn(store, "right", "worse", "wrong")
    store.cancel(WRONG)
    assert states(store) == {"right": State.superseded, "worse": State.queued, "wrong": State.dropped}
    store.cancel([("worse", N)])
    assert attach_next(store) == "right"


def test_an_event_that_happened_before_the_wrong_import_counts_once_that_is_cancelled(store: Store) -> None:
    assert store.now_ms is not None
    push_in_turn(store, "wrong")
    store.cancel(WRONG)
    store.push([delivery([("right", N)], occurred_ms=store.now_ms - 60_000)])
    assert states(store)["right"] is State.queued


def test_what_goes_back_to_a_paused_profile_waits_there(store: Store) -> None:
    push_in_turn(store, "right", "wrong")
    store.pause_profile("right", "maintenance")
    assert store.cancel(WRONG) == Dropped(1, given_back=1)
    assert states(store)["right"] is State.queued
    idle(store)
    store.resume_profile("right")
    assert attach_next(store) == "right"
