"""The number event: what is read, what is refused, and that it comes back from the wire as it went."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidEvent, Mistake
from trunkline.events.event import NumberEvent, metadata_json, parse_event, to_wire
from trunkline.lifecycle import Refusal, RefusalCode

SPARSE = {"event_id": "evt_1", "number": "+14155550100"}


def mistakes(obj: object) -> dict[str, str]:
    with pytest.raises(InvalidEvent) as caught:
        parse_event(obj)
    return {mistake.place: mistake.message for mistake in caught.value.mistakes}


def test_an_event_needs_only_an_id_and_a_number() -> None:
    event = parse_event(SPARSE, default_source="csv")

    assert event == NumberEvent(event_id="evt_1", numbers=("+14155550100",), source="csv")
    assert event.profile is None
    assert event.occurred_at is None
    assert event.force is False


def test_a_whole_event_is_read_field_by_field() -> None:
    event = parse_event(
        {
            "version": 1,
            "event_id": "evt_1",
            "numbers": ["+14155550100", "2001"],
            "profile": "support",
            "occurred_at": "2026-11-22T13:00:00+01:00",
            "source": "billing",
            "metadata": {"customer": "42", "seats": 3, "rate": 0.5, "vip": True},
            "force": True,
        }
    )

    assert event.numbers == ("+14155550100", "2001")
    assert event.profile == "support"
    assert event.occurred_at == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC
    assert event.source == "billing"
    assert event.metadata == {"customer": "42", "seats": "3", "rate": "0.5", "vip": "true"}
    assert event.force is True


def test_null_is_the_same_as_leaving_the_key_out() -> None:
    nothing = dict.fromkeys(["numbers", "profile", "occurred_at", "source", "metadata", "force", "version"])

    assert parse_event({**SPARSE, **nothing}) == parse_event(SPARSE)
    assert parse_event({**SPARSE, "metadata": {"a": None, "b": "x"}}).metadata == {"b": "x"}


def test_an_event_is_told_of_all_its_mistakes_at_once() -> None:
    found = mistakes(
        {
            "version": 2,
            "numbers": ["+14155550100", 14155550100],
            "profil": "support",
            "occurred_at": "yesterday",
            "source": "my billing",
            "metadata": {"nested": {"a": 1}},
            "force": "yes",
        }
    )

    assert set(found) == {
        "version", "event_id", "numbers[1]", "profil", "occurred_at", "source", "metadata.nested", "force",
    }  # fmt: skip
    assert 'did you mean "profile"?' in found["profil"]
    assert "must be text in quotes" in found["numbers[1]"]


@pytest.mark.parametrize("obj", [None, [], "evt_1", 7, True])
def test_what_is_no_object_is_no_event(obj: object) -> None:
    assert "an event is a JSON object" in mistakes(obj)[""]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"event_id": ""}, "event_id"),
        ({"event_id": "x" * 201}, "event_id"),
        ({"event_id": "a\nb"}, "event_id"),
        ({"event_id": "\ud800"}, "event_id"),
        ({"event_id": 7}, "event_id"),
        ({"number": None}, "number"),
        ({"numbers": ["+14155550100"]}, "number"),
        ({"number": None, "numbers": []}, "numbers"),
        ({"number": None, "numbers": ["1"] * 1001}, "numbers"),
        ({"number": None, "numbers": "+14155550100"}, "numbers"),
        ({"profile": ""}, "profile"),
        ({"source": ""}, "source"),
        ({"source": "x" * 65}, "source"),
        ({"source": "ｂilling"}, "source"),
        ({"version": True}, "version"),
        ({"version": "1"}, "version"),
        ({"occurred_at": "2026-11-22T12:00:00"}, "occurred_at"),
        ({"occurred_at": "2026-11-22"}, "occurred_at"),
        ({"occurred_at": 1795348800}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00Z"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+23:59"}, "occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-23:59"}, "occurred_at"),
        ({"metadata": ["a"]}, "metadata"),
        ({"metadata": {str(key): "v" for key in range(33)}}, "metadata"),
        ({"metadata": {"": "v"}}, "metadata."),
        ({"metadata": {"k" * 65: "v"}}, "metadata." + "k" * 63 + "…"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"metadata": {"k": "\udfff"}}, "metadata.k"),
        ({"metadata": {"k": 10**5000}}, "metadata.k"),
        ({"metadata": {str(key): "é" * 250 for key in range(5)}}, "metadata"),
    ],
)
def test_a_field_out_of_bounds_is_refused_at_its_place(change: dict[str, object], place: str) -> None:
    assert list(mistakes({**SPARSE, **change})) == [place]


@pytest.mark.parametrize("stamp", ["2026-11-22T12:00:00Z", "2026-11-22t12:00:00z", "2026-11-22 14:00:00.000+02:00"])
def test_a_time_is_kept_in_utc(stamp: str) -> None:
    assert parse_event({**SPARSE, "occurred_at": stamp}).occurred_at == datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_an_event_cannot_be_wrong_wherever_it_is_made() -> None:
    with pytest.raises(InvalidEvent) as caught:
        NumberEvent(event_id="", numbers=(), occurred_at=datetime(2026, 1, 1))

    assert [mistake.place for mistake in caught.value.mistakes] == ["event_id", "numbers", "occurred_at"]


def test_an_event_cannot_be_changed() -> None:
    metadata = {"a": "1"}
    event = NumberEvent(event_id="e", numbers=("1",), metadata=metadata)
    metadata["a"] = "2"

    assert event.metadata == {"a": "1"}
    with pytest.raises(TypeError):
        event.metadata["a"] = "3"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.force = True  # type: ignore[misc]


def test_metadata_is_stored_as_compact_json_or_as_nothing() -> None:
    assert metadata_json({}) == ""
    assert metadata_json({"a": "ü", "b": "1"}) == '{"a":"ü","b":"1"}'


def test_a_refusal_can_be_printed_whatever_was_sent() -> None:
    refusal = Refusal("+1\ud800\x1b[2J" + "9" * 500, RefusalCode.invalid_number, "is not a phone number")

    answer = refusal.as_json()

    assert answer["code"] == "invalid_number"
    assert len(answer["number"]) == 80
    assert "\x1b" not in json.dumps(answer, ensure_ascii=False).encode().decode()


def test_a_mistake_moves_outwards_place_by_place() -> None:
    mistake = Mistake("numbers[1]", "is wrong")

    assert mistake.under("[3]") == Mistake("[3].numbers[1]", "is wrong")
    assert Mistake("[0]", "x").under("events").place == "events[0]"
    assert Mistake("", "x").under("[2]").place == "[2]"
    assert str(mistake) == "numbers[1]: is wrong"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["version", "event_id", "number", "numbers", "profile", "occurred_at", "source", "metadata", "force", "other"]
ANYTHING = JSON | st.dictionaries(st.sampled_from(KEYS), JSON | st.text(alphabet=st.characters()), max_size=9)
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20)
EVENTS = st.builds(
    NumberEvent,
    event_id=TEXT,
    numbers=st.lists(st.text(alphabet=st.characters(codec="utf-8")), min_size=1, max_size=5).map(tuple),
    profile=st.none() | TEXT,
    occurred_at=st.none()
    | st.datetimes(
        min_value=datetime(1971, 1, 1),
        max_value=datetime(9998, 1, 1),
        timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    ),
    source=st.text(alphabet="abcXYZ019._-", min_size=1, max_size=64),
    metadata=st.dictionaries(TEXT, st.text(alphabet=st.characters(codec="utf-8"), max_size=20), max_size=4),
    force=st.booleans(),
)


@given(EVENTS)
def test_an_event_comes_back_from_the_wire_as_it_went(event: NumberEvent) -> None:
    assert parse_event(json.loads(json.dumps(to_wire(event)))) == event


@given(ANYTHING)
def test_any_json_is_an_event_or_an_invalid_one(obj: object) -> None:
    try:
        event = parse_event(obj)
    except InvalidEvent:
        return
    assert parse_event(to_wire(event)) == event
