"""Known secrets never come through, in whatever form they come back."""

import base64
import html
import json
import re
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trunkline.http.retry_after import parse_retry_after
from trunkline.redaction import PLACEHOLDER, clip, make_scrubber

SECRET = 'pä"ss\\wo/rd+ & 1'
FORMS = {
    "raw": SECRET,
    "json": json.dumps(SECRET)[1:-1],
    "json in unicode": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "json in upper case": json.dumps(SECRET)[1:-1].replace("\\u00e4", "\\u00E4"),
    "json with escaped slashes": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "json within json": json.dumps(json.dumps(SECRET))[3:-3],
    "percent": quote(SECRET, safe=""),
    "percent in lower case": re.sub("%..", lambda found: found[0].lower(), quote(SECRET, safe="")),
    "form": quote_plus(SECRET),
    "html": html.escape(SECRET),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "urlsafe base64": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_taken_out_in_every_form(form: str) -> None:
    written = FORMS[form]
    assert make_scrubber([SECRET])(f"<{written}>").rstrip("=>") == f"<{PLACEHOLDER}"


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "bland"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
def test_a_secret_within_something_that_was_encoded_is_taken_out(user: str, after: str) -> None:
    encoded = base64.b64encode(f"{user}:hunter2hunter2{after}".encode()).decode()
    said = make_scrubber(["hunter2hunter2"])(f"Basic {encoded}")
    assert PLACEHOLDER in said
    assert encoded[8:20] not in said


def test_the_longest_secret_goes_first_and_an_empty_one_is_none() -> None:
    assert make_scrubber(["pass", "password", ""])("password pass") == f"{PLACEHOLDER} {PLACEHOLDER}"
    assert make_scrubber([""])("anything") == "anything"


def test_a_very_short_secret_is_taken_out_as_a_word_only() -> None:
    assert make_scrubber(["abc"])("abc abcd xabc 'abc'") == f"{PLACEHOLDER} abcd xabc '{PLACEHOLDER}'"


def test_an_excerpt_is_one_safe_line_that_was_scrubbed_before_the_cut() -> None:
    said = clip("a\x1b[31m\r\n\ud800b" + "hunter2hunter2" * 100, make_scrubber(["hunter2hunter2"]), 60)
    assert "hunter" not in said
    assert len(said) == 60
    assert said.startswith("a [31m b[secret]")
    assert said.encode().decode().isprintable()


@given(st.text(min_size=4), st.text(), st.text())
def test_no_secret_survives_in_any_text(secret: str, before: str, after: str) -> None:
    assume(secret not in PLACEHOLDER and not any(part in secret for part in ("[", "]", "s", "e", "c", "r", "t")))
    assume(secret not in f"{before}{PLACEHOLDER}{after}")
    scrub = make_scrubber([secret])
    for written in (secret, json.dumps(secret), quote(secret.encode("utf-8", "surrogatepass"))):
        assert secret not in scrub(f"{before}{written}{after}")


@given(st.text())
def test_any_retry_after_is_seconds_within_a_day_or_nothing(value: str) -> None:
    seconds = parse_retry_after(value, datetime(2026, 11, 22, tzinfo=UTC))
    assert seconds is None or 0 <= seconds <= 86400
