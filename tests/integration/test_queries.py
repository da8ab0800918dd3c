"""Long lists are read in pages: from where one left off, and no further than what was there when somebody asked."""

from __future__ import annotations

from itertools import islice

import pytest

from support.store_steps import claim, go_on, number, publish, push, sent, settle
from trunkline.store import Store, queries


def bury(store: Store, count: int) -> None:
    """So many dead letters, a hundred a moment."""
    publish(store, wait_ms=0)
    push(store, *(number(n) for n in range(count)))
    for _ in range(0, count, 100):
        settle(store, sent(store, claim(store)), "dead", dead_code="poison")
        go_on(store, 1)


@pytest.mark.parametrize("limit", [7, 100, 512])
def test_dead_letters_are_read_on_from_where_one_left_off(store: Store, limit: int) -> None:
    bury(store, 1_100)
    seen: list[str] = []
    after = None
    while True:
        letters = list(islice(queries.dead_letters(store, after=after), limit))
        seen += [each.number for each in letters]
        if len(letters) < limit:
            break
        after = queries.cursor_after(letters[-1])
    assert len(seen) == len(set(seen)) == 1_100
    assert seen == [each.number for each in queries.dead_letters(store)]


def test_what_is_replayed_meanwhile_moves_no_other_letter(store: Store) -> None:
    bury(store, 300)
    first = list(islice(queries.dead_letters(store), 50))
    store.replay((each.profile, each.number) for each in first)
    rest = [each.number for each in queries.dead_letters(store, after=queries.cursor_after(first[-1]))]
    assert sorted([*(each.number for each in first), *rest]) == [number(n) for n in range(300)]


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "bm90IGEgY3Vyc29y", "MTIz"])
def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(ValueError, match="is no cursor"):
        queries.dead_letters(store, after=cursor)


def test_numbers_that_came_after_one_asked_are_not_among_those_that_wait(store: Store) -> None:
    publish(store)
    push(store, number(1))
    asked = queries.now(store)
    go_on(store, 1)
    push(store, number(2))
    push(store, number(1))  # joins the entry that is there
    assert [each.number for each in queries.waiting(store, queued_by_ms=asked)] == [number(1)]
    assert len(list(queries.waiting(store))) == 2
