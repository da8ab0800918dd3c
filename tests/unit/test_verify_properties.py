"""Whatever arrives, a scheme answers with a key or with Unverified."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.webhook_signers import FORM, JSON, SENDERS, Sender, base64
from support.webhook_vectors import VECTORS, Vector, configured, keys_of, now_of, request_of, scheme_of
from trunkline_producers.verify import Unverified
from trunkline_producers.verify.encoding import cut, from_base64, from_hex, octets
from trunkline_producers.webhooks.request import WebhookRequest

NOW = 1_790_000_000
SECRET = "a_secret"
ENV = {SECRET.upper(): SECRET}
SCHEMES = [(scheme := scheme_of(each.verify), keys_of([each.key(SECRET)], scheme, ENV)) for each in SENDERS]
SENT = [*map(request_of, VECTORS), *(each.sent(SECRET, NOW) for each in SENDERS)]
NAMES = sorted({name for each in SENT for name in each.headers})

octet_text = st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))
header_text = st.one_of(
    octet_text,
    st.text(max_size=60),
    st.text(alphabet="v10ta=,. :/+-", max_size=40),
    st.binary(max_size=70).map(lambda raw: "Basic " + base64(raw)),
    st.lists(st.binary(max_size=40).map(base64), max_size=4).map(lambda items: "Bearer " + ".".join(items)),
    st.lists(st.binary(min_size=30, max_size=70).map(lambda raw: f"v1a,{base64(raw)}"), max_size=3).map(" ".join),
    st.integers(-(10**20), 10**20).map(str),
)
json_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["auth", "token"]), inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())
bodies = st.one_of(
    st.binary(), json_bodies, st.just(b"[" * 50_000), st.just(b'{"auth":{"token":' + b"9" * 5000 + b"}}")
)
urls = st.one_of(
    st.text(max_size=60),
    octet_text.map(lambda text: f"https://{text}"),
    st.text(alphabet="ht:/?#[]@&=%25.\t\n\x00é", max_size=60),
    st.just("https://[::1/hooks/acme/%ff?token=a&token=b"),
)
headers = st.builds(
    lambda some, kind: {**some, "content-type": kind},
    st.dictionaries(st.sampled_from(NAMES), header_text),
    st.sampled_from([FORM, JSON, "application/xml", ""]),
)
requests = st.builds(WebhookRequest, st.sampled_from(["GET", "POST"]) | st.text(max_size=10), urls, bodies, headers)


@given(requests)
def test_only_unverified_ever_escapes(request: WebhookRequest) -> None:
    for scheme, keys in SCHEMES:
        with suppress(Unverified):
            scheme.verify(request, keys, NOW)


@given(st.sampled_from(VECTORS), header_text, bodies, urls, st.data())
def test_a_vendors_request_with_anything_changed_raises_only_unverified(
    vector: Vector, text: str, body: bytes, url: str, data: st.DataObject
) -> None:
    tables, sent = configured(vector), request_of(vector)
    scheme = scheme_of(tables["verify"])
    keys = keys_of(tables["keys"], scheme, tables["env"])
    name = data.draw(st.sampled_from(sorted(sent.headers)))
    for changed in (
        replace(sent, headers={**sent.headers, name: text}),
        replace(sent, body=body),
        replace(sent, url=url),
    ):
        with suppress(Unverified):
            scheme.verify(changed, keys, now_of(vector))


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_a_header_replaced_by_anything_raises_only_unverified(sender: Sender) -> None:
    scheme = scheme_of(sender.verify)
    keys = keys_of([sender.key(SECRET)], scheme, ENV)
    sent = sender.sent(SECRET, NOW)

    @given(st.sampled_from(sorted(sent.headers)), header_text, bodies)
    def replaced(name: str, text: str, body: bytes) -> None:
        for changed in (sent.body, body):
            request = WebhookRequest(sent.method, sent.url, changed, {**sent.headers, name: text})
            with suppress(Unverified):
                scheme.verify(request, keys, NOW)

    replaced()


@given(st.text())
def test_any_text_has_bytes_and_any_url_has_pieces_that_make_it_again(text: str) -> None:
    assert isinstance(octets(text), bytes)
    url = cut(f"https://{text}")
    assert url.with_port(url.port) == f"https://{text}"


@given(st.binary(min_size=1))
def test_what_is_encoded_is_decoded(raw: bytes) -> None:
    assert from_base64(base64(raw)) == from_hex(raw.hex()) == from_hex(raw.hex().upper()) == raw


@given(st.text())
def test_what_decodes_is_the_one_way_to_write_it(text: str) -> None:
    decoded, from_hexes = from_base64(text), from_hex(text)
    assert decoded is None or base64(decoded) == text
    assert from_hexes is None or from_hexes.hex() == text.lower()
