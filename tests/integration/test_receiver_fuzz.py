"""Whatever comes over the wire, no source answers 5xx, nothing is logged as an error, and the receiver goes on."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.preset_tables import OPEN, opened, table
from support.raw_http import Answer, connected
from support.receivers import Clock, Site, receiving, settings_with
from support.servers import Server
from support.store_audit import audit
from support.webhook_signers import FORM, JSON, SENDERS, URL, Sender
from support.webhook_vectors import resolved
from trunkline.store import Store
from trunkline_producers.sources import presets

SECRET = "a_secret"
NOW = 1_790_000_000
CAP = 1_048_576
LONG = pytest.param(4_000, marks=pytest.mark.chaos, id="for long")
EXAMPLES = pytest.mark.parametrize("examples", [200, LONG])
FETCHING = ("telnyx", "didww")  # nobody is there to be asked for an order's numbers: 503 is right

WORDS = sorted(set(re.findall(r"[A-Za-z_]{2,}", json.dumps(presets()))))
words = st.sampled_from(
    [*WORDS, "number", "id", "event_id", "numbers", "specversion", "data", "data_base64", "source", "type"]
)
leaves = st.one_of(
    words,
    st.text(),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just("+14155550100"),
    st.just(10**400),
    st.just("\ud800"),
    st.text(max_size=3).map(lambda text: text * 3_000),
)
json_like = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6), max_leaves=20
)


def xml(depth: int) -> st.SearchStrategy[str]:
    inner = st.text(max_size=5) if depth == 0 else st.lists(xml(depth - 1), max_size=3).map("".join)
    return st.builds("<{0}>{1}</{0}>".format, words, inner)


json_bodies = json_like.map(lambda value: json.dumps(value).encode())
xml_bodies = xml(3).map(lambda text: text.encode("utf-8", "replace"))
form_bodies = st.lists(st.tuples(words, words | st.text(st.characters(codec="utf-8")))).map(
    lambda p: urlencode(p).encode()
)
HOSTILE = [
    b"[" * 30_000,
    b'{"a":' * 10_000,
    b"<a>" * 20_000,
    b"<a>" * 9_000 + b"</a>" * 9_000,
    b"a=1&" * 15_000,
    b"\x00" * 1_000,
    b'{"data":' * 900 + b"1" + b"}" * 900,
    b"[" * 960 + b"1" + b"]" * 960,
    b"9" * 5_000,
    b"[" + b"{}," * 20_000 + b"{}]",
    b'<?xml version="1.0" encoding="utf-7"?><a/>',
    b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    b"\xff\xfe[\x00]\x00",
    b'{"event_id":"1","numbers":[' + b'"x",' * 10_000 + b'"x"]}',
    b'{"specversion":"1.0","data_base64":"%"}',
]
bodies = st.one_of(
    json_bodies,
    xml_bodies,
    form_bodies,
    st.binary(),
    st.integers(0, len(HOSTILE) - 1).map(lambda index: HOSTILE[index]),
)
kinds = st.sampled_from(
    [
        JSON,
        FORM,
        "text/xml",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/cloudevents",
        "",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
        "text/xml; charset=\xff",
    ]
)
octets = st.binary(max_size=80).map(lambda raw: raw.decode("latin-1"))
header_text = (octets | st.text(max_size=40).map(lambda t: t.encode().decode("latin-1"))).map(
    lambda text: re.sub(r"[\r\n\x00]", "", text)
)
NAMES = sorted(
    {sender.where for sender in SENDERS if sender.where}
    | {
        "webhook-id",
        "webhook-timestamp",
        "svix-id",
        "idempotency-key",
        "ce-specversion",
        "ce-id",
        "ce-source",
        "ce-type",
    }
    | {
        "ce-subject",
        "ce-data",
        "authorization",
        "x-timestamp",
        "telnyx-timestamp",
        "x-hubspot-request-timestamp",
        "cookie",
    }
    | {"webhook-request-origin", "content-encoding", "x-forwarded-for", "origin", "host", "expect", "upgrade"}
)
headers = st.dictionaries(st.sampled_from(NAMES), header_text, max_size=6)
targets = st.one_of(
    st.just(""),
    octets.map(lambda text: "?" + text),
    octets.map(lambda text: "/" + text),
    st.sampled_from(["?a=%", "?%ff=%00", "/%2e%2e/", "?token=a&token=b", "?" + "a=&" * 2_000, "#x", "//", "?#"]),
).map(lambda text: re.sub(r"[\s\x00]", "", text))
methods = st.sampled_from(
    ["POST"] * 6 + ["GET", "PUT", "OPTIONS", "HEAD", "DELETE", "PATCH", "TRACE", "CONNECT", "LINK", "get"]
)

SOURCES = {
    **{f"open.{kind}": opened(kind) for kind in presets()},
    **{f"shut.{kind}": table(kind) for kind in presets()},
    **{
        f"signed.{index}": {
            "verify": sender.verify,
            "keys": [resolved(sender.key(SECRET), {SECRET.upper(): SECRET})],
            "number": "number || [].number",
            **({} if sender.verify["scheme"] == "path-token" else {"url": URL.partition("?")[0]}),
        }
        for index, sender in enumerate(SENDERS)
    },
    **{
        f"as.{format}": {"format": format, "number": "number", "metadata": {"a": "id"}, **OPEN}
        for format in ("json", "form", "xml")
    },
    "batched": {
        "number": "number",
        "batch": "data",
        "require": "id != 'x'",
        "on_rejected": "accept",
        "redact": ["token"],
        **OPEN,
    },
}
GOOD = b'{"event_id": "evt", "number": "+14155550100", "profile": "support"}'


@pytest.fixture(scope="module")
def shared(valkey: Server) -> Iterator[Site]:
    with valkey.client() as client:
        client.flushdb()
        with receiving(
            Store(client), settings_with(SOURCES, max_body_bytes=CAP, token=SECRET), clock=Clock(NOW)
        ) as site:
            yield site


@pytest.fixture
def site(shared: Site, caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    """A receiver that afterwards has logged no error, still answers, and has a store that is sound."""
    yield shared
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert shared.post("open.native", GOOD).status_code == 200
    assert audit(shared.store) == []


def lasting(examples: int, *strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], None]:
    """Runs a property now, so many times."""

    def run(holds: Callable[..., None]) -> None:
        health = [HealthCheck.too_slow, HealthCheck.data_too_large]
        settings(max_examples=examples, deadline=None, suppress_health_check=health)(given(*strategies)(holds))()

    return run


def answered(site: Site, method: str, target: str, sent: dict[str, str], body: bytes) -> Answer | None:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in {"host": "a", **sent}.items())]
    head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""])
    with connected(site.url) as line:
        line.send(head.encode("latin-1"), body)
        return line.answer(method)


def is_in_order(answer: Answer | None, source: str, method: str = "POST") -> None:
    """An answer that a sender can work with."""
    assert answer is not None
    if answer.status == 503 and source.endswith(FETCHING):
        assert b"could not be fetched" in answer.body
        return
    assert 200 <= answer.status < 500, answer
    if answer.status >= 400 and method != "HEAD" and answer.headers["content-type"] != "text/plain; charset=utf-8":
        said = json.loads(answer.body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (said["status"], bool(said["code"])) == (answer.status, True)


@EXAMPLES
def test_anything_to_any_source_is_answered(site: Site, examples: int) -> None:
    asked = st.tuples(st.sampled_from(sorted(SOURCES)), methods, targets)
    described = st.builds(lambda sent, kind: sent | ({"content-type": kind} if kind else {}), headers, kinds)

    @lasting(examples, asked, described, bodies)
    def holds(what: tuple[str, str, str], sent: dict[str, str], body: bytes) -> None:
        source, method, target = what
        if sent.get("expect"):
            body = b""  # it would be waited for before the answer
        answer = answered(site, method, f"/hooks/{source}{target}", sent, body)
        if answer is not None and answer.status == 100:
            return
        is_in_order(answer, source, method)


@EXAMPLES
def test_any_body_that_gets_past_verification_is_answered(site: Site, examples: int) -> None:
    open_ = sorted(name for name in SOURCES if not name.startswith(("shut", "signed")))

    @lasting(examples, st.sampled_from(open_), kinds, bodies)
    def holds(source: str, kind: str, body: bytes) -> None:
        answer = answered(site, "POST", f"/hooks/{source}", {"content-type": kind}, body)
        is_in_order(answer, source)
        assert answer is not None
        assert answer.status in {200, 401, 422, 503}  # 401: `require` names who may send


@EXAMPLES
def test_anything_that_is_rightly_signed_is_read(site: Site, examples: int) -> None:
    @lasting(examples, st.sampled_from(range(len(SENDERS))), kinds, bodies)
    def holds(index: int, kind: str, body: bytes) -> None:
        sender = SENDERS[index]
        source = f"signed.{index}"
        kind, body, target = _request(sender, source, kind, body)
        answer = answered(site, "POST", target, {**sender.sign(SECRET, body, NOW), "content-type": kind}, body)
        is_in_order(answer, source)
        assert answer is not None
        assert answer.status in {200, 422}, answer


def _request(sender: Sender, source: str, kind: str, body: bytes) -> tuple[str, bytes, str]:
    """The body and the target of a rightly signed request; a body that holds its own token stays as it is."""
    if "twilio" in sender.name:
        return FORM, sender.body, f"/hooks/{source}?tenant=7"
    url, sent = sender.request(SECRET, body)
    path = url.removeprefix("https://hooks.example.com/hooks/acme")
    return kind if sent == body else sender.media_type, sent, f"/hooks/{source}{path}"


@EXAMPLES
def test_anything_to_the_programs_route_is_answered(site: Site, examples: int) -> None:
    native = st.fixed_dictionaries(
        {"event_id": leaves, "number": leaves},
        optional=dict.fromkeys(
            ("numbers", "profile", "occurred_at", "source", "metadata", "force", "version"), json_like
        ),
    )
    some = st.one_of(bodies, native.map(lambda value: json.dumps([value]).encode()))

    @lasting(examples, kinds, some, headers)
    def holds(kind: str, body: bytes, sent: dict[str, str]) -> None:
        ours = {name: value for name, value in sent.items() if name not in {"authorization", "expect"}}
        answer = answered(
            site, "POST", "/v1/events", {**ours, "content-type": kind, "authorization": f"Bearer {SECRET}"}, body
        )
        is_in_order(answer, "api")


VALID = b"POST /hooks/open.native HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(GOOD), GOOD)
pieces = st.sampled_from(
    [
        b"POST ",
        b"GET ",
        b"/hooks/open.native",
        b" HTTP/1.1\r\n",
        b" HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"content-length: 5\r\n",
        b"content-length: -5\r\n",
        b"transfer-encoding: chunked\r\n",
        b"5\r\nabcde\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"connection: upgrade\r\nupgrade: websocket\r\n",
        b"upgrade: h2c\r\n",
        b"\n",
        b" ",
        b"expect: 100-continue\r\n",
        b"http://[::1",
        b"http://a:99999/",
        b"*",
        b"host: a\r\n",
        b": \r\n",
        b"\x16\x03\x01",
        VALID,
    ]
)


@EXAMPLES
def test_any_bytes_at_all_to_the_port_end_nothing_but_their_own_connection(site: Site, examples: int) -> None:
    @lasting(examples, st.lists(pieces | st.binary(max_size=30), max_size=12))
    def holds(parts: list[bytes]) -> None:
        with connected(site.url) as line:
            line.send(b"".join(parts))
            line.finish()
            came = line.rest()
        assert not re.search(rb"HTTP/1\.1 5\d\d", came)
