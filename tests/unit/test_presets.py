"""Every type of source that is known by name: its shortest section reads, and what is missing from it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from support.examples import examples
from support.receivers import secret
from support.source_samples import SAMPLES, Sample, sections
from support.webhook_signers import public_key
from support.webhook_vectors import ENCODED, VERIFY, scheme_of
from trunkline.config.sections import ServerSettings
from trunkline.schema import Secret
from trunkline_producers.carriers.registry import ORDERS
from trunkline_producers.sources import Source, interpret, presets, read_sources
from trunkline_producers.verify import Unverified
from trunkline_producers.webhooks.bodies import Unreadable
from trunkline_producers.webhooks.mapping import Mapped
from trunkline_producers.webhooks.request import WebhookRequest, headers_of

SERVER = ServerSettings(public_url="https://hooks.example.com")
KEY = {"keys": [secret("5eC7e7")]}
PUBLIC = {"public_keys": [secret(public_key("s"))]}
STANDARD = {"keys": [secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")]}
SIGNED = {"verify": {"scheme": "hmac", "header": "X-Signature"}, **KEY}
HEX = {"keys": [secret("00ff00ff")]}
BASIC = {"verify": {"username": "carrier"}, **KEY}

SECTIONS: dict[str, dict[str, Any]] = {
    "generic": {**SIGNED, "number": "phone"},
    "native": SIGNED,
    "standard-webhooks": STANDARD,
    "svix": STANDARD,
    "cloudevents": {"verify": {"scheme": "bearer"}, **KEY},
    "telnyx": PUBLIC,
    "twilio": {"key": secret("token")},
    "bandwidth": BASIC,
    "bandwidth-v2": KEY,
    "hubspot": {**KEY, "property": "phone"},
    "aircall": KEY,
    "sinch": KEY,
    "didww": {**KEY, "api": {"key": secret("api-key")}},
    "salesforce": {**KEY, "field": "Phone", "organization_ids": ["00Dxx0000000000EAA"]},
    "gohighlevel": {},
    "close": {**HEX, "field": "phones"},
    "attio": {**KEY, "field": "phone"},
    "pipedrive": {**BASIC, "field": "phones"},
    "zoho": KEY,
    "github-style": {**KEY, "number": "phone"},
    "stripe-style": {**KEY, "number": "data.object.phone"},
    "signalwire": {**KEY, "number": "phone"},
    "vonage": {**KEY, "number": "to"},
    "plivo": {**KEY, "number": "To"},
    "bland": {**KEY, "number": "to"},
}
NEEDED = {
    "generic": ("verify", "number"),
    "native": ("verify",),
    "cloudevents": ("verify",),
    "bandwidth": ("verify.username", "keys"),
    "hubspot": ("property", "keys"),
    "didww": ("keys", "api"),
    "salesforce": ("field", "organization_ids", "keys"),
    "gohighlevel": (),
    "close": ("field", "keys"),
    "attio": ("field", "keys"),
    "pipedrive": ("field", "verify.username", "keys"),
    **dict.fromkeys(("github-style", "stripe-style", "signalwire", "vonage", "plivo", "bland"), ("keys", "number")),
}  # of the others: the keys alone
SIGN_THE_URL = ("twilio", "hubspot", "didww", "signalwire", "plivo")


def read(section: Mapping[str, object], server: ServerSettings = SERVER) -> tuple[Source | None, list[str]]:
    sources, mistakes = read_sources({"acme": section}, server, need_secrets=True)
    return sources.get("acme"), [str(mistake).removeprefix("sources.acme.") for mistake in mistakes]


def mistakes(section: Mapping[str, object], server: ServerSettings = SERVER) -> list[str]:
    return read(section, server)[1]


def test_there_is_a_section_for_every_type() -> None:
    assert set(SECTIONS) == set(presets())


@pytest.mark.parametrize("kind", presets())
def test_its_shortest_section_reads_without_a_mistake(kind: str) -> None:
    source, found = read({"type": kind, **SECTIONS[kind]})
    assert found == []
    assert source is not None
    assert source.keys
    assert bool(source.cases) is (source.table.format not in {"native", "cloudevents"})


@pytest.mark.parametrize("kind", presets())
def test_every_mistake_is_told_where_the_rest_is_missing(kind: str) -> None:
    told = mistakes({"type": kind})
    needed = NEEDED.get(kind, ("keys",))
    assert [each.partition(":")[0] for each in told if each.partition(":")[0] not in needed] == []
    assert {each.partition(":")[0] for each in told} == set(needed), told


@pytest.mark.parametrize("kind", presets())
def test_a_field_that_does_not_exist_is_told_with_the_rest(kind: str) -> None:
    told = mistakes({"type": kind, "profil": "x"})
    assert [each for each in told if each.startswith("profil: is not a field of a source; did you mean")]
    assert {each.partition(":")[0] for each in told} >= set(NEEDED.get(kind, ("keys",))) - {"number", "api"}


@pytest.mark.parametrize("kind", presets())
def test_a_secret_that_is_not_set_is_told_and_read_past_where_none_is_needed(kind: str) -> None:
    def emptied(value: object) -> object:
        if isinstance(value, Secret):
            return Secret(value.ref, SecretStr(""))
        if isinstance(value, dict):
            return {name: emptied(each) for name, each in value.items()}
        return [emptied(each) for each in value] if isinstance(value, list) else value

    section = {"type": kind, **{name: emptied(value) for name, value in SECTIONS[kind].items()}}
    told = mistakes(section)
    assert all("set it" in each for each in told)
    assert len(told) == (0 if kind == "gohighlevel" else 2 if "api" in section else 1)
    assert read_sources({"acme": section}, SERVER, need_secrets=False)[1] == []


@pytest.mark.parametrize("kind", presets())
def test_a_type_that_signs_the_url_wants_to_know_it(kind: str) -> None:
    section = {"type": kind, **SECTIONS[kind]}
    told = mistakes(section, ServerSettings())
    assert ["signs the URL" in each for each in told] == [True] * (kind in SIGN_THE_URL)
    assert mistakes({**section, "url": "https://elsewhere.example.com/in"}, ServerSettings()) == []


@pytest.mark.parametrize("kind", presets())
def test_its_title_says_what_it_is(kind: str) -> None:
    assert str(presets()[kind]["title"]).strip()


# What a preset leaves open


@pytest.mark.parametrize("value", ["", 3, True, [], {}])
@pytest.mark.parametrize(("kind", "name"), [("hubspot", "property"), ("close", "field"), ("salesforce", "field")])
def test_a_setting_is_text(kind: str, name: str, value: object) -> None:
    assert f"{name}: must be text in quotes" in mistakes({"type": kind, **SECTIONS[kind], name: value})


@pytest.mark.parametrize("value", ["", 3, True, [], [""], [3], {}])
def test_a_list_of_texts_is_that(value: object) -> None:
    told = mistakes({"type": "salesforce", **SECTIONS["salesforce"], "organization_ids": value})
    assert told == ["organization_ids: must be a list of texts in quotes"]


def test_one_text_is_a_list_of_one_and_never_searched_for_a_part() -> None:
    source, _ = read({"type": "salesforce", **SECTIONS["salesforce"], "organization_ids": "00Dxx0000000000EAA"})
    assert source is not None
    assert source.table.require is not None

    def may_send(organization: object) -> Any:
        document = {"Envelope": {"Body": {"notifications": {"OrganizationId": organization}}}}
        assert source is not None
        assert source.table.require is not None
        return source.table.require.search(document)

    assert may_send("00Dxx0000000000EAA") is True
    assert [may_send(each) for each in ("", "00D", "00Dxx0000000000EAB", None, ["00Dxx0000000000EAA"])] == [False] * 5


def number_of(section: Mapping[str, object], item: object) -> object:
    source, found = read(section)
    assert found == []
    assert source is not None
    number = source.cases[0].number
    assert number is not None
    return number.search(item)


def test_dots_lead_into_a_field_unless_they_belong_to_its_name() -> None:
    nested = {"type": "pipedrive", **SECTIONS["pipedrive"], "field": "custom_fields.c0ffee"}
    assert number_of(nested, {"data": {"custom_fields": {"c0ffee": {"type": "phone", "value": "1"}}}}) == "1"
    dotted = {"type": "close", **SECTIONS["close"], "field": "custom.cf_1"}
    assert number_of(dotted, {"event": {"data": {"custom.cf_1": "1"}}}) == "1"


@pytest.mark.parametrize("field", ['a"b', "a`b", "a\\b", "ä.b", "a b", "$field", "$$field", "a'b"])
def test_a_fields_name_is_a_name_whatever_is_in_it(field: str) -> None:
    section = {"type": "close", **SECTIONS["close"], "field": field}
    assert number_of(section, {"event": {"data": {field: "1"}}}) == "1"
    source, _ = read(section)
    assert source is not None
    match = source.cases[0].match
    assert match is not None
    changed = {"data": {field: "1"}, "changed_fields": [field], "action": "updated"}
    assert match.search({"event": changed})
    assert not match.search({"event": {**changed, "changed_fields": ["another"]}})


def test_a_section_says_more_than_its_preset() -> None:
    source, found = read(
        {"type": "sinch", **KEY, "number": "phone", "on_rejected": "refuse", "verify": {"header": "X-Disposition"}}
    )
    assert found == []
    assert source is not None
    assert [case.number.text for case in source.cases if case.number] == ["phone"]
    assert source.table.on_rejected == "refuse"
    other, found = read({"type": "sinch", **KEY, "verify": {"scheme": "header-key", "header": "X-Key"}})
    assert found == []
    assert other is not None
    assert type(other.scheme) is not type(source.scheme)


def test_every_fetcher_of_a_preset_is_known() -> None:
    named = {event.get("fetch") for preset in presets().values() for event in preset.get("events", ())}
    assert named - {None} == set(ORDERS)


@pytest.mark.parametrize(
    ("kind", "vectors"),
    [
        ("telnyx", "telnyx-ed25519"), ("twilio", "twilio-sha1"), ("bandwidth-v2", "bandwidth-hmac-sha256-b64"),
        ("hubspot", "hubspot-v3"), ("sinch", "sinch-numbers-sha1"), ("didww", "didww-sha1"),
        ("attio", "attio-hmac-sha256-hex"),
        ("gohighlevel", "ghl-ed25519"), ("close", "close-hmac-sha256"), ("signalwire", "signalwire-sha1-hex"),
        ("plivo", "plivo-v3"), ("vonage", "vonage-jwt-hs256"), ("bland", "bland-hmac-sha256-hex"),
        ("github-style", "hub-signature-256"), ("stripe-style", "stripe-t-v1"), ("svix", "standard-webhooks"),
        ("standard-webhooks", "standard-webhooks"),
    ],
)  # fmt: skip
def test_a_preset_verifies_as_the_published_vectors_are_verified(kind: str, vectors: str) -> None:
    more = {"max_age_s": 300} if kind == "vonage" else {}  # the vectors' tokens are older than that
    published = VERIFY[vectors] | more | ({"key_encoding": ENCODED[vectors]} if vectors in ENCODED else {})
    assert scheme_of(presets()[kind]["verify"]) == scheme_of(published)


# Whatever comes

READ, _ = read_sources(sections("http://127.0.0.1:9", "http://127.0.0.1:9"), SERVER, need_secrets=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """A document with something else at one place of it."""
    inside = sorted(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if not inside or draw(st.integers(0, 3)) == 0:
        return draw(JSON)
    place = draw(st.sampled_from(inside))
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place] = draw(mutated(value[place]))
    return copy


@settings(max_examples=examples(400))
@given(st.data(), st.sampled_from([each for each in SAMPLES.values() if each.file.endswith(".json")]))
def test_a_body_that_is_another_than_documented_is_read_or_refused_and_nothing_else(
    data: st.DataObject, sample: Sample
) -> None:
    body = json.dumps(data.draw(mutated(json.loads(sample.body)))).encode()
    request = WebhookRequest("POST", "https://hooks.example.com", body, headers_of(sample.headers(b"").items()))
    try:
        found = interpret(READ[sample.source], request)
    except (Unreadable, Unverified):
        return
    assert isinstance(found, Mapped)
    assert all(0 < len(event.event_id) <= 200 for event in found.events)
