"""Reading back: what is there, and when being there proves that an unanswered call went through."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from support.examples import examples
from trunkline.bland.attach import (
    UNKNOWN,
    Listed,
    ListedNumber,
    NumberDetail,
    Proof,
    by_api_clock,
    has_unreadable_fields,
    present,
    proof,
    read_detail,
)
from trunkline.profiles.profile import Profile
from trunkline.schema import Secret

A = "+14155550100"
SINCE = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BEFORE, AFTER = "2026-11-22T11:59:59Z", "2026-11-22T12:00:01.250Z"
SECRET = Secret("env:SIP_PASSWORD", SecretStr("correct-horse"))
ENDPOINT = "sip:trunk.example.com"
HEADERS = {"direction": "inbound", "headers": [{"type": "custom", "key": "X-Name", "value": "name"}]}


def profile(*directions: dict[str, Any], trunk_id: str | None = None) -> Profile:
    return Profile.model_validate({"name": "support", "directions": list(directions), "trunk_id": trunk_id})


INBOUND = profile({"type": "inbound"})
BOTH = profile({"type": "inbound"}, {"type": "outbound", "sip_endpoint": ENDPOINT})


def shown(**directions: dict[str, object] | None) -> NumberDetail:
    detail = read_detail(200, body({"inbound": None, "outbound": None, **directions}))
    assert detail is not None
    return detail


def direction(updated_at: str = BEFORE, **fields: object) -> dict[str, object]:
    return {
        "number": A,
        "id": "x",
        "sip_endpoint": None,
        "updated_at": updated_at,
        "headers": None,
        "options": {},
        **fields,
    }


def body(data: object) -> bytes:
    return json.dumps({"data": data, "errors": None}).encode()


def proved(
    wanted: Profile, detail: NumberDetail | None, *, listed: Listed = UNKNOWN, known_absent: bool = False,
    since: datetime | None = SINCE,
) -> Proof:  # fmt: skip
    return proof(wanted, A, updated_since=since, known_absent=known_absent, listed=listed, detail=detail)


# Reading


def test_a_number_that_the_api_never_saw_is_two_nulls_or_404() -> None:
    assert read_detail(404, b"<html>") == NumberDetail()
    assert read_detail(200, body({"inbound": None, "outbound": None})) == NumberDetail()


def test_the_details_of_a_number_are_read_by_direction() -> None:
    detail = shown(outbound=direction(AFTER, sip_endpoint=ENDPOINT))
    assert detail.inbound is None
    assert detail.outbound is not None
    assert detail.outbound.updated_at == SINCE + timedelta(seconds=1.25)
    assert detail.directions == {"outbound"}


@pytest.mark.parametrize(
    ("status", "octets"),
    [(200, b""), (200, b"nope"), (200, body(None)), (200, body({})), (200, body([])), (200, body({"inbound": "yes"})),
     (500, body({"inbound": None})), (302, b""), (200, b"\xff"), (401, b"")],
)  # fmt: skip
def test_details_that_are_not_understood_are_none(status: int, octets: bytes) -> None:
    assert read_detail(status, octets) is None


# Proof


def test_nothing_read_proves_nothing() -> None:
    assert proved(INBOUND, None) == "unclear"
    assert proved(INBOUND, None, known_absent=True) == "unclear"


def test_a_number_that_is_not_there_is_absent() -> None:
    assert proved(INBOUND, NumberDetail()) == "absent"
    assert proved(INBOUND, None, listed=None) == "absent"
    assert proved(INBOUND, None, listed=ListedNumber(frozenset())) == "absent"


def test_a_number_with_one_direction_of_two_is_absent() -> None:
    assert proved(BOTH, shown(inbound=direction(AFTER)), known_absent=True) == "absent"
    assert proved(BOTH, None, listed=ListedNumber(frozenset({"inbound"})), known_absent=True) == "absent"


def test_the_details_count_before_the_listing() -> None:
    assert proved(INBOUND, shown(inbound=direction(AFTER)), listed=None) == "attached"
    assert proved(INBOUND, NumberDetail(), listed=ListedNumber(frozenset({"inbound"})), known_absent=True) == "absent"


def test_being_listed_is_proof_only_for_what_was_absent_before() -> None:
    listed = ListedNumber(frozenset({"inbound", "outbound"}), "trunk.example.com:5061")
    assert proved(BOTH, None, listed=listed) == "unclear"
    assert proved(BOTH, None, listed=ListedNumber(listed.directions, ENDPOINT), known_absent=True) == "attached"
    assert proved(BOTH, None, listed=ListedNumber(listed.directions), known_absent=True) == "attached"


def test_another_endpoint_in_the_listing_is_somebody_elses_configuration() -> None:
    listed = ListedNumber(frozenset({"inbound", "outbound"}), "sip:other.example.com")
    assert proved(BOTH, None, listed=listed, known_absent=True) == "unclear"


def test_an_update_of_every_direction_since_the_call_left_is_proof() -> None:
    unreadable = profile({"type": "inbound"}, {"type": "outbound"}, trunk_id="trk_1")
    assert proved(unreadable, shown(inbound=direction(AFTER), outbound=direction(AFTER))) == "attached"
    assert proved(unreadable, shown(inbound=direction(AFTER), outbound=direction(BEFORE))) == "unclear"
    assert proved(unreadable, shown(inbound=direction(AFTER), outbound=direction(AFTER)), since=None) == "unclear"
    assert proved(unreadable, shown(inbound=direction("?"), outbound=direction(AFTER))) == "unclear"


@pytest.mark.parametrize("skew_s", [0, 300, -300, 86_400])
@pytest.mark.parametrize("took_s", [0, 3])
def test_a_moment_is_never_earlier_by_the_apis_clock_than_it_was(skew_s: int, took_s: int) -> None:
    skew, asked = timedelta(seconds=skew_s), SINCE + timedelta(minutes=10, milliseconds=700)
    said = (asked + timedelta(seconds=took_s) + skew).replace(microsecond=0)
    moment = by_api_clock(SINCE, asked=asked, headers={"Date": format_datetime(said, usegmt=True)})
    assert moment is not None
    assert timedelta(seconds=1) <= moment - (SINCE + skew) <= timedelta(seconds=2 + took_s)


@pytest.mark.parametrize(
    "headers",
    [{}, {"date": ""}, {"date": "soon"}, {"date": "Sun, 99 Nov 2026"},
     {"date": "Sun, 22 Nov 2026 12:00:00 GMT", "age": "60"},
     {"date": "Sun, 22 Nov 2026 12:00:00 GMT, Sun, 22 Nov 2026 12:00:00 GMT"}],
)  # fmt: skip
def test_without_a_date_of_its_own_an_answer_does_not_tell_the_apis_clock(headers: dict[str, str]) -> None:
    assert by_api_clock(SINCE, asked=SINCE, headers=headers) is None


def test_agreement_in_every_field_is_proof_where_all_can_be_read() -> None:
    wanted = profile(
        {"type": "inbound", "headers": HEADERS, "options": {"port": 5061, "transport": "tls", "secure_media": True}},
        {"type": "outbound", "sip_endpoint": ENDPOINT},
    )
    options = {"auth_mode": "ip", "port": "5061", "transport": "TLS", "secure_media": True}
    agreeing = direction(headers=HEADERS, options=options)
    outbound = direction(sip_endpoint="Trunk.Example.com")
    assert proved(wanted, shown(inbound=agreeing, outbound=outbound)) == "attached"
    for other in (
        {"port": 5060},
        {"transport": "udp"},
        {"secure_media": False},
        {"auth_mode": "register"},
        {"port": None},
    ):
        detail = shown(inbound=direction(headers=HEADERS, options={**options, **other}), outbound=outbound)
        assert proved(wanted, detail) == "unclear", other
    assert proved(wanted, shown(inbound=direction(options=options), outbound=outbound)) == "unclear"


def test_agreement_is_no_proof_where_something_can_not_be_read() -> None:
    register = {"type": "inbound", "auth_mode": "register", "register_auth": {"username": "u", "password": SECRET}}
    with_password = {"type": "outbound", "sip_endpoint": ENDPOINT, "options": {"sip_password": SECRET}}
    for wanted, detail in (
        (profile(register), shown(inbound=direction(options={"auth_mode": "register"}))),
        (profile(with_password), shown(outbound=direction(sip_endpoint=ENDPOINT))),
        (profile({"type": "inbound"}, trunk_id="trk_1"), shown(inbound=direction())),
    ):
        assert has_unreadable_fields(wanted)
        assert proved(wanted, detail) == "unclear"
        assert proved(wanted, detail, known_absent=True) == "attached"
    assert not has_unreadable_fields(BOTH)


def test_a_field_that_disagrees_is_drift_and_never_proof() -> None:
    drifted = shown(inbound=direction(AFTER), outbound=direction(AFTER, sip_endpoint="sip:other.example.com"))
    assert proved(BOTH, drifted, known_absent=True) == "unclear"


def test_the_details_of_another_number_prove_nothing() -> None:
    assert proved(INBOUND, shown(inbound=direction(AFTER, number="+14155550199")), known_absent=True) == "unclear"


def test_a_direction_that_the_profile_does_not_have_does_not_matter() -> None:
    assert proved(INBOUND, shown(inbound=direction(AFTER), outbound=direction(sip_endpoint="sip:x"))) == "attached"


def test_a_number_is_present_with_all_directions_of_its_profile() -> None:
    both = frozenset({"inbound", "outbound"})
    assert present(BOTH, ListedNumber(both))
    assert present(INBOUND, ListedNumber(both))
    assert present(INBOUND, shown(inbound=direction()))
    assert not present(BOTH, ListedNumber(frozenset({"inbound"})))
    assert not any(present(BOTH, nothing) for nothing in (None, UNKNOWN, NumberDetail()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([A, AFTER]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["data", "numbers", "phone_number", "directions", "inbound", "outbound", "updated_at",
                         "options", "headers", "sip_endpoint", "number", "auth_mode", "port", "total"]),
        inner, max_size=5),
    max_leaves=20,
)  # fmt: skip
endpoint_profiles = st.sampled_from([INBOUND, BOTH, profile({"type": "inbound", "headers": HEADERS})])


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from([200, 404, 500]) | st.integers(), st.binary(max_size=60) | json_values.map(body))
def test_any_details_are_read_without_an_error(status: int, octets: bytes) -> None:
    read_detail(status, octets)


@settings(max_examples=examples(300), deadline=None)
@given(endpoint_profiles, st.dictionaries(st.sampled_from(["inbound", "outbound"]), json_values), st.booleans())
def test_any_details_prove_something_or_nothing(wanted: Profile, data: dict[str, object], known_absent: bool) -> None:
    detail = read_detail(200, body(data))
    found = proved(wanted, detail, known_absent=known_absent)
    assert found in ("attached", "absent", "unclear")
    assert found != "attached" or present(wanted, detail)
