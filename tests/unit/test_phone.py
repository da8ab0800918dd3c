"""Raw text to E.164: every way a number is written is taken right, or refused with a reason."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.events.phone import NumberRefused, identity, mask, normalise, regions, spellings

E164 = re.compile(r"\+[1-9][0-9]{1,14}")


def possible(raw: str, region: str | None = "US") -> str:
    return normalise(raw, region=region, check="possible")


def reason(raw: str, region: str | None = "US") -> str:
    with pytest.raises(NumberRefused) as caught:
        possible(raw, region)
    assert caught.value.raw == raw
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("+14155550100", "+14155550100"),
        ("  +14155550100\n", "+14155550100"),
        ("+1 (415) 555-0100", "+14155550100"),
        ("(415) 555-0100", "+14155550100"),
        ("[415] 555-0100", "+14155550100"),
        ("415.555.0100", "+14155550100"),
        ("415/555/0100", "+14155550100"),
        ("4155550100", "+14155550100"),
        ("1 415 555 0100", "+14155550100"),
        ("'+14155550100", "+14155550100"),
        ("+14150000000", "+14150000000"),  # the page's own: possible, and valid nowhere
    ],
)
def test_the_ways_a_number_is_written_give_one_number(raw: str, number: str) -> None:
    assert possible(raw) == number


@pytest.mark.parametrize("raw", ["+14155550100", "+1\u00a0415\u2011555\u20110100"])
def test_full_width_and_foreign_digits_are_digits(raw: str) -> None:
    full_width = "".join(chr(ord(char) + 0xFEE0) if char in "+0123456789" else char for char in raw)
    arabic = "".join(chr(ord("٠") + int(char)) if char.isdigit() else char for char in raw)

    assert possible(full_width) == "+14155550100"
    assert possible(arabic) == "+14155550100"


def test_marks_that_cannot_be_seen_are_left_out() -> None:
    assert possible("\u202a+1415\u200b5550100\u202c\ufeff") == "+14155550100"


@pytest.mark.parametrize(
    ("raw", "region", "number"),
    [
        ("0014155550100", "US", "+14155550100"),
        ("0014155550100", "DE", "+14155550100"),
        ("00 44 20 7183 8750", "US", "+442071838750"),
        ("(00) 44 20 7183 8750", None, "+442071838750"),
        ("011 44 20 7183 8750", "US", "+442071838750"),
        ("010 1 415 555 0100", "JP", "+14155550100"),
    ],
)
def test_an_international_prefix_is_read_as_a_plus(raw: str, region: str | None, number: str) -> None:
    assert possible(raw, region) == number


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("+44 (0)20 7183 8750", "+442071838750"),
        ("+4402071838750", "+442071838750"),
        ("+39 06 1234 5678", "+390612345678"),  # Italy keeps its zero
        ("+500 12345", "+50012345"),  # five digits are a whole number in the Falklands
        ("+800 1234 5678", "+80012345678"),
    ],
)
def test_trunk_zeros_and_short_countries_are_known(raw: str, number: str) -> None:
    assert possible(raw) == number


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("tel:+1-415-555-0100", "+14155550100"),
        ("TEL:%2B14155550100", "+14155550100"),
        ("tel://4155550100", "+14155550100"),
        ("tel:555-0100;phone-context=+1-415", "+14155550100"),
        ("tel:+14155550100;phone-context=example.com", "+14155550100"),
    ],
)
def test_a_tel_uri_gives_its_number(raw: str, number: str) -> None:
    assert possible(raw) == number


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("1-800-FLOWERS", "+18003569377"),
        ("1-800-GO-FEDEX", "+18004633339"),
        ("+1 800 flowers", "+18003569377"),
    ],
)
def test_a_vanity_number_is_read_off_the_keypad(raw: str, number: str) -> None:
    assert possible(raw) == number


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "is empty"),
        (" \u200b ", "is empty"),
        ("+", "is not a phone number"),
        ("00", "is too short"),
        ("FLOWERS", "does not begin like a phone number"),
        ("Phone: +14155550100", "does not begin like a phone number"),
        ("*67 415 555 0100", "does not begin like a phone number"),
        ("\ud800", "does not begin like a phone number"),
        ("+1415555\x000100", "is not a phone number"),
        ("+14155550100\n+14155550101", "is not a phone number"),
        ("+14155550100, +14155550101", "is not a phone number"),
        ("9" * 121, "is 121 characters long"),
        ("+1415555010²", "superscript"),
        ("+1415555010①", "superscript or circled"),
        ("+1415555010012345", "is too long"),
        ("+1" + "9" * 40, "is too long"),
        ("442071838750", "needs its +"),
        ("+49123456789012345", "15 digits of E.164"),
        ("+1415555010", "is too short"),
        ("+999123456", "country code that does not exist"),
        ("+15550100", "lacks its area code"),
        ("555-0100", "lacks its area code"),
        ("72345", "short code"),
        ("911", "short code"),
        ("2001", "short code"),
        ("+49 110", "is a short code"),
        ("415555O1OO", "letters among its digits"),
        ("+14155550100O", "letters among its digits"),
        ("415555OOOO", "O, I or L"),
        ("+4930123 (John)", "under country code 1"),
        ("+1415555АВСЕ", "letters among its digits"),  # Cyrillic
        ("14155550100.0", "spreadsheet"),
        ("1.4155550100E10", "spreadsheet"),
        ("1,41556E+10", "spreadsheet"),
        ("+1 415 555 0100 x123", "extension"),
        ("+1 415 555 0100 ext. 12", "extension"),
        ("+14155550100#12", "extension"),
        ("+14155550100;ext=12", "extension"),
        ("tel:+14155550100;ext=12", "extension"),
        ("tel:+14155550100;isub=12", "extension"),
        ("tel:2001;phone-context=example.com", "private phone-context"),
        ("sip:+14155550100@example.com", "is a sip: address"),
        ("SIPS:bob@example.com", "is a sips: address"),
        ("mailto:bob@example.com", "is a mailto: address"),
    ],
)
def test_what_is_no_number_is_refused_with_its_reason(raw: str, why: str) -> None:
    assert why in reason(raw)


def test_without_a_region_a_number_needs_its_country_code() -> None:
    assert possible("+14155550100", None) == "+14155550100"
    assert "no region is set" in reason("4155550100", None)


def test_the_pages_example_is_possible_and_not_valid() -> None:
    with pytest.raises(NumberRefused, match="in no range that is known to be in use"):
        normalise("+14150000000", region="US", check="valid")
    assert normalise("+14155550132", region="US", check="valid") == "+14155550132"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("2001", "2001"),
        (" 2001 ", "2001"),
        ("14155550100", "14155550100"),  # no +: a DID, kept as it is
        ("0014155550100", "0014155550100"),
        ("alice", "alice"),
        ("*97", "*97"),
        ("+1 415 555 0100", "+14155550100"),
        ("＋1 415 555 0100", "+14155550100"),
        ("tel:+1-415-555-0100", "+14155550100"),
        ("box12", "box12"),
        ("user#12", "user#12"),
        ("2001x12", "2001x12"),
        ("12e3", "12e3"),
        ("1.5", "1.5"),
    ],
)
def test_under_a_trunk_only_what_begins_with_a_plus_is_read_as_e164(raw: str, kept: str) -> None:
    assert identity(raw, region="US", check="possible") == kept


@pytest.mark.parametrize("raw", ["", " ", "20 01", "２００１", "x" * 65, "20\x0001", "+2001", "sip:2001@pbx", "\ud800"])
def test_under_a_trunk_an_identity_is_short_printable_ascii(raw: str) -> None:
    with pytest.raises(NumberRefused):
        identity(raw, region="US", check="possible")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("4.155550100e9", "spreadsheet"),
        ("4,155550100E+09", "spreadsheet"),
        ("4155550100.0", "spreadsheet"),
        ("4155550100x12", "extension"),
        ("14155550100;ext=12", "extension"),
        ("(415)555-0100#12", "extension"),
        ("415-555-0100ext.12", "extension"),
    ],
)
def test_under_a_trunk_what_a_number_was_mangled_into_is_no_did(raw: str, reason: str) -> None:
    with pytest.raises(NumberRefused, match=reason):
        identity(raw, region="US", check="possible")


def test_regions_are_two_capital_letters() -> None:
    assert {"US", "GB"} <= regions()
    assert "001" not in regions()


def test_a_masked_number_shows_its_last_four() -> None:
    assert mask("+14155550100") == "+•••••••0100"
    assert mask("14155550100") == "•••••••0100"
    assert mask("2001") == "2001"
    assert mask("") == ""


SNIPPETS = st.sampled_from(
    ["+", "00", "tel:", ";ext=", ";phone-context=", "x", "(0)", "E10", ".0", "1-800-", "٤", "４"]
)
RAW = st.lists(st.text(max_size=8) | st.text("+0123456789 ()-.", max_size=12) | SNIPPETS, max_size=5).map("".join)


@given(RAW, st.sampled_from([None, "US", "DE", "GB", "IT", "BR"]), st.sampled_from(["possible", "valid"]))
@example("000000", "DE", "possible")
@example("tel:;phone-context=+", None, "possible")
@example("+" + "0" * 20, "US", "possible")
def test_any_text_gives_a_number_or_one_typed_refusal(raw: str, region: str | None, check: str) -> None:
    for read in (normalise, identity):
        try:
            number = read(raw, region=region, check=check)  # type: ignore[arg-type]
        except NumberRefused as refused:
            number = None
            explained = refused.reason
        if number is None:
            assert explained
        else:
            assert read is identity or E164.fullmatch(number)
            assert read(number, region=region, check=check) == number  # type: ignore[arg-type]


@given(st.text())
def test_a_masked_text_is_as_long_as_it_was(text: str) -> None:
    assert len(mask(text)) == len(text)


@pytest.mark.parametrize(
    ("number", "ways"),
    [
        ("+14155550144", ("+14155550144", "14155550144", "4155550144")),
        ("+442079460000", ("+442079460000", "442079460000", "2079460000", "02079460000")),
        ("+390612345678", ("+390612345678", "390612345678", "0612345678")),
    ],
)
def test_a_number_may_stand_in_the_books_as_it_is_written_with_and_without_its_country_code(
    number: str, ways: tuple[str, ...]
) -> None:
    assert spellings(number) == ways
    assert {identity(each, region=None, check="possible") for each in ways} == {*ways}
