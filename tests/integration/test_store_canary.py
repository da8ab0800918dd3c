"""Numbers refused alike: one that is attached, the canary, tells whether the profile or the numbers are to blame."""

from __future__ import annotations

import pytest

from support.store_audit import audit
from support.store_steps import (
    LEASE_MS,
    attach,
    claim,
    entry,
    go_on,
    govern,
    is_sound,
    number,
    numbers_of,
    publish,
    push,
    sent,
)
from trunkline.lifecycle import State
from trunkline.store import Store, queries
from trunkline.store.model import AccountRule, Batch, Disposition, Dropped, Idle, Policies, ProfilePolicy, RefusedAlike
from trunkline.store.model import Settlement as Said

CANARY = number(0)
FRESH = tuple(number(n) for n in range(1, 9))


@pytest.fixture(autouse=True)
def _published(store: Store) -> None:
    publish(store, size=1, wait_ms=0)


def called(store: Store, which: str, *, force: bool = False) -> Batch:
    push(store, which, force=force)
    return sent(store, claim(store))


def refuse(store: Store, batch: Batch) -> None:
    """The API refuses a lone number, as all of its profile."""
    (each,) = numbers_of(batch)
    dead = Disposition(each, "dead", dead_code="rejected_by_api", code="http_400")
    alike = RefusedAlike("400 BAD", (each,), "BAD: no such trunk")
    assert store.settle(batch.id, Said(batch.fingerprint, dispositions=(dead,), healthy=True, refused=alike))


def refuse_three(store: Store) -> None:
    """After a success."""
    attach(store, called(store, CANARY))
    for each in FRESH[:3]:
        refuse(store, called(store, each))


def is_paused(store: Store) -> bool:
    (book,) = queries.books(store).profiles
    return book.paused is not None


def state(store: Store, which: str) -> State:
    return entry(store, which).state


def test_a_profile_that_becomes_wrong_is_paused_by_an_attached_number_that_is_refused_too(store: Store) -> None:
    refuse_three(store)
    push(store, *FRESH[3:])
    canary = sent(store, claim(store))
    assert numbers_of(canary) == [CANARY]
    assert isinstance(store.claim(LEASE_MS), Idle), "nothing else of the profile goes meanwhile"
    refuse(store, canary)
    assert is_paused(store)
    assert state(store, CANARY) is State.attached
    assert {state(store, each) for each in FRESH} == {State.queued}, "those that were refused live again"
    assert is_sound(store)


def test_where_the_canary_is_attached_again_the_numbers_are_to_blame(store: Store) -> None:
    refuse_three(store)
    attach(store, sent(store, claim(store)))
    assert not is_paused(store)
    assert {state(store, each) for each in FRESH[:3]} == {State.dead}
    push(store, FRESH[3])
    assert numbers_of(claim(store)) == [FRESH[3]]


def test_a_call_that_refuses_many_alike_sends_one_canary(store: Store) -> None:
    publish(store, size=8, wait_ms=0)
    attach(store, called(store, CANARY))
    push(store, *FRESH)
    batch = sent(store, claim(store))
    dead = tuple(Disposition(each, "dead", dead_code="rejected_by_api") for each in FRESH)
    store.settle(
        batch.id, Said(batch.fingerprint, dispositions=dead, refused=RefusedAlike("INVALID", FRESH, "no endpoint"))
    )
    refuse(store, sent(store, claim(store)))
    assert is_paused(store)
    assert queries.books(store).totals["dead"] == 0


def test_a_canary_that_was_refused_by_itself_need_not_be_sent_again(store: Store) -> None:
    attach(store, called(store, CANARY))
    refuse(store, called(store, CANARY, force=True))
    for each in FRESH[:2]:
        refuse(store, called(store, each))
    assert is_paused(store)
    assert queries.books(store).totals["dead"] == 0


def test_a_canary_that_waits_for_its_check_is_waited_for(store: Store) -> None:
    """An import of everything each night: the number that would be asked is queued as well."""
    attach(store, called(store, CANARY))
    push(store, *FRESH[:4], CANARY)
    for _ in range(4):
        refuse(store, sent(store, claim(store)))
    assert not is_paused(store)
    refuse(store, sent(store, claim(store)))  # the API has it no more, so it is sent
    assert is_paused(store)


def test_that_a_number_is_still_there_is_no_success_of_the_profile(store: Store) -> None:
    attach(store, called(store, CANARY))
    attach(store, called(store, FRESH[7]))
    for each in FRESH[:3]:
        refuse(store, called(store, each))
        if each != FRESH[2]:
            push(store, CANARY)
            attach(store, claim(store))  # read back, and not sent
    refuse(store, sent(store, claim(store)))
    assert is_paused(store)


def test_a_cancel_of_all_that_waits_leaves_the_canary_attached(store: Store) -> None:
    refuse_three(store)
    push(store, FRESH[3])
    waiting = [(each.profile, each.number) for each in queries.waiting(store)]
    assert store.cancel(waiting) == Dropped(2)
    assert (state(store, CANARY), state(store, FRESH[3])) == (State.attached, State.dropped)
    assert is_sound(store)


def test_a_canary_that_waits_for_another_profiles_batch_leaves_no_place_behind(store: Store) -> None:
    each_way = {name: ProfilePolicy("default", 1, 0, "f0", way) for name, way in (("support", "i"), ("sales", "o"))}
    govern(store, Policies({"default": AccountRule(9, 0)}, each_way))
    attach(store, called(store, CANARY))
    push(store, CANARY, profile="sales")
    other = sent(store, claim(store))
    for each in FRESH[:3]:
        refuse(store, called(store, each))
    assert isinstance(store.claim(LEASE_MS), Idle)
    attach(store, other)
    assert numbers_of(claim(store)) == [CANARY]
    assert audit(store) == []


def test_numbers_refused_under_another_configuration_do_not_count(store: Store) -> None:
    attach(store, called(store, CANARY))
    for each in FRESH[:2]:
        refuse(store, called(store, each))
    publish(store, size=1, wait_ms=0, fingerprint="f1")
    go_on(store, 1)
    refuse(store, called(store, FRESH[2]))
    assert not is_paused(store)
    assert state(store, CANARY) is State.attached


def test_a_canary_whose_workers_die_is_no_dead_letter(store: Store) -> None:
    """It is attached; nobody but us asked for it."""
    refuse_three(store)
    for _ in range(3):
        assert numbers_of(sent(store, claim(store))) == [CANARY]
        go_on(store, LEASE_MS)
        store.reap()
    assert state(store, CANARY) is not State.dead
