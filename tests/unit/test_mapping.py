"""Whatever a webhook holds, mapping makes valid events of it or says what it could not understand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.errors import InvalidEvent
from trunkline.events.event import MAX_EVENT_ID, MAX_NUMBERS, NumberEvent, parse_event, to_wire
from trunkline_producers.webhooks.expressions import compiled
from trunkline_producers.webhooks.mapping import (
    MAX_WEBHOOK_NUMBERS,
    NUMBER_CEILING,
    Case,
    EventId,
    Fetch,
    Mapped,
    event_id_of,
    map_items,
    metadata_of,
    moment,
    numbers_in,
)

NUMBER = "+14155550100"
any_text = st.text(st.characters())  # lone surrogates and all: JSON may carry them
leaves = st.none() | st.booleans() | st.integers() | st.integers(-(10**4000), 10**4000) | st.floats() | any_text
names = st.sampled_from(["number", "id", "at", "kind", "order"])
json_like = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | any_text, inner, max_size=5),
    max_leaves=15,
)
expressions = st.sampled_from(
    [
        *["number", "id", "at", "kind", "order", "@"],
        "number[].number",
        "[number, id]",
        "*",
        "sum(@)",
        "length(id)",
        "&id",
        "kind == 'x'",
        "to_number(number)",
        "{a: id}",
        "@[0]",
        "number || id",
        "ceil(at)",
    ]
).map(compiled)
event_ids = st.builds(EventId, st.none() | expressions, st.none()) | st.builds(EventId, st.none(), st.just("x-id"))
cases = st.builds(
    Case,
    number=expressions,
    match=st.none() | expressions,
    event_id=event_ids,
    occurred_at=st.none() | expressions,
    metadata=st.dictionaries(st.text("abc", min_size=1, max_size=64), expressions, max_size=8),
    notice=st.booleans(),
    fetch=st.none() | st.builds(Fetch, st.just("telnyx-porting-order"), expressions),
)


def case(**fields: Any) -> Case:
    made = {name: compiled(text) for name, text in fields.items() if isinstance(text, str)}
    return Case(**{"number": compiled("number"), **fields, **made})


def mapped(item: Any, **fields: Any) -> Mapped:
    return map_items([item], [case(**fields)], source="acme", headers={"x-id": "h1"})


def event(item: Any, **fields: Any) -> NumberEvent:
    found = mapped(item, **fields)
    assert found.faults == ()
    (only,) = found.events
    return only


@given(st.lists(json_like, max_size=4), st.lists(cases, max_size=3), st.dictionaries(st.just("x-id"), any_text))
@example([[10**4299 * 9, 10**4299 * 9]], [case(number="sum(@)")], {})
@example([10**4299], [case(number="@", fetch=Fetch("telnyx-porting-order", compiled("[@, @]|sum(@)")))], {})
def test_anything_by_any_cases_gives_valid_events_and_raises_nothing(
    items: list[Any], some: list[Case], headers: dict[str, str]
) -> None:
    found = map_items(items, some, source="acme", headers=headers)
    for made in (*found.events, *(thin.event for thin in found.thin)):
        assert parse_event(to_wire(made)) == made
    assert all(number.strip() for made in found.events for number in made.numbers)
    assert found.ignored <= len(items)
    for fault in found.faults:
        assert str(fault)


def nested(depth: int, inside: object) -> object:
    for _ in range(depth):
        inside = [inside]
    return inside


def test_numbers_are_found_however_deep_the_lists() -> None:
    assert event({"number": nested(50_000, NUMBER), "id": "1"}, event_id=EventId(compiled("id"))).numbers == (NUMBER,)


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (NUMBER, [NUMBER]),
        (14155550100, ["14155550100"]),
        (["a", [None, ["b"]], 3], ["a", "b", "3"]),
        (None, []),
        ([], []),
    ],
)
def test_numbers_are_text_whole_numbers_and_lists_of_them(value: object, numbers: list[str]) -> None:
    assert list(numbers_in(value)) == numbers


@pytest.mark.parametrize("value", [True, 1.5, {"a": 1}, [NUMBER, {}], NUMBER_CEILING, -NUMBER_CEILING])
def test_what_is_neither_is_a_mistake(value: object) -> None:
    with pytest.raises(InvalidEvent, match="number: is neither text nor a list of texts"):
        list(numbers_in(value))


def test_many_numbers_are_several_events_that_hold_each_once_in_their_order() -> None:
    numbers = [f"+1415{index:07}" for index in range(2 * MAX_NUMBERS + 1)]
    made = mapped({"number": numbers, "id": "evt"}, event_id=EventId(compiled("id"))).events
    assert [one.event_id for one in made] == ["evt", "evt#1000", "evt#2000"]
    assert [number for one in made for number in one.numbers] == numbers
    long = mapped({"number": numbers, "id": "x" * MAX_EVENT_ID}, event_id=EventId(compiled("id"))).events
    assert len({one.event_id for one in long}) == 3


def test_more_numbers_than_a_webhook_may_hold_are_a_mistake() -> None:
    (fault,) = mapped({"number": ["1"] * (MAX_WEBHOOK_NUMBERS + 1)}).faults
    assert str(fault) == "number: there are 100001; 100000 are the most of one webhook"


def test_an_event_without_a_number_is_a_mistake_that_says_where_it_was_looked_for() -> None:
    items: list[Any] = [{}, {"number": None}, {"number": ["", "  "]}, 7, None]
    for item in items:
        assert [str(fault) for fault in mapped(item).faults] == ["number: there is no number at number"]


def test_a_mistake_in_one_of_several_has_its_place_and_the_others_go_on() -> None:
    found = map_items([{"number": "1"}, {"number": {}}, 3, {"number": "2"}], [case()], source="acme")
    assert [one.numbers for one in found.events] == [("1",), ("2",)]
    assert [str(fault).partition(":")[0] for fault in found.faults] == ["[1].number", "[2].number"]


def test_the_first_case_that_matches_decides_and_none_is_ignored() -> None:
    some = [case(match="kind == 'gone'", notice=True), case(match="kind")]
    kinds: list[Any] = ["gone", "new", "", None, False, [], {}, 0]
    found = map_items([{"kind": kind, "number": NUMBER} for kind in kinds], some, source="acme")
    assert (found.leaving, len(found.events), found.ignored) == ((NUMBER,), 2, 5)


def test_an_order_is_fetched_and_its_numbers_make_the_event() -> None:
    fields = {"number": None, "fetch": Fetch("didww-order", compiled("order")), "event_id": EventId(compiled("id"))}
    (thin,) = mapped({"order": 7, "id": "evt"}, **fields).thin
    assert (thin.fetcher, thin.order) == ("didww-order", "7")
    assert [one.numbers for one in thin.with_numbers([NUMBER])] == [(NUMBER,)]
    assert [len(one.numbers) for one in thin.with_numbers(["1"] * 1500)] == [1000, 500]
    orders: list[Any] = [None, "", True, 1.5, {}, [1], 10**40]
    for order in orders:
        assert [str(f) for f in mapped({"order": order, "id": "evt"}, **fields).faults] == [
            "order: there is no id of an order at order"
        ]


@given(json_like, json_like)
def test_an_event_id_is_always_one_that_can_be_stored_and_the_same_for_the_same(found: object, item: object) -> None:
    made = event_id_of(found, item)
    assert NumberEvent(event_id=made, numbers=("1",)).event_id == made == event_id_of(found, item)


@pytest.mark.parametrize(
    ("found", "made"),
    [("evt_1", "evt_1"), (7, "7"), (["a", 7, "b"], "a:7:b"), ([True, {"x": 1}], 'true:{"x":1}'), (0, "0")],
)
def test_an_event_id_is_what_was_found_its_parts_joined(found: object, made: str) -> None:
    assert event_id_of(found, {}) == made


@pytest.mark.parametrize("found", [None, "", [], [None, ""], ["COMPLETE", None], [None, "COMPLETE", "t"]])
def test_an_event_id_that_is_not_whole_tells_different_contents_apart(found: object) -> None:
    one, same, other = (event_id_of(found, item) for item in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2}))
    assert one == same != other


def test_a_header_is_the_id_of_its_delivery_and_tells_its_events_apart() -> None:
    by_header = case(event_id=EventId(header="x-id"))
    items = [{"number": "1"}, {"number": "2"}]
    assert event({"number": "1"}, event_id=EventId(header="x-id")).event_id == "h1"
    several = map_items(items, [by_header], source="acme", headers={"x-id": "h1"}).events
    assert [one.event_id for one in several] == ["h1#0", "h1#1"]
    without = map_items(items, [by_header], source="acme").events
    assert len({one.event_id for one in without}) == 2


NO_TIMES: list[Any] = [
    "",
    "yesterday",
    None,
    True,
    [],
    {},
    -1,
    1e300,
    float("nan"),
    float("inf"),
    10**400,
    "9" * 400,
    "1969-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2026-11-22T12:00:00Z", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("2026-11-22T12:00:00+02:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T12:00:00", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("2026-11-22 12:00:00.123456789Z", datetime(2026, 11, 22, 12, microsecond=123456, tzinfo=UTC)),
        (1_790_000_000, datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)),
        (1_790_000_000_000, datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)),
        ("1790000000000", datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)),
        (1_790_000_000.5, datetime(2026, 9, 21, 14, 13, 20, 500_000, tzinfo=UTC)),
        *((value, None) for value in NO_TIMES),
    ],
)
def test_times_are_read_as_sources_write_them_and_what_is_none_is_left_out(
    value: object, read: datetime | None
) -> None:
    assert moment(value) == read


@given(json_like | st.floats() | st.datetimes(timezones=st.timezones()).map(str))
def test_any_value_is_a_time_that_an_event_may_have_or_none(value: object) -> None:
    NumberEvent(event_id="1", numbers=("1",), occurred_at=moment(value))


@given(st.dictionaries(st.text("abcdefg", min_size=1, max_size=64), json_like | any_text, max_size=40))
@example({f"key{index}": "é" * 512 for index in range(40)})
@example({f"key{index}": "\ud800\x00" * 300 for index in range(40)})
def test_metadata_is_always_within_the_bounds_of_an_event(found: dict[str, Any]) -> None:
    kept = metadata_of(found)
    assert NumberEvent(event_id="1", numbers=("1",), metadata=kept).metadata == kept
    assert kept.keys() <= found.keys()


def test_metadata_is_text_and_nothing_is_left_out() -> None:
    found = {"a": "x", "b": 7, "c": None, "d": [1, {"e": 2}], "f": False, "g": "y" * 600}
    assert metadata_of(found) == {"a": "x", "b": "7", "d": '[1,{"e":2}]', "f": "false", "g": "y" * 512}


PARTS: dict[str, Any] = {
    "occurred_at": "length(at)",
    "metadata": {"a": compiled("length(at)")},
    "event_id": EventId(compiled("length(at)")),
    "match": "length(at)",
    "number": "length(at)",
}


@pytest.mark.parametrize("name", PARTS)
def test_an_expression_that_fails_is_a_mistake_wherever_it_stands(name: str) -> None:
    found = mapped({"number": NUMBER, "at": 7}, **{name: PARTS[name]})
    assert [str(fault) for fault in found.faults] == ["length(at) can't be applied: JMESPathTypeError"]
