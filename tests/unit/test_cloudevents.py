"""CloudEvents in all three modes; one that is broken costs none of the others of its batch."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidEvent
from trunkline_producers.sources.interpret import from_cloudevent
from trunkline_producers.webhooks.bodies import Unreadable
from trunkline_producers.webhooks.cloudevents import BATCHED, STRUCTURED, faults_of, is_cloudevent, read_cloudevents
from trunkline_producers.webhooks.request import WebhookRequest

DATA = {"number": "+14155550100", "profile": "support"}
EVENT: dict[str, Any] = {"specversion": "1.0", "id": "evt_1", "source": "/crm", "type": "number.bought", "data": DATA}
BINARY = {"ce-specversion": "1.0", "ce-id": "evt_1", "ce-source": "/crm", "ce-type": "number.bought"}
NATIVE = {"event_id": "/crm:evt_1", "occurred_at": None, **DATA}


def sent(body: object, kind: str = f"{STRUCTURED}+json", **headers: str) -> WebhookRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebhookRequest("POST", "https://hooks.example.com/hooks/crm", raw, {"content-type": kind, **named})


def binary(body: bytes, kind: str = "application/json", **more: str) -> WebhookRequest:
    headers = BINARY | ({"content-type": kind} if kind else {})
    return WebhookRequest("POST", "https://hooks.example.com/hooks/crm", body, headers | more)


@pytest.mark.parametrize(
    "request_",
    [
        sent(EVENT),
        sent(EVENT, "Application/CloudEvents+JSON; charset=utf-8"),
        sent([EVENT], f"{BATCHED}+json"),
        binary(json.dumps(DATA).encode()),
        binary(json.dumps(DATA).encode(), "application/vnd.acme+json; charset=utf-8"),
        binary(json.dumps(DATA).encode(), ""),
        sent({**EVENT, "data": None, "data_base64": b64encode(json.dumps(DATA).encode()).decode()}),
        sent({**EVENT, "datacontenttype": None, "data_base64": b64encode(json.dumps(DATA).encode()).decode()}),
    ],
    ids=["structured", "structured in capitals", "batched", "binary", "+json", "no type", "base64", "base64 untyped"],
)
def test_the_same_event_in_every_mode_is_the_same_native_event(request_: WebhookRequest) -> None:
    assert is_cloudevent(request_)
    (event,) = read_cloudevents(request_)
    assert faults_of(event) is None
    assert from_cloudevent(event) == NATIVE


@given(st.text(st.characters(codec="utf-8")))
def test_an_attribute_in_a_header_is_percent_encoded_utf_8_decoded_once(text: str) -> None:
    (event,) = read_cloudevents(binary(b"", **{"ce-subject": quote(text, safe="")}))
    assert event["subject"] == text


@pytest.mark.parametrize(
    ("header", "attribute"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),  # the specification's own example
        ('"quoted"', "quoted"),
        (r'"a \"b\" \\ %22c"', r'a "b" \ "c'),
        ("%2525", "%25"),
        ("100%", "100%"),
        ('"', '"'),
        ("%ff", "\ufffd"),
        ("plain text", "plain text"),
    ],
)
def test_an_attribute_is_unquoted_and_decoded(header: str, attribute: str) -> None:
    (event,) = read_cloudevents(binary(b"", **{"ce-subject": header}))
    assert event["subject"] == attribute


def test_an_event_without_data_has_none() -> None:
    (event,) = read_cloudevents(binary(b""))
    with pytest.raises(InvalidEvent, match="data: is not a JSON object with a number"):
        from_cloudevent(event)


def test_data_that_is_not_json_is_text() -> None:
    (event,) = read_cloudevents(binary(b"caf\xc3\xa9 \xff", "text/plain"))
    assert event["data"] == "café \ufffd"


def test_bad_items_of_a_batch_leave_the_others_as_they_are() -> None:
    bad: list[Any] = [
        7,
        None,
        [],
        "x",
        {},
        {**EVENT, "id": ""},
        {**EVENT, "specversion": "0.3"},
        {**EVENT, "source": 3},
    ]
    broken_data = [{**EVENT, "data_base64": text} for text in ("%%%", "bm90IGpzb24=", "é")]
    events = read_cloudevents(sent([*bad, EVENT, *broken_data], f"{BATCHED}+json"))
    native = []
    for event in events:
        with suppress(InvalidEvent):
            native.append(from_cloudevent(event))
    assert len(events) == len(bad) + 1 + len(broken_data)
    assert native == [NATIVE]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({**EVENT, "id": 7}, "the CloudEvent has no id"),
        ({key: value for key, value in EVENT.items() if key != "type"}, "the CloudEvent has no type"),
        ({**EVENT, "specversion": "2.0"}, "the CloudEvent's specversion is not 1.0"),
        ({**EVENT, "data": "text"}, "data: is not a JSON object with a number"),
    ],
)
def test_what_is_wrong_with_an_event_is_a_sentence(event: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEvent) as invalid:
        from_cloudevent(event)
    assert str(invalid.value) == said


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (sent({}, f"{BATCHED}+json"), "a batch of CloudEvents is a JSON array"),
        (sent(b"{", f"{BATCHED}+json"), "not JSON"),
        (sent(EVENT, f"{STRUCTURED}+avro"), "as JSON only"),
        (sent(EVENT, STRUCTURED), "as JSON only"),
        (sent(EVENT, f"{BATCHED}+protobuf"), "as JSON only"),
        (sent(EVENT, "application/json"), "carries no CloudEvents"),
        (binary(b"{", "application/json"), "not JSON"),
    ],
)
def test_a_request_that_can_not_be_read_is_refused_with_a_sentence(request_: WebhookRequest, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_cloudevents(request_)


def test_the_data_s_own_id_and_time_win_over_the_envelope_s_and_null_is_nothing() -> None:
    envelope = {**EVENT, "time": "2026-11-22T12:00:00Z"}
    own = {**DATA, "event_id": "own", "occurred_at": "2026-11-23T12:00:00Z"}
    assert from_cloudevent({**envelope, "data": own}) == own
    assert from_cloudevent({**envelope, "data": {**DATA, "event_id": None, "occurred_at": None}}) == {
        **NATIVE,
        "occurred_at": "2026-11-22T12:00:00Z",
    }


def test_events_of_two_sources_with_the_same_id_are_two() -> None:
    ids = {from_cloudevent({**EVENT, "source": source})["event_id"] for source in ("/a", "/b")}
    assert len(ids) == 2


octet_text = st.binary(max_size=30).map(lambda raw: raw.decode("latin-1"))
kinds = st.sampled_from(["", "application/json", f"{STRUCTURED}+json", f"{BATCHED}+json", STRUCTURED]) | octet_text
names = st.sampled_from([*BINARY, "ce-data", "ce-data_base64", "ce-", "ce-time"])


@given(st.binary(max_size=60) | st.just(json.dumps([EVENT]).encode()), kinds, st.dictionaries(names, octet_text))
def test_whatever_comes_is_read_or_refused(body: bytes, kind: str, headers: dict[str, str]) -> None:
    request = WebhookRequest("POST", "", body, {"content-type": kind.lower(), **headers})
    with suppress(Unreadable):
        for event in read_cloudevents(request):
            with suppress(InvalidEvent):
                from_cloudevent(event)
