"""Intake: every number of an event is taken in once, on the profile it belongs to, or refused with a reason."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trunkline.events.event import NumberEvent
from trunkline.events.intake import Delivery, NumberRules, ProfileRule, take_in
from trunkline.events.routing import Route, When
from trunkline.lifecycle import RefusalCode

PROFILES = {name: ProfileRule(name, trunk=name == "trunked") for name in ("support", "uk", "trunked", "rest")}
ROUTES = (
    Route(when=When(source="pbx"), profile="trunked"),
    Route(when=When(source="hubspot", country="GB"), profile="uk"),
    Route(when=When(country="US"), profile="support"),
)


def taken(
    *numbers: str,
    profile: str | None = None,
    source: str = "api",
    routes: tuple[Route, ...] = ROUTES,
    sources: dict[str, dict[str, object]] | None = None,
) -> Delivery:
    event = NumberEvent(event_id="e", numbers=numbers, profile=profile, source=source)
    return take_in(event, rules=NumberRules(), profiles=PROFILES, routes=routes, sources=sources)


def refusals(delivery: Delivery) -> dict[str, str]:
    return {refusal.number: refusal.code for refusal in delivery.refused}


def test_a_number_goes_to_the_profile_its_event_names() -> None:
    assert taken("(415) 555-0100", profile="uk").numbers == (("uk", "+14155550100"),)


def test_else_to_its_sources_own_profile() -> None:
    delivery = taken("+442071838750", source="hubspot", sources={"hubspot": {"type": "hubspot", "profile": "rest"}})

    assert delivery.numbers == (("rest", "+442071838750"),)


def test_else_to_that_of_the_first_route_that_matches() -> None:
    assert taken("+442071838750", source="hubspot").numbers == (("uk", "+442071838750"),)
    assert taken("+14155550100", source="hubspot").numbers == (("support", "+14155550100"),)
    assert taken("+14150000000").numbers == (("support", "+14150000000"),)  # in no known range, and American


def test_the_numbers_of_one_event_may_go_different_ways() -> None:
    routes = (*ROUTES, Route(profile="rest"))

    assert taken("+442071838750", "+14155550100", source="hubspot", routes=routes).numbers == (
        ("uk", "+442071838750"),
        ("support", "+14155550100"),
    )
    assert taken("+4930123456", routes=routes).numbers == (("rest", "+4930123456"),)


def test_a_number_without_a_way_is_refused() -> None:
    assert refusals(taken("+442071838750")) == {"+442071838750": RefusalCode.no_route}
    assert refusals(taken("+442071838750", routes=())) == {"+442071838750": RefusalCode.no_route}


def test_what_no_route_can_read_is_an_invalid_number_unless_a_route_takes_anything() -> None:
    assert refusals(taken("2001")) == {"2001": RefusalCode.invalid_number}
    catch_all = (*ROUTES, Route(profile="trunked"))
    assert taken("2001", routes=catch_all).numbers == (("trunked", "2001"),)


def test_a_profile_that_nobody_knows_is_refused_with_a_hint() -> None:
    delivery = taken("+14155550100", "2001", profile="suport")

    assert refusals(delivery) == dict.fromkeys(["+14155550100", "2001"], RefusalCode.unknown_profile)
    assert 'did you mean "support"?' in delivery.refused[0].message


def test_only_a_profile_with_a_trunk_takes_extensions() -> None:
    assert taken("2001", "14155550100", source="pbx").numbers == (("trunked", "2001"), ("trunked", "14155550100"))
    assert refusals(taken("2001", profile="support")) == {"2001": RefusalCode.invalid_number}


def test_the_good_numbers_of_an_event_go_in_beside_the_refused() -> None:
    delivery = taken("+14155550100", "+1", "", "+14155550101", profile="support")

    assert delivery.numbers == (("support", "+14155550100"), ("support", "+14155550101"))
    assert refusals(delivery) == {"+1": RefusalCode.invalid_number, "": RefusalCode.invalid_number}
    assert all(refusal.message for refusal in delivery.refused)


def test_duplicates_within_an_event_are_folded() -> None:
    delivery = taken("+14155550100", "415-555-0100", "junk", "junk", profile="support")

    assert delivery.numbers == (("support", "+14155550100"),)
    assert len(delivery.refused) == 1


def test_a_delivery_carries_the_event_as_the_store_keeps_it() -> None:
    event = NumberEvent(
        event_id="evt_1",
        numbers=("+14155550100",),
        profile="support",
        occurred_at=datetime(2026, 11, 22, 12, 0, 0, 123999, tzinfo=UTC),
        source="billing",
        metadata={"customer": "42"},
        force=True,
    )

    assert take_in(event, rules=NumberRules(), profiles=PROFILES) == Delivery(
        source="billing",
        event_id="evt_1",
        occurred_ms=1795348800123,
        metadata='{"customer":"42"}',
        force=True,
        numbers=(("support", "+14155550100"),),
        refused=(),
    )


def test_an_event_without_a_time_or_metadata_says_so() -> None:
    delivery = taken("+14155550100")

    assert delivery.occurred_ms is None
    assert delivery.metadata == ""
    assert delivery.force is False


def test_the_rules_of_numbers_are_followed() -> None:
    event = NumberEvent(event_id="e", numbers=("020 7183 8750", "+14150000000"), profile="support")
    british = take_in(event, rules=NumberRules(region="GB", check="valid"), profiles=PROFILES)

    assert british.numbers == (("support", "+442071838750"),)
    assert refusals(british) == {"+14150000000": RefusalCode.invalid_number}
    assert NumberRules(region="").region is None


def test_a_source_has_a_region_of_its_own_for_numbers_without_a_country_code() -> None:
    sources: dict[str, dict[str, object]] = {
        "london": {"region": "GB"},
        "global": {"region": "", "profile": "rest"},
        "plain": {"profile": "rest"},
    }
    local = "020 7183 8750"

    assert taken(local, profile="rest", source="london", sources=sources).numbers == (("rest", "+442071838750"),)
    assert taken("(415) 555-0100", source="plain", sources=sources).numbers == (("rest", "+14155550100"),)
    assert refusals(taken(local, source="global", sources=sources)) == {local: RefusalCode.invalid_number}
    assert taken("+14155550100", source="global", sources=sources).numbers == (("rest", "+14155550100"),)


def test_routes_read_a_number_by_the_region_of_its_source() -> None:
    delivery = taken("020 7183 8750", source="hubspot", sources={"hubspot": {"region": "GB"}})

    assert delivery.numbers == (("uk", "+442071838750"),)


@pytest.mark.parametrize("region", ["UK", "us", "USA", "001", 1])
def test_a_region_is_one_that_phonenumbers_knows(region: object) -> None:
    with pytest.raises(ValidationError, match=r"two capital letters|must be text"):
        NumberRules.model_validate({"region": region})
    with pytest.raises(ValidationError, match=r"two capital letters|must be text"):
        When.model_validate({"country": region})


@given(
    st.lists(st.text(max_size=20) | st.sampled_from(["+14155550100", "2001"]), min_size=1, max_size=8),
    st.none() | st.sampled_from(["support", "trunked", "nobody"]),
    st.sampled_from(["api", "pbx", "hubspot"]),
)
def test_every_text_is_taken_or_refused_and_nothing_is_raised(
    numbers: list[str], profile: str | None, source: str
) -> None:
    delivery = taken(*numbers, profile=profile, source=source)

    assert 1 <= len(delivery.numbers) + len(delivery.refused) <= len(numbers)
    assert len(set(delivery.numbers)) == len(delivery.numbers)
    assert {refusal.number for refusal in delivery.refused} <= set(numbers)
