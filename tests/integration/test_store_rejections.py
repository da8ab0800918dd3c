"""What could not be taken in is kept once, within bounds, as it came, until somebody lets go of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from conftest import NOON
from support.servers import HOST, running
from support.store_audit import audit
from support.store_steps import go_on, is_sound
from trunkline.store import Durability, Store, StoreUnavailable, queries, rejections
from trunkline.store.client import PREFIX
from trunkline.store.connection import CONNECTION
from trunkline.store.rejections import Rejection, RejectionsFull, StoredRejection

HEADERS = {"content-type": "application/json", "ce-type": "x"}


def rejection(
    index: int = 1, *, source: str = "telnyx", code: str = "invalid_event", body: bytes = b'{"data": {}}'
) -> Rejection:
    url = "https://hooks.example.com/hooks/telnyx?a=1"
    return Rejection(f"{index:016x}", source, code, "has no number", "POST", url, HEADERS, body)


def keep(
    store: Store, *several: Rejection, most_bytes: int = 1_000_000, comes_again: bool = True, renew: bool = True
) -> None:
    for each in several:
        rejections.keep(store, each, most_bytes=most_bytes, comes_again=comes_again, counts=True, renew=renew)


def refused(store: Store, *several: Rejection, most_bytes: int, comes_again: bool = True) -> bool:
    """Whether none of them was kept, and nothing was changed by that."""
    before = rejections.listed(store), rejections.bytes_kept(store), queries.books(store).events
    for each in several:
        with pytest.raises(RejectionsFull, match="max_kept_bytes"):
            keep(store, each, most_bytes=most_bytes, comes_again=comes_again)
    return (rejections.listed(store), rejections.bytes_kept(store), queries.books(store).events) == before


def ids(found: list[StoredRejection]) -> list[int]:
    return [int(kept.id, 16) for kept in found]


def test_a_rejection_comes_back_as_it_was_kept(store: Store) -> None:
    keep(store, rejection(body=bytes(range(256))))
    (kept,) = rejections.listed(store)
    assert (kept.source, kept.code, kept.message, kept.method) == ("telnyx", "invalid_event", "has no number", "POST")
    assert (kept.url, kept.headers) == ("https://hooks.example.com/hooks/telnyx?a=1", HEADERS)
    assert (kept.body, kept.size, kept.whole) == (bytes(range(256)), 256, True)
    assert (kept.first_ms, kept.at_ms, kept.times) == (store.now_ms, store.now_ms, 1)
    assert is_sound(store)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.text(max_size=50), st.dictionaries(st.text(max_size=9), st.text(max_size=9)))
def test_any_bytes_and_any_text_can_be_kept(store: Store, body: bytes, text: str, headers: dict[str, str]) -> None:
    keep(store, Rejection("0" * 16, "any", "invalid_event", text, "PUT", text, headers, body))
    (kept,) = rejections.get(store, ["0" * 16])
    assert (kept.body, kept.url, kept.headers) == (body, text, headers)
    assert is_sound(store)


def test_the_same_rejection_again_is_counted_and_takes_the_new_contents_and_time(store: Store) -> None:
    keep(store, rejection(1), rejection(2))
    first_ms = store.now_ms
    go_on(store, 5_000)
    keep(store, rejection(1, code="no_route", body=b"longer than it was before"))
    newest, other = rejections.listed(store)
    assert (newest.code, newest.body, newest.times) == ("no_route", b"longer than it was before", 2)
    assert (newest.first_ms, newest.at_ms) == (first_ms, store.now_ms)
    assert (other.id, other.times) == (rejection(2).id, 1)
    assert is_sound(store)


def test_the_newest_is_listed_first_though_the_clock_stands_still_or_steps_back(store: Store) -> None:
    keep(store, *(rejection(index) for index in (5, 3, 4)))
    go_on(store, -60_000)
    keep(store, rejection(1), rejection(2))
    assert ids(rejections.listed(store)) == [2, 1, 4, 3, 5]
    assert ids(rejections.listed(store, most=2)) == [2, 1]
    assert ids(rejections.listed(store, most=2, oldest_first=True)) == [5, 3]


def test_they_are_found_by_source_and_by_code(store: Store) -> None:
    keep(store, rejection(1), rejection(2, source="hubspot"), rejection(3, source="hubspot", code="no_route"))
    assert ids(rejections.listed(store, source="hubspot")) == [3, 2]
    assert ids(rejections.listed(store, source="hubspot", oldest_first=True)) == [2, 3]
    assert ids(rejections.listed(store, source="hubspot", code="invalid_event")) == [2]
    assert ids(rejections.listed(store, code="invalid_event", most=1)) == [2]
    assert ids(rejections.get(store, [f"{index:016x}" for index in (3, 9, 1, 3)])) == [3, 1]


def test_more_than_a_page_of_them_is_listed_whole(store: Store) -> None:
    keep(store, *(rejection(index) for index in range(120)))
    assert ids(rejections.listed(store)) == list(reversed(range(120)))


def test_none_is_ever_let_go_of_to_make_room(store: Store) -> None:
    keep(store, *(rejection(index, body=b"x" * 3_000) for index in range(3)), most_bytes=10_000)
    assert refused(
        store, rejection(3, body=b"x" * 3_000), rejection(4, source="crm", body=b"x" * 900), most_bytes=10_000
    )
    keep(store, rejection(5), most_bytes=10_000)  # smaller, and fits
    assert ids(rejections.listed(store)) == [5, 2, 1, 0]
    assert 9_000 < rejections.bytes_kept(store) <= 10_000
    assert is_sound(store)


def test_there_is_no_bound_on_how_many_are_kept(store: Store) -> None:
    keep(store, *(rejection(index, body=b"") for index in range(1_500)))
    assert len(rejections.listed(store, most=2_000)) == 1_500
    assert is_sound(store)


def test_room_that_was_made_is_used(store: Store) -> None:
    keep(store, rejection(1, body=b"x" * 9_000), most_bytes=10_000)
    assert refused(store, rejection(2, body=b"x" * 9_000), most_bytes=10_000)
    rejections.drop(store, [rejection(1).id])
    keep(store, rejection(2, body=b"x" * 9_000), most_bytes=10_000)
    assert ids(rejections.listed(store)) == [2]


def test_a_quarter_more_is_kept_of_what_never_comes_again(store: Store) -> None:
    once = [rejection(index, source="aircall", body=b"x" * 2_000) for index in range(2)]
    keep(store, rejection(9, body=b"x" * 9_500), most_bytes=10_000)
    keep(store, once[0], most_bytes=10_000, comes_again=False)
    assert refused(store, once[1], most_bytes=10_000, comes_again=False), "there is an end to that too"
    assert ids(rejections.listed(store)) == [0, 9]


def test_one_that_comes_again_is_renewed_although_there_is_no_room_for_more(store: Store) -> None:
    keep(store, rejection(1, body=b"x" * 9_000), rejection(2), most_bytes=10_000)
    keep(store, rejection(1, body=b"y" * 9_000), most_bytes=1_000)
    assert refused(store, rejection(1, body=b"x" * 9_001), most_bytes=1_000), "its older self stays"
    (kept, _) = rejections.listed(store)
    assert (kept.body, kept.times) == (b"y" * 9_000, 2)


def test_the_operator_is_warned_once_when_four_fifths_are_used(store: Store) -> None:
    with capture_logs() as lines:
        keep(store, rejection(1, body=b"x" * 7_000), most_bytes=10_000)
        assert (lines, rejections.filling(store, 10_000)) == ([], None)
        keep(store, rejection(2, body=b"x" * 1_000), rejection(3), most_bytes=10_000)
        assert [line["event"] for line in lines] == ["rejections_filling"]
        assert "of 10,000 bytes" in (rejections.filling(store, 10_000) or "")
        rejections.drop(store, [rejection(1).id])
        assert rejections.filling(store, 10_000) is None
        keep(store, rejection(1, body=b"x" * 7_000), most_bytes=10_000)
        assert len(lines) == 2, "and again when it is so again"


def test_what_an_older_release_kept_can_be_read_and_dropped(store: Store) -> None:
    keep(store, rejection(1), rejection(2, source="crm"))
    old = {
        "rejected_of:telnyx": {rejection(1).id: 1},
        "rejected_counts": {"telnyx": 1},
        "rejected_sizes": {"telnyx": 9},
    }
    for key, members in old.items():
        store._client.zadd(f"{PREFIX}{key}", members)
    assert is_sound(store)
    assert ids(rejections.listed(store, source="telnyx")) == [1]
    keep(store, rejection(1))
    assert store._client.exists(*(f"{PREFIX}{key}" for key in old)) == 0, "its indexes go as new ones come"
    assert rejections.drop(store, [rejection(1).id, rejection(2).id]) == 2
    assert is_sound(store)


def test_what_is_told_of_anew_takes_the_new_reason_and_keeps_its_place(store: Store) -> None:
    keep(store, rejection(1), rejection(1), rejection(2))
    (before,) = rejections.get(store, [rejection(1).id])
    go_on(store, 5_000)
    keep(store, rejection(1, code="no_route", body=b"another"), renew=False)
    newest, told = rejections.listed(store)
    assert (newest.id, told.code, told.body) == (rejection(2).id, "no_route", b"another")
    assert (told.first_ms, told.at_ms, told.times) == (before.first_ms, before.at_ms, 2)
    assert is_sound(store)


def test_what_is_told_of_anew_and_was_let_go_of_meanwhile_stays_away(store: Store) -> None:
    keep(store, rejection(1), renew=False)
    assert rejections.listed(store) == []
    assert is_sound(store)


def test_what_is_told_of_anew_stays_though_there_is_no_room_and_it_has_grown(store: Store) -> None:
    keep(store, *(rejection(index) for index in (1, 2, 3)))
    keep(store, rejection(1, body=b"x" * 9_800), most_bytes=100, renew=False)
    assert ids(rejections.listed(store)) == [3, 2, 1]
    assert is_sound(store)


def test_one_may_turn_out_to_be_of_another_source(store: Store) -> None:
    keep(store, rejection(1), rejection(2))
    keep(store, rejection(1, source="crm"), renew=False)
    assert ids(rejections.listed(store, source="crm")) == [1]
    assert ids(rejections.listed(store, source="telnyx")) == [2]
    assert is_sound(store)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from("abc"), st.integers(0, 900), st.sampled_from(("", "new", "gone")))
    )
)
def test_the_bound_and_the_books_hold_and_what_was_kept_stays_whatever_comes(
    store: Store, turns: list[tuple[int, str, int, str]]
) -> None:
    store._client.flushdb()
    there: set[str] = set()
    for index, source, size, what in turns:
        one = rejection(index, source=source, body=b"x" * size)
        if what == "gone":
            rejections.drop(store, [one.id])
            there.discard(one.id)
        else:
            with suppress(RejectionsFull):
                keep(store, one, most_bytes=4_000, renew=what == "new")
                there |= {one.id} if what == "new" else set()
        assert {kept.id for kept in rejections.listed(store)} == there
    assert is_sound(store)


def test_a_full_store_keeps_nothing_more_and_still_lets_go(store: Store) -> None:
    keep(store, rejection(1), rejection(2))
    store._client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable, match="out of memory"):
            keep(store, rejection(3))
        assert rejections.drop(store, [rejection(1).id, rejection(2).id]) == 2
    finally:
        store._client.config_set("maxmemory", "0")
    assert (rejections.bytes_kept(store), is_sound(store)) == (0, True)


def test_dropping_lets_go_of_what_is_there_and_says_how_many(store: Store) -> None:
    keep(store, *(rejection(index) for index in range(3)))
    assert rejections.drop(store, [rejection(index).id for index in (0, 2, 2, 7)]) == 2
    assert rejections.drop(store, [rejection(0).id]) == rejections.drop(store, []) == 0
    assert ids(rejections.listed(store)) == [1]
    rejections.drop(store, [rejection(1).id])
    assert rejections.bytes_kept(store) == 0
    assert is_sound(store)


def test_an_event_that_no_push_counted_is_counted_as_rejected(store: Store) -> None:
    rejections.keep(store, rejection(1), counts=True)
    rejections.keep(store, rejection(1), counts=True)
    rejections.keep(store, rejection(2), counts=False)
    assert queries.books(store).events == {"accepted": 0, "duplicate": 0, "rejected": 2}


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (("DEL", f"{PREFIX}rejected:{rejection().id}"), "rejections miscounted"),
        (("ZREM", f"{PREFIX}rejected", rejection().id), "rejected but not in rejected"),
        (("HSET", f"{PREFIX}rejected:{rejection().id}", "b", "x"), "rejection of"),
        (("HINCRBY", f"{PREFIX}books", "rejected_bytes", 1), "bytes of rejections miscounted"),
    ],
)
def test_the_audit_sees_an_index_and_a_count_that_do_not_agree(
    store: Store, command: tuple[str | int, ...], complaint: str
) -> None:
    keep(store, rejection(1), rejection(2))
    store._client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's
    assert any(complaint in sentence for sentence in audit(store))


def test_it_is_on_disk_where_a_push_would_be(tmp_path: Path) -> None:
    durable = {"appendonly": "yes", "appendfsync": "everysec"}
    with running("valkey", tmp_path, **durable) as server, server.client() as client:
        keep(Store(client, durability=Durability.waitaof), rejection())
        assert client.waitaof(1, 0, 0) == [1, 0], "nothing is left to wait for"
        server.process.kill()
        server.process.wait(30)
    with running("valkey", tmp_path, **durable) as server, server.client() as client:
        assert ids(rejections.listed(Store(client))) == [1]
        assert is_sound(Store(client))


def test_a_store_that_is_not_there_is_unavailable() -> None:
    with redis.Redis(host=HOST, port=1, **CONNECTION) as nowhere:
        for move in (lambda s: keep(s, rejection()), rejections.listed, rejections.bytes_kept):
            with pytest.raises(StoreUnavailable):
                move(Store(nowhere))


def test_the_ids_of_a_code_are_told_oldest_first(store: Store) -> None:
    for index, code in enumerate(("not_fetched", "no_route", "not_fetched")):
        store.now_ms = NOON + index
        rejections.keep(store, Rejection(f"{index:016x}", "crm", code, "why"), counts=False)
    assert rejections.ids_with(store, "not_fetched") == [f"{0:016x}", f"{2:016x}"]
    assert rejections.ids_with(store, "not_fetched", since_ms=NOON + 1) == [f"{2:016x}"]
    assert rejections.ids_with(store, "invalid_event") == []
