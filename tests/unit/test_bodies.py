"""A body is read whole into JSON-like data, or refused with a sentence that repeats none of it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline_producers.webhooks.bodies import (
    MAX_DEPTH,
    MAX_FIELDS,
    Unreadable,
    read_body,
    read_form,
    read_json,
    read_xml,
)
from trunkline_producers.webhooks.request import WebhookRequest

FORM = "application/x-www-form-urlencoded"
json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"], exclude_characters="\u2028"))


def sent(body: bytes, kind: str | None = None, query: str = "") -> WebhookRequest:
    headers = {} if kind is None else {"content-type": kind}
    return WebhookRequest("POST", f"https://hooks.example.com/hooks/acme{query}", body, headers)


@given(json_like, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"]))
def test_json_comes_back_as_it_was_sent_in_every_encoding_that_json_has(value: object, encoding: str) -> None:
    assert read_json(json.dumps(value).encode(encoding)) == value


@given(st.lists(st.tuples(st.text(), st.text())))
def test_a_form_keeps_every_value_under_its_name_in_their_order(pairs: list[tuple[str, str]]) -> None:
    pairs = [
        (name.encode("utf-8", "replace").decode(), value.encode("utf-8", "replace").decode()) for name, value in pairs
    ]
    read = read_form(urlencode(pairs).encode())
    for name in {name for name, _ in pairs}:
        values = [value for each, value in pairs if each == name]
        assert read[name] == (values[0] if len(values) == 1 else values)
    assert len(read) == len(dict(pairs))


@given(printable)
def test_the_text_of_an_element_comes_back_without_the_blanks_around_it(text: str) -> None:
    assert read_xml(f"<a><b>{escape(text)}</b></a>".encode()) == {"a": {"b": text.strip()}}


def test_xml_has_lists_where_a_name_comes_several_times_and_names_without_their_namespaces() -> None:
    body = b'<n:a xmlns:n="urn:x" id="1"><n:b> 1 </n:b><c/><b><![CDATA[<2>]]></b><!-- no --><d><e>3</e></d></n:a>'
    assert read_xml(body) == {"a": {"b": ["1", "<2>"], "c": "", "d": {"e": "3"}}}


@given(st.binary() | st.text().map(str.encode) | st.text("<>/!?[]&;=%a\x00\xff\"'").map(lambda t: t.encode("latin-1")))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 5_000)
@example(b"<a>" * 50_000 + b"</a>" * 50_000)
@example(b'<?xml version="1.0" encoding="utf-7"?><a/>')
@example(b'<?xml version="1.0" encoding="no-such"?><a/>')
@example(b'<?xml version="1.0" encoding="utf-16"?><a/>')
@example(b"\xff\xfe\x00")
def test_any_bytes_are_read_or_refused_in_every_format(body: bytes) -> None:
    for read in (read_json, read_form, read_xml):
        with suppress(Unreadable):
            read(body)


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "http://169.254.169.254/"><a/>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY a0 "x">' + b'<!ENTITY a1 "&a0;&a0;">' + b"]><a>&a1;</a>",
        b"<!DOCTYPE a><a/>",
    ],
)
def test_xml_with_a_dtd_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable, match="DTD or entities"):
        read_xml(body)


def test_elements_may_lie_in_one_another_only_so_deep() -> None:
    def nested(depth: int) -> bytes:
        return b"<a>" * depth + b"</a>" * depth

    read_xml(nested(MAX_DEPTH))
    with pytest.raises(Unreadable, match="not XML"):
        read_xml(nested(MAX_DEPTH + 2))


def test_a_form_has_a_limit() -> None:
    assert len(read_form("&".join(f"f{index}=" for index in range(MAX_FIELDS)).encode())) == MAX_FIELDS
    with pytest.raises(Unreadable, match=f"at most {MAX_FIELDS} fields"):
        read_form(b"a=1&" * (MAX_FIELDS + 1))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"secret": "hunter2",}', "not JSON (line 1, column 22)"),
        (b"hunter2", "not JSON (line 1, column 1)"),
        (b"", "not JSON (line 1, column 1)"),
        (b'"\xff"', "not JSON"),
    ],
)
def test_a_refusal_says_where_and_repeats_nothing(body: bytes, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_json(body)
    assert str(refused.value) == f"the body is {said}"


def test_a_refusal_of_xml_says_where() -> None:
    with pytest.raises(Unreadable, match=r"the body is not XML \(line 2, column 2\)"):
        read_xml(b"<a>\n</b></a>")


@pytest.mark.parametrize(
    ("request_", "read"),
    [
        (sent(b'{"a": 1}', "application/json"), {"a": 1}),
        (sent(b'{"a": 1}', "application/vnd.api+json; charset=utf-8"), {"a": 1}),
        (sent(b'{"a": 1}'), {"a": 1}),
        (sent(b'{"a": 1}', "text/plain"), {"a": 1}),
        (sent(b"a=1&b=%2B1+2&a=&a=3", FORM), {"a": ["1", "", "3"], "b": "+1 2"}),
        (sent(b"a=1", f"{FORM.upper()} ; charset=UTF-8"), {"a": "1"}),
        (sent(b"<a>1</a>", "text/xml"), {"a": "1"}),
        (sent(b"<a>1</a>", "application/soap+xml"), {"a": "1"}),
        (sent(b"", query="?a=1&b=%C3%A9"), {"a": "1", "b": "é"}),
        (sent(b"", "application/json", query="?a=1"), {"a": "1"}),
        (sent(b'{"a": 1}', query="?b=2"), {"a": 1}),
    ],
)
def test_the_format_goes_by_the_content_type_and_without_a_body_by_the_query(
    request_: WebhookRequest, read: Any
) -> None:
    assert read_body(request_) == read


def test_a_format_that_is_configured_wins_over_the_content_type() -> None:
    assert read_body(sent(b"<a>1</a>", "application/json"), "xml") == {"a": "1"}
    assert read_body(sent(b"a=1", "application/json"), "form") == {"a": "1"}
    assert read_body(sent(b'{"a": 1}', FORM), "json") == {"a": 1}
