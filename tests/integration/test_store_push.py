"""Taking events in: each once, whole or visibly refused, in one round trip."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from support.servers import HOST, Server
from support.store_steps import attach, claim, delivery, entry, go_on, is_sound, number, publish, push, sent, settle
from trunkline.bootstrap import examine_for_work, open_store
from trunkline.config.sections import StoreSettings
from trunkline.config.settings import Settings
from trunkline.lifecycle import Refusal, RefusalCode, State
from trunkline.store import Store, StoreError, StoreNewer, StoreUnavailable, queries
from trunkline.store.client import PREFIX
from trunkline.store.connection import CONNECTION
from trunkline.store.model import AccountRule, Dropped, Policies, ProfilePolicy, Pushed
from trunkline.store.registry import Registration

GOOD = ("support", number(1))
REFUSED = Refusal("+1", RefusalCode.invalid_number, "too short")


@pytest.fixture(autouse=True)
def _published(store: Store) -> None:
    publish(store)


def events(store: Store) -> dict[str, int]:
    return dict(queries.books(store).events)


def test_the_same_delivery_from_fifty_threads_at_once_is_one_event(store: Store) -> None:
    barrier = Barrier(50)
    same = delivery([GOOD, ("support", number(2))])

    def deliver(_: int) -> Pushed:
        barrier.wait()
        return store.push([same])[0]

    with ThreadPoolExecutor(50) as threads:
        results = list(threads.map(deliver, range(50)))
    assert sorted(result.accepted for result in results) == [0] * 49 + [2]
    assert events(store) == {"accepted": 1, "duplicate": 49, "rejected": 0}
    assert is_sound(store)


def test_an_event_id_is_remembered_for_seven_days(store: Store) -> None:
    store.push([delivery([GOOD], event_id="evt_once")])
    left = store._client.pttl(f"{PREFIX}seen:test:evt_once")
    assert 6.9 * 86_400_000 < int(str(left)) <= 7 * 86_400_000


def test_a_delivery_with_a_refused_number_leaves_no_mark(store: Store) -> None:
    twice = delivery([GOOD], event_id="evt_bad", refused=(REFUSED,))
    assert store.push([twice]) == [Pushed(False, 1, 0, ())]
    assert store.push([twice]) == [Pushed(False, 1, 1, ())], "looked at again; the good number coalesces"
    assert events(store) == {"accepted": 0, "duplicate": 0, "rejected": 2}


def test_a_number_of_a_profile_that_nobody_published_is_refused_and_the_others_are_taken(store: Store) -> None:
    mixed = delivery([GOOD, ("nobody", number(2))])
    assert store.push([mixed]) == [Pushed(False, 1, 0, ((1, RefusalCode.unknown_profile),))]
    publish(store, profiles=("support", "nobody"))
    assert store.push([mixed]) == [Pushed(False, 2, 1, ())]


def test_a_full_queue_refuses_whole_deliveries_and_takes_them_when_there_is_room(store: Store) -> None:
    store.max_waiting = 3
    push(store, number(1), number(2))
    late = delivery([("support", number(n)) for n in (3, 4)])
    assert store.push([late])[0].refused == ((0, RefusalCode.queue_full), (1, RefusalCode.queue_full))
    attach(store, sent(store, claim(store)))
    assert store.push([late]) == [Pushed(False, 2, 0, ())]
    assert is_sound(store)


def test_a_forced_delivery_is_a_duplicate_only_while_its_sender_may_repeat_it_unanswered(store: Store) -> None:
    forced = delivery([GOOD], event_id="evt_again", force=True)
    store.push([delivery([GOOD], event_id="evt_again")])
    assert [(result.accepted, result.duplicate) for result in store.push([forced, forced])] == [(1, False), (0, True)]


def test_a_waiting_number_takes_the_last_sixteen_event_ids_along(store: Store) -> None:
    for n in range(20):
        store.push([delivery([GOOD], event_id=f"along_{n}")])
    assert entry(store, number(1)).event_ids == tuple(f"along_{n}" for n in range(4, 20))


def test_an_attached_number_is_queued_to_be_read_back(store: Store) -> None:
    push(store, number(1))
    attach(store, sent(store, claim(store)))
    push(store, number(1))
    (leased,) = claim(store).numbers
    assert (leased.verify, leased.forced, leased.attached_under) == ("check", False, "f0")


def test_a_dead_number_is_revived_with_all_its_attempts(store: Store) -> None:
    push(store, number(1))
    settle(store, sent(store, claim(store)), "dead", dead_code="poison")
    push(store, number(1))
    assert [leased.attempts for leased in claim(store).numbers] == [0]
    assert list(queries.dead_letters(store)) == []


def test_a_forced_event_during_a_call_that_is_handed_back_sends_once(store: Store) -> None:
    push(store, number(1))
    batch = claim(store)
    push(store, number(1), force=True)
    settle(store, batch, "released")
    again = sent(store, claim(store))
    assert again.numbers[0].forced
    attach(store, again)
    assert entry(store, number(1)).state is State.attached


def test_an_event_that_comes_during_a_call_under_an_older_configuration_is_not_lost_to_its_end(store: Store) -> None:
    push(store, number(1))
    batch = sent(store, claim(store))
    publish(store, fingerprint="f1")
    push(store, number(1))
    attach(store, batch)
    (leased,) = claim(store).numbers
    assert (leased.verify, leased.attached_under) == ("check", "f0")


def test_a_push_is_one_round_trip(store: Store, server: Server) -> None:
    class Counted(redis.Connection):
        round_trips = 0

        def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
            Counted.round_trips += 1
            super().send_packed_command(*args, **kwargs)  # type: ignore[no-untyped-call]  # redis-py's

    pool = redis.ConnectionPool(connection_class=Counted, host=HOST, port=server.port, **CONNECTION)
    with redis.Redis.from_pool(pool) as client:
        client.ping()
        before = Counted.round_trips
        Store(client).push([delivery([("support", number(n)) for n in range(100)]) for _ in range(5)])
        assert Counted.round_trips == before + 3, "250 numbers each"


def test_a_server_that_forgot_the_scripts_is_told_them_again(store: Store) -> None:
    push(store, number(1))
    store._client.script_flush()
    push(store, number(2))
    store._client.script_flush()
    assert len(claim(store).numbers) == 2


def test_a_store_that_is_not_there_is_unavailable() -> None:
    with redis.Redis(host=HOST, port=1, **CONNECTION) as nowhere, pytest.raises(StoreUnavailable):
        push(Store(nowhere), number(1))


def used_memory(store: Store, which: str) -> int:
    info: dict[str, int] = store._client.info("memory")
    return info[which]


def fill(store: Store) -> None:
    for start in range(1_000, 100_000, 500):
        push(store, *(number(start + n) for n in range(500)))


def test_a_server_without_memory_takes_nothing_in_and_lets_everything_else_go_on(store: Store) -> None:
    push(store, *(number(n) for n in range(300)))
    batch = sent(store, claim(store))
    store._client.config_set("maxmemory", str(used_memory(store, "used_memory") + 200_000))
    try:
        with pytest.raises(StoreUnavailable, match="out of memory"):
            fill(store)
        assert is_sound(store)
        store._client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="out of memory"):
            push(store, number(999))
        attach(store, batch)
        settle(store, sent(store, claim(store)), "dead", dead_code="poison")
        late = ProfilePolicy("default", 100, 1_000, "f0", "i")
        store.publish(Policies({"default": AccountRule(100, 0)}, {"late": late}))  # as pause and resume do first
        assert store.pause_account("default", "full")
        assert store.resume_account("default")
        assert store.cancel([("support", number(299))]) == Dropped(1)
        assert store.drop_dead([("support", number(150))]) == Dropped(1)
        assert is_sound(store)
    finally:
        store._client.config_set("maxmemory", "0")
    assert is_sound(store)


def test_whoever_starts_while_the_server_is_out_of_memory_starts(server: Server, store: Store) -> None:
    """Workers, so that what waits makes room; receivers, so that they say 503 and not nothing at all."""
    configuration = Policies({"default": AccountRule(9, 0)}, {"support": ProfilePolicy("default", 2, 0, "f9", "io")})
    push(store, number(1))
    store._client.config_set("maxmemory", "1")
    try:
        opened = open_store(Settings(store=StoreSettings(url=SecretStr(server.url), acknowledge="memory")))
        opened.store.now_ms = store.now_ms
        examine_for_work(opened)
        assert opened.store.publish(configuration) == 0
        Registration(opened.store, configuration, worker="one", ttl_ms=60_000).join()
        assert claim(opened.store).fingerprint == "f9"
        opened.close()
    finally:
        store._client.config_set("maxmemory", "0")


@pytest.mark.parametrize("first", ["good", "unknown"])
def test_a_state_of_a_newer_program_fails_the_push_before_anything_of_it_is_written(store: Store, first: str) -> None:
    push(store, number(2))
    store._client.hset(f"{PREFIX}entry:support:{number(2)}", "s", "w")
    good, unknown = delivery([GOOD], event_id="evt_1"), delivery([("support", number(2))], event_id="evt_2")
    with pytest.raises(StoreNewer):
        store.push([good, unknown] if first == "good" else [unknown, good])
    assert queries.books(store).totals["accepted"] == 1
    assert store.push([good]) == [Pushed(False, 1, 0, ())], "no duplicate: it left no mark"


def test_an_attached_number_takes_less_than_700_bytes(store: Store) -> None:
    def attach_numbers(first: int, last: int) -> None:
        push(store, *(number(n) for n in range(first, last)))
        for _ in range(first, last, 100):
            attach(store, sent(store, claim(store)))
            go_on(store, 1)

    attach_numbers(0, 1_000)
    before = used_memory(store, "used_memory_dataset")
    attach_numbers(1_000, 6_000)
    assert (used_memory(store, "used_memory_dataset") - before) / 5_000 < 700


def test_profiles_of_a_producer_do_not_overwrite_those_of_a_worker(store: Store) -> None:
    theirs = Policies(
        {"default": AccountRule(1, 1_000)},
        {name: ProfilePolicy("default", 1, 0, "theirs", "i") for name in ("support", "sales")},
    )
    assert store.publish(theirs) == 1
    push(store, number(1))
    push(store, number(2), profile="sales")
    assert {claim(store).fingerprint, claim(store).fingerprint} == {"f0", "theirs"}


@pytest.mark.parametrize("first", ["good", "damaged"])
def test_a_damaged_policy_fails_the_push_before_anything_of_it_is_written(store: Store, first: str) -> None:
    store._client.set(f"{PREFIX}policy:damaged", "by hand")
    good, damaged = delivery([GOOD], event_id="evt_1"), delivery([("damaged", number(2))], event_id="evt_2")
    with pytest.raises(StoreError):
        store.push([good, damaged] if first == "good" else [damaged, good])
    assert store.push([good]) == [Pushed(False, 1, 0, ())]
    assert claim(store).numbers[0].number == GOOD[1]
