"""The log of ends: each entry once, with its latest end, for readers by a cursor and for the archive."""

from __future__ import annotations

import pytest

from support.store_steps import attach, claim, go_on, number, publish, push, sent, settle
from trunkline.lifecycle import State
from trunkline.store import Store, queries

DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def _published(store: Store) -> None:
    publish(store, size=1, wait_ms=0)


def attach_next(store: Store, *indices: int) -> None:
    for index in indices:
        push(store, number(index))
        attach(store, sent(store, claim(store)))


def read(store: Store, after: int = 0) -> list[str]:
    return [each.entry.number for each in queries.outcomes(store, after)]


def test_ends_are_told_in_their_order_after_a_cursor_and_in_pages(store: Store) -> None:
    attach_next(store, 1, 2)
    push(store, number(3))
    settle(store, sent(store, claim(store)), "dead", dead_code="poison")
    push(store, number(4))
    store.cancel([("support", number(4))])
    ends = queries.outcomes(store)
    assert [each.entry.state for each in ends] == [State.attached, State.attached, State.dead, State.dropped]
    assert read(store, ends[1].sequence) == [number(3), number(4)]
    assert [each.entry.number for each in queries.outcomes(store, ends[0].sequence, most=1)] == [number(2)]
    assert read(store, ends[3].sequence) == []


def test_an_entry_that_ends_again_moves_to_the_end_and_takes_no_more_room(store: Store) -> None:
    for _ in range(30):
        attach_next(store, 1, 2)
    assert read(store) == [number(1), number(2)]
    assert store._client.zcard(f"{store.prefix}ended") == 2


def test_what_waits_again_is_passed_over_until_its_next_end(store: Store) -> None:
    attach_next(store, 1, 2)
    after = queries.outcomes(store)[0].sequence
    push(store, number(2))
    assert read(store, after) == []
    attach(store, claim(store))
    assert read(store, after) == [number(2)]


def test_a_reader_that_is_ahead_of_a_restored_store_reads_from_the_beginning(store: Store) -> None:
    attach_next(store, 1, 2, 3)
    after = queries.outcomes(store)[-1].sequence
    store._client.flushdb()
    publish(store, size=1, wait_ms=0)
    attach_next(store, 5)
    assert read(store, after) == [number(5)]


def test_the_archive_waits_for_a_reader_that_notes_its_cursor(store: Store) -> None:
    attach_next(store, 1, 2)
    store._client.hset(f"{store.prefix}cursors", "crm", queries.outcomes(store)[0].sequence)
    go_on(store, 2 * DAY_MS)
    assert store.archive(1)[0] == 1
    assert read(store) == [number(2)]
    store._client.hset(f"{store.prefix}cursors", "crm", queries.outcomes(store)[0].sequence)
    assert store.archive(1)[0] == 1


def test_the_archive_goes_by_the_servers_clock_alone(store: Store) -> None:
    """It is told how long to keep what was closed, not a day that some host takes for the right one."""
    attach_next(store, 1)
    store.now_ms = None
    assert store.run("archive", 30 * 365 * DAY_MS, 100)[0] == 0


def test_what_has_a_place_left_in_a_paused_profile_is_looked_at_once_in_a_while(store: Store) -> None:
    push(store, number(1))
    store.pause_profile("support", "maintenance")
    store.cancel([("support", number(1))])
    go_on(store, 2 * DAY_MS)
    assert [store.archive(1) for _ in range(3)] == [(0, 1), (0, 0), (0, 0)]
    store.resume_profile("support")
    store.claim(1_000)
    go_on(store, 2 * DAY_MS)
    assert store.archive(1)[0] == 1
