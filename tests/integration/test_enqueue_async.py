"""Enqueuing from asyncio over a real store: what comes at once shares a push, and everybody hears of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import redis

from support.receivers import PATIENCE_S, settings_with
from support.servers import HOST, Server
from support.store_audit import audit
from trunkline.bootstrap import policies_of
from trunkline.events.event import NumberEvent
from trunkline.events.intake import Delivery
from trunkline.lifecycle import RefusalCode
from trunkline.store import Store, StoreError, StoreUnavailable, connect, queries
from trunkline.store.client import PREFIX
from trunkline.store.connection import CONNECTION
from trunkline.store.model import Pushed
from trunkline_producers.enqueue import group_commit
from trunkline_producers.enqueue.async_enqueuer import AsyncEnqueuer
from trunkline_producers.enqueue.enqueuer import Enqueuer, Summary
from trunkline_producers.enqueue.group_commit import Committer, Overloaded

FILE = """
[store]
url = "{url}"
acknowledge = "memory"
[profiles.support]
[[profiles.support.directions]]
type = "inbound"
"""
PROFILES = ("support", "broken")
Work = Callable[[AsyncEnqueuer], Coroutine[Any, Any, Any]]


class Counting(Store):
    """A store that counts its pushes, and holds them up while it is told to."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._client)
        self.now_ms = store.now_ms
        self.pushes: list[int] = []
        self.reached, self.go = Event(), Event()
        self.go.set()

    def push(self, deliveries: Sequence[Delivery]) -> list[Pushed]:
        self.pushes.append(len(deliveries))
        self.reached.set()
        assert self.go.wait(PATIENCE_S)
        return super().push(deliveries)


@pytest.fixture
def counting(store: Store) -> Counting:
    return Counting(store)


def event(index: int, *numbers: str, profile: str = "support") -> NumberEvent:
    return NumberEvent(event_id=f"evt_{index}", numbers=numbers or (number(index),), profile=profile)


def number(index: int) -> str:
    return f"+1415{5_550_000 + index:07d}"


def run(store: Store, work: Work) -> Any:
    """Runs work with an enqueuer on an event loop of its own."""

    async def whole() -> Any:
        enqueuer = AsyncEnqueuer(Enqueuer.from_settings(store, settings_with({}, profiles=PROFILES)))
        try:
            return await work(enqueuer)
        finally:
            await enqueuer.close()

    return asyncio.run(whole())


@pytest.fixture
def configuration(valkey: Server, tmp_path: Path) -> Path:
    with valkey.client() as client:
        client.flushdb()
    path = tmp_path / "trunkline.toml"
    path.write_text(FILE.format(url=valkey.url))
    return path


def test_a_program_opens_an_enqueuer_by_its_configuration(valkey: Server, configuration: Path) -> None:
    async def program() -> Summary:
        async with AsyncEnqueuer.open(configuration) as enqueuer:
            summaries = await asyncio.gather(*(enqueuer.enqueue([event(index)]) for index in range(20)))
        return sum(summaries, Summary())

    assert asyncio.run(program()) == Summary(accepted=20)
    with valkey.client() as client:
        assert queries.books(Store(client)).totals["accepted"] == 20


def test_what_was_handed_in_is_stored_though_the_block_is_left_by_an_error(valkey: Server, configuration: Path) -> None:
    async def program() -> None:
        async with AsyncEnqueuer.open(configuration) as enqueuer:
            task = asyncio.create_task(enqueuer.enqueue([event(1)]))
            await asyncio.sleep(0)
            assert not task.done()
            raise RuntimeError("the program's own")

    with pytest.raises(RuntimeError, match="the program's own"):
        asyncio.run(program())
    with valkey.client() as client:
        assert queries.books(Store(client)).totals["accepted"] == 1


def test_a_store_that_is_not_there_is_said_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.toml"
    path.write_text(FILE.format(url=f"redis://{HOST}:1/0"))

    async def program() -> None:
        async with AsyncEnqueuer.open(path):
            raise AssertionError("opened")

    with pytest.raises(StoreUnavailable):
        asyncio.run(program())


def test_summaries_are_in_the_order_of_the_events_and_say_what_became_of_each(store: Store) -> None:
    events = [event(1), event(2, "nonsense"), event(3, number(3), number(1)), event(1), event(4, profile="nobody")]

    async def work(enqueuer: AsyncEnqueuer) -> list[Summary]:
        return await enqueuer.each(events)

    first, second, third, again, unknown = run(store, work)
    assert (first, again) == (Summary(accepted=1), Summary(duplicate=1))
    assert (third.accepted, third.coalesced) == (2, 1)
    assert [refusal.code for refusal in second.rejected] == [RefusalCode.invalid_number]
    assert [refusal.code for refusal in unknown.rejected] == [RefusalCode.unknown_profile]
    assert "known: broken, support" in unknown.rejected[0].message


def test_nothing_is_nothing(counting: Counting) -> None:
    async def work(enqueuer: AsyncEnqueuer) -> Summary:
        return await enqueuer.enqueue([])

    assert run(counting, work) == Summary()
    assert counting.pushes == []


def test_what_comes_while_a_push_is_under_way_shares_the_next_one(counting: Counting) -> None:
    async def work(enqueuer: AsyncEnqueuer) -> list[Summary]:
        counting.go.clear()
        tasks = [asyncio.create_task(enqueuer.enqueue([event(index)])) for index in range(100)]
        await asyncio.to_thread(counting.reached.wait, PATIENCE_S)
        counting.go.set()
        return await asyncio.gather(*tasks)

    assert run(counting, work) == [Summary(accepted=1)] * 100
    assert counting.pushes == [1, 99]


def test_a_push_is_bounded_however_much_waits(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "NUMBERS_A_PUSH", 20)

    async def work(enqueuer: AsyncEnqueuer) -> list[Summary]:
        return await asyncio.gather(*(enqueuer.enqueue([event(index)]) for index in range(31)))

    assert run(counting, work) == [Summary(accepted=1)] * 31
    assert counting.pushes == [1, 10, 10, 10]


def test_more_than_may_wait_is_sent_away_and_nothing_of_it_stored(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 10)

    async def work(enqueuer: AsyncEnqueuer) -> list[Summary | BaseException]:
        counting.go.clear()
        tasks = [asyncio.create_task(enqueuer.enqueue([event(index)])) for index in range(10)]
        await asyncio.to_thread(counting.reached.wait, PATIENCE_S)
        with pytest.raises(Overloaded):
            await enqueuer.enqueue([event(99)])
        counting.go.set()
        await asyncio.wait(tasks)
        assert await enqueuer.enqueue([event(99)]) == Summary(accepted=1)
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = run(counting, work)
    assert results[:5] == [Summary(accepted=1)] * 5
    assert all(isinstance(result, Overloaded) for result in results[5:])
    assert queries.books(counting).totals["accepted"] == 6


def test_one_who_stops_waiting_stops_neither_the_push_nor_the_others(counting: Counting) -> None:
    async def work(enqueuer: AsyncEnqueuer) -> list[Summary | BaseException]:
        counting.go.clear()
        tasks = [asyncio.create_task(enqueuer.enqueue([event(index)])) for index in range(4)]
        await asyncio.to_thread(counting.reached.wait, PATIENCE_S)
        tasks[0].cancel()  # under way
        tasks[2].cancel()  # waiting for the next push
        await asyncio.wait([tasks[0], tasks[2]])
        counting.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third, fourth = run(counting, work)
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(third, asyncio.CancelledError)
    assert second == fourth == Summary(accepted=1)
    assert queries.books(counting).totals["accepted"] == 4
    assert audit(counting) == []


def test_a_store_that_goes_away_is_said_to_everybody_who_waits(store: Store) -> None:
    async def work(enqueuer: AsyncEnqueuer) -> list[Summary | BaseException]:
        away = redis.Redis(host=HOST, port=1, **CONNECTION)
        store._client = away
        tasks = [enqueuer.enqueue([event(index)]) for index in range(5)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        away.close()
        return results

    assert [type(result) for result in run(store, work)] == [StoreUnavailable] * 5


def test_a_delivery_that_the_store_can_not_work_with_is_nobody_else_s_trouble(counting: Counting) -> None:
    async def work(enqueuer: AsyncEnqueuer) -> list[Summary | BaseException]:
        counting._client.set(f"{PREFIX}policy:broken", "by hand")
        events = [event(0), event(1, profile="broken"), *map(event, range(2, 8))]
        return await asyncio.gather(*(enqueuer.enqueue([each]) for each in events), return_exceptions=True)

    first, broken, *others = run(counting, work)
    assert isinstance(broken, StoreError)
    assert [first, *others] == [Summary(accepted=1)] * 7
    assert counting.pushes == [1, 7, 1, 1, 1, 1, 1, 1, 1]


def test_a_profile_is_looked_up_again_when_an_event_names_one_that_is_not_known(store: Store) -> None:
    async def work(enqueuer: AsyncEnqueuer) -> tuple[Summary, Summary]:
        store.publish(policies_of(settings_with({}, profiles=("later",))))
        return await enqueuer.enqueue([event(1, profile="later")]), await enqueuer.enqueue([event(2, profile="none")])

    known, unknown = run(store, work)
    assert known == Summary(accepted=1)
    assert [refusal.code for refusal in unknown.rejected] == [RefusalCode.unknown_profile]


def test_the_loop_runs_on_while_very_many_numbers_are_read(counting: Counting) -> None:
    async def work(enqueuer: AsyncEnqueuer) -> int:
        many = [event(index, *(number(index * 1_000 + each) for each in range(1_000))) for index in range(5)]
        task = asyncio.create_task(enqueuer.enqueue(many))
        turns = 0
        while not counting.pushes:
            await asyncio.sleep(0)
            turns += 1
        assert (await task).accepted == 5_000
        return turns

    assert run(counting, work) > 20


def test_a_committer_closes_at_once_where_nothing_waits(valkey: Server) -> None:
    async def whole() -> None:
        await Committer(Store(connect(valkey.url))).close()

    asyncio.run(whole())
