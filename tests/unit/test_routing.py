"""Routing: a route takes the numbers for which all that it asks holds, and the first that takes one decides."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType
from pydantic import ValidationError

from trunkline.events.event import NumberEvent
from trunkline.events.intake import Delivery, NumberRules, ProfileRule, take_in
from trunkline.events.number_traits import TYPES, Traits
from trunkline.events.routing import Candidate, Route, When
from trunkline.lifecycle import RefusalCode
from trunkline.schema import mistakes_of

LONDON, LEEDS, BRITISH_MOBILE = "+442071838750", "+441132345678", "+447912345678"
FRISCO, NO_RANGE, TOLL_FREE = "+14155550100", "+14150000000", "+18005550100"
ALL = (LONDON, LEEDS, BRITISH_MOBILE, FRISCO, NO_RANGE, TOLL_FREE)
PROFILES = {name: ProfileRule(name, trunk=False) for name in ("asked", "rest", *"abc")}


def route(profile: str, **when: object) -> Route:
    return Route(when=When.model_validate(when), profile=profile)


def delivered(numbers: tuple[str, ...], routes: list[Route], event: NumberEvent | None = None) -> Delivery:
    event = event or NumberEvent(event_id="e", numbers=numbers)
    return take_in(event, rules=NumberRules(), profiles=PROFILES, routes=routes)


def taken(*numbers: str, **when: object) -> list[str]:
    """Those of the numbers that a route takes which asks this."""
    delivery = delivered(numbers, [route("asked", **when), route("rest")])
    assert delivery.refused == ()
    return [number for profile, number in delivery.numbers if profile == "asked"]


def wrong(**when: object) -> dict[str, str]:
    """The mistakes in what a route asks, by their places."""
    with pytest.raises(ValidationError) as caught:
        When.model_validate(when)
    return {mistake.place: mistake.message for mistake in mistakes_of(caught.value, "when")}


def test_a_route_may_ask_how_a_number_begins() -> None:
    assert taken(*ALL, prefix="+1415") == [FRISCO, NO_RANGE]
    assert taken(*ALL, prefix=["+4420", "+1800"]) == [LONDON, TOLL_FREE]
    assert taken("(415) 555-0100", "212 555 0100", prefix="+1415") == [FRISCO]


def test_a_route_may_ask_for_a_country() -> None:
    assert taken(*ALL, country="GB") == [LONDON, LEEDS, BRITISH_MOBILE]
    assert taken(*ALL, country="US") == [FRISCO, NO_RANGE, TOLL_FREE]
    assert taken("+14165550100", "+80012345678", country="CA") == ["+14165550100"]


def test_a_route_may_ask_for_an_area_by_its_description_or_a_part_of_it() -> None:
    assert taken(*ALL, region="San Francisco, CA") == taken(*ALL, region="ca") == [FRISCO]
    assert taken(*ALL, region=["leeds", "London"]) == [LONDON, LEEDS]
    assert taken(*ALL, region="Francisco") == []


def test_a_number_in_no_known_range_has_the_area_of_its_area_code() -> None:
    assert taken(*ALL, region="California") == [NO_RANGE]


def test_a_route_may_ask_for_a_type() -> None:
    assert taken(LONDON, BRITISH_MOBILE, TOLL_FREE, type="fixed_line") == [LONDON]
    assert taken(LONDON, BRITISH_MOBILE, TOLL_FREE, type=["mobile", "toll_free"]) == [BRITISH_MOBILE, TOLL_FREE]
    assert taken(*ALL, type="voip") == []


@pytest.mark.parametrize("kind", ["fixed_line", "mobile", "fixed_line_or_mobile"])
def test_where_digits_do_not_tell_a_line_from_a_mobile_the_number_is_both(kind: str) -> None:
    assert taken(FRISCO, type=kind) == [FRISCO]


def test_nothing_else_is_both_and_a_number_in_no_known_range_is_of_no_type() -> None:
    assert taken(*ALL, type="fixed_line_or_mobile") == [FRISCO]
    assert taken(NO_RANGE, type=list(TYPES)) == []


def test_every_type_that_phonenumbers_has_can_be_asked_for() -> None:
    assert set(TYPES.values()) == set(PhoneNumberType.values()) - {PhoneNumberType.UNKNOWN}


def test_a_route_may_ask_for_metadata_every_key_of_it() -> None:
    event = NumberEvent(event_id="e", numbers=(FRISCO,), metadata={"plan": "gold", "team": "west"})

    def taken_by(**metadata: str) -> bool:
        return delivered((), [route("asked", metadata=metadata)], event).numbers == (("asked", FRISCO),)

    assert taken_by(plan="gold")
    assert taken_by(plan="gold", team="west")
    assert not taken_by(plan="gold", team="east")
    assert not taken_by(plan="gold", tier="1")
    assert not taken_by(plan="Gold")


def test_all_that_a_route_asks_must_hold() -> None:
    assert taken(*ALL, country="GB", type="fixed_line", region="Leeds", prefix="+44") == [LEEDS]
    assert taken(*ALL, country="GB", type="fixed_line", region="Leeds", prefix="+1") == []
    assert taken(*ALL, country="GB", source="crm") == []


@pytest.mark.parametrize("when", [{"prefix": "+1"}, {"region": "CA"}, {"type": "mobile"}, {"country": "US"}])
def test_a_route_that_asks_of_the_number_takes_only_what_reads_as_one(when: dict[str, str]) -> None:
    assert [each.code for each in delivered(("2001",), [route("a", **when)]).refused] == [RefusalCode.invalid_number]
    routes = [route("a", **when), route("b")]
    assert [each.code for each in delivered(("2001",), routes).refused] == [RefusalCode.invalid_number]
    assert delivered((LEEDS, FRISCO), [route("a", prefix="+1"), route("b")]).numbers == (("b", LEEDS), ("a", FRISCO))


def test_a_number_is_read_once_however_many_routes_ask() -> None:
    candidate = Candidate("(415) 555-0100", "US", "possible")
    traits = candidate.traits()
    assert traits is not None
    assert candidate.traits() is traits
    assert candidate.number() is traits.number
    unread = Candidate("2001", "US", "possible")
    assert unread.traits() is None
    why = unread.unread
    assert why is not None
    assert (unread.traits(), unread.unread) == (None, why)


QUESTIONS = st.fixed_dictionaries(
    {},
    optional={
        "source": st.sampled_from(["api", "crm"]),
        "country": st.sampled_from(["GB", "US"]),
        "prefix": st.sampled_from(["+1", "+44", "+4420"]) | st.lists(st.sampled_from(["+1415", "+44"]), min_size=1),
        "region": st.sampled_from(["London", "CA", "California"]),
        "type": st.sampled_from(sorted(TYPES)) | st.lists(st.sampled_from(sorted(TYPES)), min_size=1),
        "metadata": st.fixed_dictionaries({"plan": st.sampled_from(["gold", "free"])}),
    },
)


@given(st.lists(QUESTIONS, max_size=4), st.sampled_from(ALL))
def test_the_first_route_decides_that_would_take_the_number_if_it_were_the_only_one(
    asked: list[dict[str, object]], number: str
) -> None:
    event = NumberEvent(event_id="e", numbers=(number,), metadata={"plan": "gold"})
    routes = [route("abc"[index % 3], **when) for index, when in enumerate(asked)]
    alone = [found for each in routes for found in delivered((), [each], event).numbers]

    assert list(delivered((), routes, event).numbers) == alone[:1]


@given(QUESTIONS, st.sampled_from(ALL))
def test_a_route_takes_what_each_of_its_questions_would_take(asked: dict[str, object], number: str) -> None:
    event = NumberEvent(event_id="e", numbers=(number,), metadata={"plan": "gold"})
    each = [delivered((), [route("a", **{name: what})], event).numbers for name, what in asked.items()]

    assert bool(delivered((), [route("a", **asked)], event).numbers) == all(each)


def test_what_can_not_be_asked_is_a_mistake_at_its_place() -> None:
    found = wrong(
        prefix=["+1415", "415", 44], type=["mobile", "moble"], region=["CA", ""], metadata={"plan": "gold", "tier": 1}
    )
    assert set(found) == {"when.prefix[1]", "when.prefix[2]", "when.type[1]", "when.region[1]", "when.metadata.tier"}
    assert "as in +1415" in found["when.prefix[1]"]
    assert 'did you mean "mobile"?' in found["when.type[1]"]
    assert "toll_free" in found["when.type[1]"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prefix", "+1 415"), ("prefix", "+"), ("prefix", "+0"), ("prefix", "+１"), ("prefix", 1415), ("prefix", []),
        ("type", "cell"), ("type", 1), ("type", []), ("type", {"mobile": True}),
        ("region", ""), ("region", " CA"), ("region", 94), ("region", []),
        ("metadata", "gold"), ("metadata", {}), ("metadata", ["gold"]), ("country", "UK"), ("source", ""),
    ],
)  # fmt: skip
def test_each_wrong_question_is_one_mistake_under_its_name(key: str, value: object) -> None:
    (place,) = wrong(**{key: value})
    assert re.fullmatch(rf"when\.{key}", place)


def test_a_question_that_is_none_is_said_to_be_one() -> None:
    assert 'did you mean "prefix"?' in wrong(prefixes="+1")["when.prefixes"]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({}, "anything"),
        ({"source": "crm", "country": "GB"}, "source crm, country GB"),
        ({"prefix": ["+1", "+44"], "metadata": {"plan": "gold"}}, "prefix +1 or +44, metadata plan gold"),
        ({"type": "voip", "region": "CA"}, "type voip, region CA"),
    ],
)
def test_what_a_route_asks_can_be_read(when: dict[str, object], said: str) -> None:
    assert str(When.model_validate(when)) == said


def test_routes_can_be_compared_and_held_in_sets() -> None:
    gold = {"prefix": ["+1"], "metadata": {"plan": "gold"}}
    assert len({route("a", **gold), route("a", **gold), route("a", prefix="+44")}) == 2
    asked = route("a", **gold)
    assert asked.when.asks_of_number
    assert asked == route("a", **gold), "what was worked out of it makes no difference"


GEOCODER_LOADED = """
import sys
from trunkline.events.event import NumberEvent
from trunkline.events.intake import NumberRules, ProfileRule, take_in
from trunkline.events.routing import Route, When

def loaded(**when):
    routes = (Route(when=When.model_validate(when), profile="a"),)
    event = NumberEvent(event_id="e", numbers=("+14155550100",))
    take_in(event, rules=NumberRules(), profiles={"a": ProfileRule("a", False)}, routes=routes)
    return "phonenumbers.geocoder" in sys.modules

print(loaded(country="US", prefix="+1", type="mobile"), loaded(region="CA", prefix="+44"), loaded(region="CA"))
"""


def test_the_geocoder_is_loaded_only_when_a_route_asks_for_an_area() -> None:
    told = subprocess.run([sys.executable, "-c", GEOCODER_LOADED], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False", "True"]


def test_a_number_knows_its_country() -> None:
    countries = {
        number: Traits(number).country for number in (FRISCO, "+14165550100", NO_RANGE, LONDON, "+80012345678")
    }
    assert list(countries.values()) == ["US", "CA", "US", "GB", "001"]
