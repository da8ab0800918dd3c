"""`trunkline audit --repair` mends what can be proved, says what, and leaves the rest as it is."""

from __future__ import annotations

import pytest

from support.servers import Server
from support.store_audit import found_at_once
from support.store_damage import (
    ATTACHED,
    DAMAGE,
    DEAD,
    FAR,
    HOUR_MS,
    READY,
    RETRY,
    SPLIT,
    SPLIT_TOO,
    SUPERSEDED,
    UNDER_WAY,
    UNDER_WAY_TOO,
    Damage,
    furnish,
)
from support.store_steps import LEASE_MS, attach, claim, entry, go_on, number, numbers_of, publish, push, sent
from trunkline.lifecycle import State
from trunkline.store import Store, mending, queries
from trunkline.store.findings import MENDED, WRONG, Audit
from trunkline.store.mending import Repair
from trunkline.store.model import Batch, Idle

NOT_PROVED = {"no_state", "twice"}
HOPELESS = [each for each in DAMAGE if "no_state" in each.codes]
MENDABLE = [each for each in DAMAGE if each not in HOPELESS]


def repaired(store: Store) -> Repair:
    return mending.repair(store, rest=lambda _: None)


def test_every_code_is_mended_or_known_to_be_beyond_proof() -> None:
    assert set(MENDED) == set(WRONG) - NOT_PROVED


@pytest.mark.parametrize("damage", MENDABLE, ids=lambda each: each.what)
def test_the_damage_is_mended(store: Store, damage: Damage) -> None:
    damage.do(store, furnish(store))
    done = repaired(store)
    assert done.mended
    assert done.left == Audit(())
    assert found_at_once(store) == []
    assert queries.books(store).balanced
    assert repaired(store) == Repair((), Audit(()))


@pytest.mark.parametrize("damage", MENDABLE, ids=lambda each: each.what)
def test_everything_comes_to_its_end_after_that(store: Store, damage: Damage) -> None:
    damage.do(store, furnish(store))
    repaired(store)
    for profile in ("support", "other"):
        store.resume_profile(profile)
    go_on(store, HOUR_MS)
    store.reap()
    for _ in range(20):
        said = store.claim(LEASE_MS)
        if isinstance(said, Idle):
            if said.wait_ms is None:
                break
            go_on(store, max(1, said.wait_ms))
        else:
            assert isinstance(said, Batch)
            attach(store, sent(store, said))
    totals = queries.books(store).totals
    assert (totals["queued"], totals["attaching"]) == (0, 0)
    assert found_at_once(store) == []


@pytest.mark.parametrize("damage", HOPELESS, ids=lambda each: each.what)
def test_what_can_not_be_proved_is_left_and_told(store: Store, damage: Damage) -> None:
    damage.do(store, furnish(store))
    assert [each.code for each in repaired(store).left.wrong] == ["no_state"]


def test_a_sound_store_is_left_as_it_is(server: Server, store: Store) -> None:
    furnish(store)
    with server.client(decode_responses=False) as client:
        before = {key: client.dump(key) for key in client.keys("*")}
        assert repaired(store) == Repair((), Audit(()))
        assert {key: client.dump(key) for key in client.keys("*")} == before


def test_what_nobody_has_under_way_is_in_doubt_and_never_attached(store: Store) -> None:
    batch = furnish(store)
    store._client.delete(f"{store.prefix}batch:{batch.id}")
    assert f"{UNDER_WAY} of support is not attaching any more: it is in doubt" in "\n".join(repaired(store).mended)
    for each in (UNDER_WAY, UNDER_WAY_TOO):
        assert entry(store, each).state is State.queued
        assert entry(store, each).in_doubt


def test_a_batch_without_a_lease_is_taken_up(store: Store) -> None:
    batch = furnish(store)
    store._client.zrem(f"{store.prefix}leases", batch.id)
    repaired(store)
    assert store.reap().numbers == 2
    assert entry(store, UNDER_WAY).state is State.queued


def test_a_number_keeps_the_first_of_its_places(store: Store) -> None:
    publish(store)
    store.versions()
    push(store, number(1), number(2), number(3))
    store._client.rpush(f"{store.prefix}ready:support", number(1))
    repaired(store)
    assert store._client.lrange(f"{store.prefix}ready:support", 0, -1) == [number(1), number(2), number(3)]


def test_a_retry_without_a_place_goes_when_its_time_comes(store: Store) -> None:
    furnish(store)
    store._client.delete(f"{store.prefix}retry:support")
    repaired(store)
    at = entry(store, RETRY).next_attempt_ms
    assert at is not None
    assert store._client.zscore(f"{store.prefix}retry:support", RETRY) == at < FAR


def test_a_superseded_entry_that_gets_its_claim_takes_nothing_from_the_owner(store: Store) -> None:
    furnish(store)
    store._client.hset(f"{store.prefix}entry:support:{SUPERSEDED}", "q", FAR)
    store._client.hdel(f"{store.prefix}route:default:{SUPERSEDED}", "h")
    repaired(store)
    for direction in ("i", "o"):
        owner = str(store._client.hget(f"{store.prefix}route:default:{SUPERSEDED}", direction))
        assert owner.endswith(" other")


def test_books_that_were_wrong_say_what_is_there(store: Store) -> None:
    furnish(store)
    store._client.hset(f"{store.prefix}books:support", mapping={"attached": 0, "dead": 7})
    repaired(store)
    counts = next(each.counts for each in queries.books(store).profiles if each.profile == "support")
    assert (counts["attached"], counts["dead"]) == (1, 1)


def test_children_go_once_each_after_a_repair(store: Store) -> None:
    furnish(store)
    store._client.rpush(f"{store.prefix}split:support", f"{SPLIT}\n{SPLIT_TOO}")
    repaired(store)
    assert {*numbers_of(claim(store)), *numbers_of(claim(store))} == {SPLIT, SPLIT_TOO}
    assert entry(store, DEAD).state is State.dead
    assert entry(store, ATTACHED).state is State.attached
    assert entry(store, READY).state is State.queued
