"""`trunkline audit` sees every kind of damage, and nothing in a sound store, however much moves while it looks."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.servers import Server
from support.store_audit import found_at_once, found_in_slices
from support.store_damage import DAMAGE, Damage, furnish
from support.store_steps import LEASE_MS, delivery, go_on, number, others, publish, push
from trunkline.store import Store, auditing, mending
from trunkline.store.client import LeaseLost
from trunkline.store.findings import WRONG, Audit
from trunkline.store.model import Batch, Settlement


def audited(store: Store) -> Audit:
    return auditing.audit(store, rest=lambda _: None)


def test_a_sound_store_with_numbers_in_every_state_and_place_is_sound(store: Store) -> None:
    furnish(store)
    assert found_at_once(store) == []
    assert audited(store) == Audit(())


def test_an_empty_store_is_sound(store: Store) -> None:
    assert audited(store) == Audit(())


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.what)
def test_the_damage_is_seen(store: Store, damage: Damage) -> None:
    damage.do(store, furnish(store))
    assert found_at_once(store) != []
    found = audited(store)
    assert {each.code for each in found.wrong} >= damage.codes
    assert found.undecided == ()
    assert all(str(each) for each in found.wrong)


def test_every_code_has_its_damage() -> None:
    assert {code for each in DAMAGE for code in each.codes} == set(WRONG)


def test_an_account_whose_turn_has_come_is_not_late_though_the_clock_stepped_back_a_little(store: Store) -> None:
    publish(store, wait_ms=0)
    push(store, number(1))
    store._client.hset(f"{store.prefix}account:default", "tat", (store.now_ms or 0) + 3_600_000)  # an hour ahead
    go_on(store, 5_000)
    store.resume_account("default")
    go_on(store, -239)
    assert found_at_once(store) == []
    assert audited(store) == Audit(())


def test_damage_in_many_numbers_is_seen_in_each(store: Store) -> None:
    publish(store)
    every = [number(index) for index in range(700)]
    push(store, *every)
    store._client.delete(f"{store.prefix}ready:support")
    assert {each.about[1] for each in audited(store).wrong if each.code == "no_place"} == set(every)


def test_it_changes_nothing(server: Server, store: Store) -> None:
    for damage in DAMAGE:
        with server.client(decode_responses=False) as raw:
            raw.flushdb()
            damage.do(store, furnish(store))
            before = {key: raw.dump(key) for key in raw.keys("*")}
            audited(store)
            assert {key: raw.dump(key) for key in raw.keys("*")} == before


def test_it_rests_for_as_long_as_it_worked(store: Store) -> None:
    rests: list[float] = []
    furnish(store)
    auditing.audit(store, rest=rests.append)
    assert len(rests) > 10
    assert all(0 < rest < 1 for rest in rests)


# While the system runs

PROFILES = ("support", "sales", "care")
NUMBERS = [number(index) for index in range(400)]
Work = Callable[[Store, random.Random], object]


class Busy:
    """Producers, workers and an operator at work on a store, until told to stop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stopping = threading.Event()
        self._failed: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=each) for each in enumerate((feed, work, work, meddle))
        ]
        self.moves = 0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
        assert self._failed == []

    def _run(self, seed: int, do: Work) -> None:
        chance = random.Random(seed)
        try:
            with self._server.client() as client:
                store = Store(client)
                while not self._stopping.is_set():
                    do(store, chance)
                    self.moves += 1
        except BaseException as error:
            self._failed.append(error)
            raise


def feed(store: Store, chance: random.Random) -> None:
    names = [(chance.choice(PROFILES), each) for each in chance.sample(NUMBERS, 20)]
    store.push([delivery(names, force=chance.random() < 0.2)])


def work(store: Store, chance: random.Random) -> None:
    batch = store.claim(LEASE_MS)
    if not isinstance(batch, Batch):
        return
    try:
        store.permit(batch.id, batch.account, len(batch.numbers))
    except LeaseLost:
        return
    if chance.random() < 0.6:
        numbers = tuple(leased.number for leased in batch.numbers)
        store.settle(batch.id, Settlement(batch.fingerprint, attached=numbers, healthy=True))
    else:
        kind, at = chance.choice(("retry", "dead", "split", "released", "in_doubt")), int(time.time() * 1000) + 5
        store.settle(batch.id, Settlement(batch.fingerprint, dispositions=others(batch, kind, at)))


def meddle(store: Store, chance: random.Random) -> None:
    names = [(profile, each) for profile in PROFILES for each in chance.sample(NUMBERS, 5)]
    moves: Any = (store.replay, store.drop_dead, store.cancel)
    chance.choice(moves)(names)
    store.archive(0, 20)
    time.sleep(0.005)


@pytest.fixture
def busy(server: Server) -> Iterator[Busy]:
    with server.client() as client:
        client.flushdb()
        store = Store(client)
        store.versions()
        publish(store, profiles=PROFILES, size=10, wait_ms=5)
        at_work = Busy(server)
        at_work.start()
        try:
            yield at_work
        finally:
            at_work.stop()


def test_nothing_false_is_said_while_the_system_runs(busy: Busy, server: Server) -> None:
    with server.client() as client:
        store = Store(client)
        audits = 0
        while audits < 4 or busy.moves < 300:
            assert found_in_slices(store) == []
            audits += 1
        busy.stop()
        assert found_at_once(store) == []
        assert auditing.audit(store) == Audit(())


def test_what_is_damaged_while_the_system_runs_is_said(busy: Busy, server: Server) -> None:
    with server.client() as client:
        store = Store(client)
        client.hincrby(f"{store.prefix}account:default", "run", 1)
        client.sadd(f"{store.prefix}inflight:default", "+19")
        client.zadd(f"{store.prefix}dead", {"support +19": 1})
        client.zadd(f"{store.prefix}retry:care", {"+19": 4_000_000_000_000})
        assert {each.code for each in audited(store).wrong} == {"run", "in_flight", "dead_only", "place_only"}


def test_it_is_mended_while_the_system_runs(busy: Busy, server: Server) -> None:
    with server.client() as client:
        store = Store(client)
        for index in range(6):
            client.hincrby(f"{store.prefix}account:default", "run", 1)
            client.sadd(f"{store.prefix}inflight:default", NUMBERS[index])
            client.rpush(f"{store.prefix}ready:{PROFILES[index % 3]}", NUMBERS[-index])
            client.lpop(f"{store.prefix}ready:{PROFILES[index % 3]}")
            client.hincrby(f"{store.prefix}books:{PROFILES[index % 3]}", "attached", 1)
            mending.repair(store, rest=lambda _: None)
        busy.stop()
        mending.repair(store)
        assert found_at_once(store) == []
        assert auditing.audit(store) == Audit(())


def test_no_slice_holds_the_server_for_longer_than_10_ms(valkey: Server) -> None:
    """Of 20,000 numbers, most of them waiting: what one slice costs does not grow with them."""
    with valkey.client() as client:
        client.flushdb()
        store = Store(client)
        store.versions()
        publish(store)
        for start in range(0, 20_000, 250):
            push(store, *(number(index) for index in range(start, start + 250)))
        client.lrem(f"{store.prefix}ready:support", 1, number(7_777))
        client.config_set("slowlog-log-slower-than", "10000")
        client.slowlog_reset()
        try:
            assert [each.code for each in audited(store).wrong] == ["no_place"]
            slow = client.slowlog_get()
        finally:
            client.flushdb()
    assert [each for each in slow if "inspect" in str(each["command"])] == []
