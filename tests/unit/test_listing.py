"""The account's listing as it comes in: read in every shape, bounded whatever comes, and only whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from trunkline.bland.attach import ListedNumber, Listing, ListingReader, ListingUnusable
from trunkline.bland.attach.listing import MAX_ITEM_BYTES

A, B = "+14155550100", "+14155550101"
BOTH, INBOUND = ListedNumber(frozenset({"inbound", "outbound"})), ListedNumber(frozenset({"inbound"}))


def body(data: object) -> bytes:
    return json.dumps({"data": data, "errors": None}).encode()


def read(octets: bytes, *, wanted: set[str] | None = None, step: int = 7, **more: Any) -> Listing:
    reader = ListingReader(wanted, **more)
    for start in range(0, len(octets), step):
        reader.feed(octets[start : start + step])
    return reader.listing()


def item(number: object, **more: object) -> dict[str, object]:
    return {"phone_number": number, "directions": ["inbound", "outbound"], "sip_endpoint": None, **more}


def test_a_listing_is_read_by_number() -> None:
    endpoint = "sip:trunk.example.com"
    numbers = [
        {"phone_number": A, "directions": ["inbound", "outbound"], "sip_endpoint": endpoint, "health_status": "?"},
        {"phone_number": "+1 (415) 555-0101", "directions": ["Inbound"], "sip_endpoint": None},
        {"phone_number": "2001", "directions": [{"type": "outbound"}]}, {"number": 2003, "directions": "inbound"},
        {"phone_number": "2002", "directions": None}, None, 7, {"phone_number": None}, [], "x",
    ]  # fmt: skip
    listing = read(body({"numbers": numbers}))
    assert listing.get(A) == ListedNumber(frozenset({"inbound", "outbound"}), endpoint)
    assert listing.get(B) == INBOUND
    assert listing.get("2001") == ListedNumber(frozenset({"outbound"}))
    assert listing.get("2002") == ListedNumber(frozenset())
    assert listing.get("2003") == INBOUND
    assert listing.get("2004") is None


@pytest.mark.parametrize(
    "octets",
    [body({"numbers": [item(A)]}), body([item(A)]), json.dumps({"numbers": [item(A)]}).encode(),
     json.dumps([item(A)]).encode(), b"\xef\xbb\xbf" + body([item(A)]), body({"total": 1, "numbers": [item(A)]}),
     body({"numbers": [item(A)], "has_more": False, "next_cursor": None, "next": ""})],
)  # fmt: skip
def test_a_listing_is_found_wherever_it_may_be(octets: bytes) -> None:
    for step in (3, len(octets)):
        listing = read(octets, step=step)
        assert (listing.get(A), listing.get(B)) == (BOTH, None)


def test_an_empty_listing_is_a_listing() -> None:
    assert read(body({"numbers": []})).get(A) is None


@pytest.mark.parametrize(
    "octets",
    [b"", b"<html>", body(None), body({}), body({"numbers": None}), body({"numbers": [item(A)], "has_more": True}),
     body({"numbers": [], "total": 2}), body({"numbers": [], "next_cursor": "abc"}), body({"numbers": []})[:-1],
     json.dumps({"numbers": [], "pagination": {"next": {"page": 2}}}).encode(), b"[" * 99_999, b'{"a":' * 99_999,
     b"[1e999]", b"[" + b"9" * 6000 + b"]", b'["\xff"]', body([]) + b"x"],
    ids=range(16),
)  # fmt: skip
def test_a_listing_that_is_none_or_not_all_of_it_is_not_used(octets: bytes) -> None:
    with pytest.raises(ListingUnusable):
        read(octets, step=1000)


def test_digits_are_a_number_only_where_the_listing_writes_no_number_with_a_plus() -> None:
    without = read(body([item("14155550100"), item("2001")]), wanted={A, B, "2001"})
    assert (without.get(A), without.get(B)) == (BOTH, None)
    with_plus = read(body([item("14155550100"), item("+14155550109")]), wanted={A})
    assert with_plus.get(A) is None  # that is a DID
    assert with_plus.get("14155550100") == BOTH


@pytest.mark.parametrize("spell", [str, lambda number: number.removeprefix("+")])
def test_of_a_large_account_only_what_is_wanted_is_kept(spell: Any) -> None:
    numbers = [f"+1415{index:07d}" for index in range(1_000)]
    octets = body({"numbers": [item(spell(each)) for each in numbers]})
    small = read(octets, wanted={A}, step=10_000)
    assert small.covers(numbers)
    listing = read(octets, wanted={A, numbers[3], numbers[900]}, step=10_000, most=100)
    assert (listing.count, listing.get(numbers[3]), listing.get(numbers[900])) == (1_000, BOTH, BOTH)
    assert listing.get(A) is None
    assert listing.covers({A, numbers[900]})
    assert not listing.covers({A, numbers[4]})
    assert read(octets, step=10_000, most=100).covers(numbers)  # nothing in particular was wanted


@pytest.mark.parametrize("start", [b'[{"phone_number": "', b'{"numbers": [{}], "rest": "', b'{"x": ["', b'[{"x":[1,'])
def test_a_part_without_an_end_is_given_up_soon(start: bytes) -> None:
    reader = ListingReader({A})
    with pytest.raises(ListingUnusable):  # noqa: PT012 - it takes as many pieces as it takes
        reader.feed(start)
        for _ in range(2 * MAX_ITEM_BYTES // 65_536):
            reader.feed(b"1," * 32_768 if start.endswith(b",") else b"x" * 65_536)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([A, "inbound"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["data", "numbers", "phone_number", "directions", "type", "sip_endpoint", "number", "total"]),
        inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=60) | json_values.map(body), st.integers(1, 100))
def test_anything_is_a_listing_or_unusable(octets: bytes, step: int) -> None:
    try:
        listing = read(octets, step=step)
    except ListingUnusable:
        return
    assert listing.get(B) is None
    assert isinstance(listing.get(A), ListedNumber | None)
