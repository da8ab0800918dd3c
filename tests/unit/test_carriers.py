"""What carriers answer, read without a network: the documented samples, and whatever else may come."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.carrier_standins import ACCOUNT, number_sid, twilio_event, twilio_number
from support.examples import examples
from trunkline.http.retry_after import parse_retry_after
from trunkline_producers.carriers import (
    CarrierRefused,
    CarrierUnavailable,
    CarrierUnreadable,
    Page,
    bandwidth,
    didww,
    telnyx,
    twilio,
)
from trunkline_producers.carriers.inventory import Bought, Owned
from trunkline_producers.carriers.paging import walk
from trunkline_producers.carriers.parsing import international, moment, page_of, turned
from trunkline_producers.carriers.status import judge

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
T_HERE = "page%5Bnumber%5D=1&page%5Bsize%5D=2"
W_HERE = "PageSize=2"
B_HERE = "size=2&page=1"


def body(document: object) -> bytes:
    return json.dumps(document).encode()


# The documented samples


def test_telnyx_numbers_are_read_with_the_time_of_their_purchase() -> None:
    sample = {
        "data": [
            {"id": "1293384261075731499", "phone_number": "+19705555098", "status": "active", "tags": ["tag_1"],
             "customer_reference": "MY REF", "connection_id": 12, "purchased_at": "2019-10-23T18:10:00.000Z"},
            {"id": "2", "phone_number": "+19705555099", "status": "port_pending"},
        ],
        "meta": {"total_pages": 3, "total_results": 55, "page_number": 1, "page_size": 2},
    }  # fmt: skip
    said = {"connection_id": "12", "customer_reference": "MY REF"}
    bought = datetime(2019, 10, 23, 18, 10, tzinfo=UTC)
    assert telnyx.parse_numbers(body(sample), T_HERE) == Page(
        (Owned("+19705555098", "1293384261075731499", bought, said),), "page%5Bnumber%5D=2&page%5Bsize%5D=2"
    )


def test_a_porting_order_shows_its_numbers_which_the_documentation_writes_without_a_plus() -> None:
    order = {"data": {"phone_numbers": [{"phone_number": "13035550987"}], "porting_phone_numbers_count": 1}}
    assert telnyx.parse_porting_order(body(order)) == (("+13035550987",), 1)


def test_ported_numbers_of_other_orders_are_never_taken() -> None:
    items = [{"phone_number": "13035550987", "porting_order_id": order} for order in ("mine", "another", None)]
    page = telnyx.parse_ported(body({"data": items, "meta": {"total_pages": 1}}), T_HERE, "mine")
    assert page.numbers == (Owned("+13035550987"),)
    assert telnyx.parse_ported(body({"data": items, "meta": {"total_pages": 1}}), T_HERE, "third").numbers == ()


def test_twilio_numbers_that_take_no_calls_are_left_out() -> None:
    items = [twilio_number("+14155550100"), twilio_number("+14155550101", voice=False)]
    link = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json?PageSize=2&Page=1&PageToken=PA1"
    page = twilio.parse_numbers(body({"incoming_phone_numbers": items, "next_page_uri": link}), W_HERE)
    assert [owned.number for owned in page.numbers] == ["+14155550100"]
    assert page.numbers[0].since == datetime(2015, 7, 30, 23, 19, 4, tzinfo=UTC)
    assert page.numbers[0].id == number_sid("+14155550100")
    assert page.next == "PageSize=2&Page=1&PageToken=PA1"


def test_a_purchase_in_twilios_audit_log_names_the_number_by_its_sid() -> None:
    other = twilio_event("+14155550101") | {"event_type": "account.updated"}
    page = twilio.parse_events(body({"events": [twilio_event("+14155550100"), other], "meta": {}}), W_HERE)
    when = datetime(2026, 11, 22, 16, 48, 25, tzinfo=UTC)
    assert page.bought == (Bought("AE" + "14155550100".rjust(32, "0"), number_sid("+14155550100"), when),)
    assert page.next is None


BANDWIDTH_TNS = b"""<?xml version="1.0"?>
<TelephoneNumbersResponse>
    <TelephoneNumberCount> 5 </TelephoneNumberCount>
    <Links>
        <first>
            Link=&lt;https://dashboard.bandwidth.com:443/v1.0/tns?account=9500012&amp;page=1&amp;size=500&gt;;rel="first";
        </first>
        <next>
            Link=&lt;https://dashboard.bandwidth.com:443/v1.0/tns?page=2012082912&amp;size=500&gt;;rel="next";
        </next>
    </Links>
    <TelephoneNumbers>
        <TelephoneNumber>
            <City> CARY </City><State> NC </State><FullNumber> 9192381138 </FullNumber><Status> Inservice </Status>
        </TelephoneNumber>
        <TelephoneNumber><FullNumber>9192381144</FullNumber><Status>Aging</Status></TelephoneNumber>
        <TelephoneNumber><FullNumber>+35312345678</FullNumber><Status>Inservice</Status></TelephoneNumber>
    </TelephoneNumbers>
</TelephoneNumbersResponse>"""


def test_bandwidth_numbers_get_their_country_code_and_its_link_says_only_which_page_is_next() -> None:
    page = bandwidth.parse_numbers(BANDWIDTH_TNS, "accountId=12&size=2&page=1")
    assert page.numbers == (Owned("+19192381138", metadata={"city": "CARY", "state": "NC"}), Owned("+35312345678"))
    assert page.next == "accountId=12&size=2&page=2012082912"


def test_bandwidths_other_listing_is_bare_numbers() -> None:
    numbers = b"<TelephoneNumbers><Count>1</Count><TelephoneNumber>8043024183</TelephoneNumber></TelephoneNumbers>"
    said = b"<TNs><TotalCount>1</TotalCount><Links><first>(a link)</first></Links>" + numbers + b"</TNs>"
    assert bandwidth.parse_numbers(said, B_HERE) == Page((Owned("+18043024183"),), None)


def test_a_full_page_of_bandwidth_without_a_link_is_followed_by_the_next_by_count() -> None:
    said = b"<TNs><TelephoneNumber>8043024183</TelephoneNumber><TelephoneNumber>8043024184</TelephoneNumber></TNs>"
    assert bandwidth.parse_numbers(said, B_HERE).next == "size=2&page=2"
    assert bandwidth.parse_numbers(said, "size=2&page=8043024100").next is None


def test_an_error_that_bandwidth_answers_with_200_is_an_error() -> None:
    said = b"<TNs><R><ErrorCode>15511</ErrorCode><Description>The NPA_NXX is invalid</Description></R></TNs>"
    with pytest.raises(CarrierUnreadable, match="15511 The NPA_NXX is invalid"):
        bandwidth.parse_numbers(said, B_HERE)


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><TNs><TelephoneNumber>&a;</TelephoneNumber></TNs>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><TNs/>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1/">]><TNs>&a;</TNs>',
    ],
)
def test_xml_that_declares_anything_is_refused(document: str) -> None:
    with pytest.raises(CarrierUnreadable):
        bandwidth.parse_numbers(document.encode(), B_HERE)


def test_a_token_lasts_as_long_as_it_says_within_reason() -> None:
    assert bandwidth.parse_token(body({"access_token": "abc", "expires_in": 900})) == ("abc", 900.0)
    for odd in (0, -1, "soon", None, 10**12):
        assert bandwidth.parse_token(body({"access_token": "abc", "expires_in": odd})) == ("abc", 3600.0)
    for token in ("", None, "a\nb", "\u00fc"):
        with pytest.raises(CarrierUnreadable):
            bandwidth.parse_token(body({"access_token": token}))


def test_didww_numbers_that_are_blocked_or_about_to_go_are_left_out() -> None:
    items: list[dict[str, Any]] = [
        {"id": str(n), "type": "dids", "attributes": {"number": f"1647555000{n}"}} for n in range(4)
    ]
    items[1]["attributes"]["blocked"] = True
    items[2]["attributes"]["terminated"] = True
    page = didww.parse_numbers(body({"data": items}), "page%5Bnumber%5D=1&page%5Bsize%5D=4")
    assert [owned.number for owned in page.numbers] == ["+16475550000", "+16475550003"]
    assert page.next == "page%5Bnumber%5D=2&page%5Bsize%5D=4"


# Whatever else may come

TEXTS = st.one_of(st.text(max_size=30), st.sampled_from(["+14155550100", "PN" + "1" * 32, "ported", "2026-01-01"]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
NAMES = st.sampled_from(
    ["data", "meta", "total_pages", "phone_number", "incoming_phone_numbers", "next_page_uri", "events", "event_type",
     "sid", "resource_sid", "event_date", "attributes", "number", "capabilities", "voice", "phone_numbers", "id",
     "porting_phone_numbers_count", "purchased_at", "next_page_url", "access_token", "expires_in", "status"]
)  # fmt: skip
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=6)),
    max_leaves=30,
)
PARSERS: list[Callable[[bytes], object]] = [
    lambda said: telnyx.parse_numbers(said, T_HERE),
    lambda said: telnyx.parse_ported(said, T_HERE, "order"),
    telnyx.parse_porting_order,
    lambda said: twilio.parse_numbers(said, W_HERE),
    lambda said: twilio.parse_events(said, W_HERE),
    twilio.parse_number,
    lambda said: bandwidth.parse_numbers(said, B_HERE),
    bandwidth.parse_token,
    lambda said: didww.parse_numbers(said, T_HERE),
]


def reads_or_says_why(parse: Callable[[bytes], object], said: bytes) -> None:
    with suppress(CarrierUnreadable):
        parse(said)


@pytest.mark.parametrize("parse", PARSERS)
@given(said=st.binary(max_size=200))
def test_any_bytes_are_read_or_unreadable(parse: Callable[[bytes], object], said: bytes) -> None:
    reads_or_says_why(parse, said)


@pytest.mark.parametrize("parse", PARSERS)
@settings(max_examples=examples(50))
@given(document=DOCUMENTS)
def test_any_json_is_read_or_unreadable(parse: Callable[[bytes], object], document: object) -> None:
    reads_or_says_why(parse, body(document))


TAGS = st.sampled_from(["TNs", "TelephoneNumber", "FullNumber", "Links", "next", "Status", "ErrorCode", "Description"])
XML = st.recursive(
    st.text("0123456789+<>&;=?a \n", max_size=20).map(lambda text: text.replace("&", "&amp;").replace("<", "&lt;")),
    lambda inner: st.tuples(TAGS, st.lists(inner, max_size=4)).map(lambda el: f"<{el[0]}>{''.join(el[1])}</{el[0]}>"),
    max_leaves=20,
)


@given(XML)
def test_any_xml_is_read_or_unreadable(document: str) -> None:
    reads_or_says_why(lambda said: bandwidth.parse_numbers(said, B_HERE), document.encode())


def test_answers_that_are_deep_or_huge_are_unreadable() -> None:
    for parse in PARSERS:
        for said in (b"[" * 200_000, b'{"data":' * 100_000, b'{"data":[' + b"1" * 10_000 + b"]}", b"<a>" * 100_000):
            with pytest.raises(CarrierUnreadable):
                parse(said)


@pytest.mark.parametrize("parse", [PARSERS[0], PARSERS[1], PARSERS[8]])
def test_items_of_a_form_that_nobody_knows_are_an_error_and_not_an_empty_account(
    parse: Callable[[bytes], object],
) -> None:
    with pytest.raises(CarrierUnreadable, match="no item"):
        parse(body({"data": [{"telephone": "+14155550100"}], "meta": {"total_pages": 1}}))


@given(st.text(max_size=80), st.sampled_from(["https://evil.example", "", "//evil.example", "https://user:pw@evil"]))
def test_a_link_changes_the_page_and_nothing_else(value: str, host: str) -> None:
    link = f"{host}/elsewhere?Page=2&PageToken={value}&EventType=other&AccountSid=theirs"
    try:
        page = page_of(link, "Page", "PageToken")
    except CarrierUnreadable:
        return
    query = turned("PageSize=50&EventType=mine", **page)
    assert query.startswith("PageSize=50&EventType=mine&Page=2")
    assert "evil" not in query or "evil" in value
    assert set(page) <= {"Page", "PageToken"}


def test_a_link_that_names_no_page_is_unreadable() -> None:
    assert page_of(None, "Page") == page_of("", "Page") == {}
    for link in ("https://api.twilio.com/", 7, "https://[::1", "x" * 5000):
        with pytest.raises(CarrierUnreadable):
            page_of(link, "Page")


@pytest.mark.parametrize("parse", [telnyx.parse_numbers, didww.parse_numbers, bandwidth.parse_numbers])
@pytest.mark.parametrize("here", ["", "page=x&size=1", "page=-1&size=1", "size=9&page=\u0663", "%00", "page=1e9"])
def test_a_place_of_another_form_is_unreadable(parse: Callable[[bytes, str], Page], here: str) -> None:
    full = b"<TNs>" + b"<TelephoneNumber>8043024183</TelephoneNumber>" * 9 + b"</TNs>"
    json_page = body({"data": [{"id": "1", "phone_number": "+1", "attributes": {"number": "1"}}] * 9})
    with pytest.raises(CarrierUnreadable):
        parse(full if parse is bandwidth.parse_numbers else json_page, here)


@given(st.text(max_size=40))
def test_a_time_is_aware_or_none(value: str) -> None:
    found = moment(value)
    assert found is None or (found.tzinfo is not None and found.year >= 1970)


def test_times_come_in_two_forms() -> None:
    assert moment("2019-10-23T18:10:00.000Z") == datetime(2019, 10, 23, 18, 10, tzinfo=UTC)
    assert moment("Thu, 30 Jul 2015 23:19:04 +0000") == datetime(2015, 7, 30, 23, 19, 4, tzinfo=UTC)
    assert moment("2019-10-23T18:10:00") == datetime(2019, 10, 23, 18, 10, tzinfo=UTC)
    assert [moment(odd) for odd in ("1969-12-31T23:59:59Z", "9999-12-31T00:00:00Z", "soon", None, 5)] == [None] * 5


def test_digits_get_the_plus_that_a_carrier_leaves_out() -> None:
    assert international("13035550987") == "+13035550987"
    assert international("9192381138", country_code="1") == "+19192381138"
    assert international("35312345678", country_code="1") == "+35312345678"
    assert international("+441632960000", country_code="1") == "+441632960000"
    assert international(" sip:x ") == "sip:x"


# Statuses


def test_a_refused_key_is_the_operators_and_everything_passing_is_tried_again() -> None:
    for status in (200, 202, 204):
        assert judge("X", status, {}, b"", NOW) is None
    for status in (301, 302, 307, 400, 401, 403, 404, 410, 422):
        refused = judge("X", status, {}, b"because", NOW)
        assert isinstance(refused, CarrierRefused)
        assert refused.status == status
    for status in (408, 425, 429, 500, 502, 503, 504):
        passing = judge("X", status, {"retry-after": "7"}, b"", NOW)
        assert isinstance(passing, CarrierUnavailable)
        assert passing.retry_after_s == 7.0


def test_a_refusal_repeats_the_carriers_words_unless_they_are_about_the_key() -> None:
    assert "bad page" in str(judge("X", 400, {}, b'{"detail":\n"bad page"}\x00', NOW))
    assert "KEY" not in str(judge("X", 401, {}, b"KEY is wrong", NOW))
    assert len(str(judge("X", 400, {}, b"x" * 100_000, NOW))) < 300


@given(st.text(max_size=40))
def test_any_retry_after_is_bounded_or_none(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= 86_400


def test_retry_after_is_seconds_or_a_date() -> None:
    assert parse_retry_after("120", NOW) == 120.0
    assert parse_retry_after("Mon, 23 Nov 2026 12:01:00 GMT", NOW) == 60.0
    assert parse_retry_after("Mon, 23 Nov 2020 12:01:00 GMT", NOW) == 0.0
    assert parse_retry_after(None, NOW) is None


# Pages


def test_pages_that_lead_round_in_a_circle_are_noticed() -> None:
    with pytest.raises(CarrierUnreadable, match="circle"):
        list(walk(lambda here: Page((Owned(here),), "b" if here == "a" else "a"), "a"))


def test_a_page_that_comes_again_and_again_is_noticed() -> None:
    with pytest.raises(CarrierUnreadable, match="again and again"):
        list(walk(lambda here: Page((Owned("+14155550100"),), here + "x"), "a"))


def test_pages_without_an_end_are_noticed() -> None:
    with pytest.raises(CarrierUnreadable, match="more than 50"):
        list(walk(lambda here: Page((), here + "x"), "a", most=50))


def test_there_is_a_pause_between_pages_and_none_before_the_first() -> None:
    pauses: list[None] = []
    list(walk(lambda here: Page((), {"a": "b", "b": "c"}.get(here)), "a", pause=lambda: pauses.append(None)))
    assert len(pauses) == 2


# Imports


def test_reading_the_configuration_of_sources_loads_no_http_client() -> None:
    program = "import sys, trunkline_producers.sources; sys.exit('httpx' in sys.modules or 'tenacity' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
