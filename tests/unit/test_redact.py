"""Fields and secrets are taken out of a body that is kept, however it is written, and the rest stays as it is."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlencode
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline_producers.webhooks.redact import redactor

SECRET = "hunter2"
redact = redactor(["token", "SessionId"], lambda text: text.replace(SECRET, "[secret]"))
storable = st.text(st.characters(codec="utf-8"))


@given(storable, storable, st.booleans(), st.sampled_from([None, 2]))
def test_a_field_of_json_is_gone_and_the_others_stay(
    value: str, other: str, ascii_only: bool, indent: int | None
) -> None:
    body = {"a": [{"token": value, "other": other}], "SessionId": value}
    other = other.replace(SECRET, "[secret]")
    written = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode()
    assert json.loads(redact(written)) == {
        "a": [{"token": "[redacted]", "other": other}],
        "SessionId": "[redacted]",
    }


@given(storable.filter(str.strip), st.sampled_from(["", "sf:"]), st.sampled_from(["", ' type="x"', "\n"]))
def test_an_element_of_xml_is_gone_and_the_others_stay(value: str, prefix: str, attributes: str) -> None:
    for text in (escape(value), f"<![CDATA[{value.replace(']]>', '')}]]>"):
        body = f"<a><{prefix}SessionId{attributes}>{text}</{prefix}SessionId><SessionIds>1</SessionIds></a>"
        gone = f"<a><{prefix}SessionId{attributes}>[redacted]</{prefix}SessionId><SessionIds>1</SessionIds></a>"
        assert redact(body.encode()).decode() == gone


@given(storable, storable)
def test_a_field_of_a_form_is_gone_and_the_others_stay(value: str, other: str) -> None:
    other = other.replace(SECRET, "")
    body = urlencode([("a", other), ("token", value), ("tokens", "1"), ("token", value)])
    assert parse_qs(redact(body.encode()).decode(), keep_blank_values=True) == {
        "a": [other],
        "token": ["[redacted]", "[redacted]"],
        "tokens": ["1"],
    }


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (rb'{"token": "a\"b\\", "x": "y"}', rb'{"token": "[redacted]", "x": "y"}'),
        (rb'{"token" : "a", "x": 1', rb'{"token" : "[redacted]", "x": 1'),  # no JSON, but who sent it meant it so
        (rb'{"x": 1, "token": "cut of', rb'{"x": 1, "token": "[redacted]"'),
        (b'{"token": "cut off\\', b'{"token": "[redacted]"'),
        (b'{"token": "a\\\nb"}', b'{"token": "[redacted]"}'),
        (rb'{"token": 12345678, "x": 1}', rb'{"token": "[redacted]", "x": 1}'),
        (rb'{"token": {"x": 1}, "tokens": "a"}', rb'{"token": {"x": 1}, "tokens": "a"}'),
        (b"<a><SessionId>cut of", b"<a><SessionId>[redacted]"),
        (b"<a><SessionId><![CDATA[cut of", b"<a><SessionId>[redacted]"),
        (b'<SessionId xsi:nil="true"/><b>1</b>', b'<SessionId xsi:nil="true"/><b>1</b>'),
        (b"token=", b"token=[redacted]"),
        (b"a=token=b", b"a=token=b"),
        (b"\xff\x00token\xfe hunter2", b"\xff\x00token\xfe [secret]"),
        (b"", b""),
    ],
)
def test_what_can_not_be_read_is_redacted_all_the_same(body: bytes, kept: bytes) -> None:
    assert redact(body) == kept


@given(st.binary() | st.text('<>"token=&\\/:[]! \n').map(str.encode))
def test_any_bytes_can_be_redacted_and_twice_is_once(body: bytes) -> None:
    once = redact(body)
    assert redact(once) == once


def test_a_field_s_name_is_a_name_and_no_pattern() -> None:
    assert redactor(["a.c", "("], str)(b'{"abc": "1", "a.c": "2", "(": "3"}') == (
        b'{"abc": "1", "a.c": "[redacted]", "(": "[redacted]"}'
    )


LARGE = 400_000


@pytest.mark.parametrize(
    "unit",
    [b"<token ", b"<token>", b"<token><![CDATA[", b"<", b"<a.", b'"token":"', b'"token"', b'"token" ', b'"token":"\\',
     b"&token=", b"token=", b'\\"token\\":\\"', b"<token a='", b"\\", b'"', b" ", b"]]"],
)  # fmt: skip
def test_a_hostile_body_is_redacted_in_time_that_grows_with_its_length(unit: bytes) -> None:
    for body in (unit * (LARGE // len(unit)), b'{"token": "' + unit * (LARGE // len(unit)), b"<token>" + unit * 9_999):
        redact(body)  # that this ends is the assertion: at the square of the length it would take hours
