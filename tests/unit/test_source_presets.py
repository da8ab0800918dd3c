"""`[sources.*]` over the presets: what is written wins, settings are values, every mistake has its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.preset_tables import OPEN, PUBLIC, table
from support.receivers import secret
from trunkline.config.sections import ServerSettings
from trunkline_producers.sources import Source, interpret, presets, read_sources
from trunkline_producers.verify import Unverified
from trunkline_producers.webhooks.bodies import Unreadable
from trunkline_producers.webhooks.request import WebhookRequest

SERVER = ServerSettings(public_url="https://hooks.example.com")
NUMBER = "+14155550100"


def source(written: dict[str, Any], name: str = "acme") -> Source:
    sources, mistakes = read_sources({name: written}, SERVER, need_secrets=True)
    assert mistakes == []
    return sources[name]


def mistakes(written: dict[str, Any], name: str = "acme", *, need_secrets: bool = True) -> list[str]:
    sources, found = read_sources({name: written}, SERVER, need_secrets=need_secrets)
    assert bool(found) is not bool(sources)
    return [str(each).removeprefix("sources.acme.") for each in found]


def sent(body: bytes, kind: str = "application/json", query: str = "") -> WebhookRequest:
    return WebhookRequest("POST", f"https://hooks.example.com/hooks/acme{query}", body, {"content-type": kind})


@pytest.mark.parametrize("kind", presets())
def test_every_type_can_be_used_with_what_it_asks_for_and_no_more(kind: str) -> None:
    made = source(table(kind))
    assert made.type == kind
    assert bool(made.cases) is (made.table.format not in {"native", "cloudevents"})


@pytest.mark.parametrize("kind", presets())
def test_every_type_has_a_title_and_nothing_that_is_no_field(kind: str) -> None:
    assert presets()[kind]["title"]
    assert mistakes({**table(kind), "nonsense": 1}) == ["nonsense: is not a field of a source"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a" * 65, "é", "a\n", "a%2fb", "a?b", "\u0661", "a:b", "\x00"])
def test_a_name_that_no_event_could_have_as_its_source_is_a_mistake(name: str) -> None:
    _, found = read_sources({name: table("native")}, SERVER, need_secrets=True)
    assert [str(each) for each in found] == [
        f"sources.{name}: must have a name of 1 to 64 letters, digits, dots, dashes or underscores"
    ]


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "a" * 64])
def test_a_name_may_have_letters_digits_dots_dashes_and_underscores(name: str) -> None:
    assert source(table("native"), name).name == name


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"type": "hubspott"}, 'type: is no type of source; did you mean "hubspot"?; trunkline sources list shows'),
        ({"type": 3}, "type: is no type of source"),
        (table("hubspot", property=None), "property: is required: the property that holds the number, such as phone"),
        (table("hubspot", property=""), "property: must be text in quotes"),
        (table("hubspot", property=["phone"]), "property: must be text in quotes"),
        (table("hubspot", property=7), "property: must be text in quotes"),
        (table("salesforce", organization_ids=[]), "organization_ids: must be a list of texts in quotes"),
        (table("salesforce", organization_ids=[""]), "organization_ids: must be a list of texts in quotes"),
        (table("salesforce", organization_ids=[7]), "organization_ids: must be a list of texts in quotes"),
        (table("generic", number="a["), "events[0].number: is not JMESPath"),
        (table("generic", number=7), "events[0].number: must be a JMESPath expression in quotes"),
        (table("generic", event_id="header:a b"), "events[0].event_id: must name a header after header:"),
        (table("generic", event_id=["a"]), "events[0].event_id: must be a JMESPath expression in quotes or"),
        (table("generic", metadata={"": "a"}), "events[0].metadata: has a name that is empty"),
        (table("generic", fetch="didww-order"), "events[0].order: is required: fetch and order come together"),
        (table("generic", order="id"), "events[0].fetch: is required: fetch and order come together"),
        (table("generic", events=[{"number": "a"}]), "events: stands beside number; use one of them"),
        ({"verify": {"scheme": "none"}}, "number: is required: a JMESPath expression that finds the number"),
        ({**OPEN, "match": "a"}, "events[0].number: is required"),
        (table("native", number="a"), "format: is native, whose events say themselves where their number is"),
        (table("generic", verify=None), "verify: is required: how deliveries are verified"),
        (table("generic", verify="none"), "verify: must be a table"),
        (table("generic", verify={"scheme": "nope"}), "verify.scheme: must be one of"),
        (table("generic", public_keys=[secret("k")]), "public_keys: stands beside keys; use one of them"),
        (table("generic", keys=[]), "keys: must be a list of at least one key"),
        (table("generic", keys=["hunter2"]), "keys[0]: a secret is never written in the file"),
        (table("generic", methods=["DELETE"]), "methods[0]: must be"),
        (table("generic", methods=[]), "methods: must have at least 1 of them"),
        (table("generic", url="hooks.example.com"), "url: "),
        (table("generic", format="yaml"), "format: must be"),
        (table("generic", answer={"status": 301}), "answer.status: must be at most 299"),
        (table("generic", answer={"media_type": "text/é"}), "answer.media_type: must be a media type such as text/xml"),
        (table("generic", answer={"media_type": "text/a\r\nx: y"}), "answer.media_type: must be a media type"),
        (table("generic", answer_within_s=0), "answer_within_s: must be more than 0"),
        (table("generic", on_rejected="ignore"), "on_rejected: must be 'refuse' or 'accept'"),
        (table("generic", require="a["), "require: is not JMESPath"),
        (table("didww", api=None), "api"),
    ],
)
def test_a_mistake_is_told_at_its_place(written: dict[str, Any], said: str) -> None:
    written = {key: value for key, value in written.items() if value is not None}
    (found,) = mistakes(written)
    assert found.startswith(said)


def test_all_mistakes_of_all_sources_are_told_at_once() -> None:
    tables = {
        "one": table("hubspot", property=None, answer_within_s=0, verify={"tolerance": 1}),
        "two": table("generic", number="a[", keys=["x"]),
        "three": table("native"),
    }
    sources, found = read_sources(tables, SERVER, need_secrets=True)
    assert [each.place for each in found] == [
        "sources.one.property",
        "sources.one.answer_within_s",
        "sources.one.verify.tolerance",
        "sources.two.events[0].number",
        "sources.two.keys[0]",
    ]
    assert list(sources) == ["three"]


def test_a_scheme_that_signs_the_url_needs_to_know_it() -> None:
    _, found = read_sources({"acme": table("twilio")}, ServerSettings(), need_secrets=True)
    assert [each.place for each in found] == ["sources.acme"]
    assert "set public_url under [server]" in found[0].message
    own = table("twilio", url="https://hooks.example.com/in")
    assert read_sources({"acme": own}, ServerSettings(), need_secrets=True)[1] == []


def test_a_secret_that_is_not_there_is_a_mistake_only_for_who_needs_it() -> None:
    missing = table("github-style", keys=[secret("")])
    assert mistakes(missing) == ["keys[0]: the environment variable KEY is not set; set it"]
    sources, found = read_sources({"acme": missing}, SERVER, need_secrets=False)
    assert (found, sources["acme"].keys) == ([], ())


def test_what_the_section_says_wins_over_the_preset() -> None:
    own = source(table("telnyx", answer_within_s=3, number="a.b", match="c", redact=["x"]))
    assert own.table.answer_within_s == 3
    assert own.table.redact == ("x",)
    assert [(case.number and case.number.text, case.match and case.match.text) for case in own.cases] == [("a.b", "c")]
    assert len(source(table("telnyx")).cases) == 3


def test_verify_is_laid_over_the_preset_s_unless_it_names_another_scheme() -> None:
    preset = source(table("github-style")).scheme
    assert source(table("github-style", verify={"header": "X-Own"})).scheme != preset
    assert source(table("github-style", verify={"scheme": "hmac"})).scheme == preset
    other = mistakes(table("github-style", verify={"scheme": "hmac", "prefx": "x"}))
    assert other == ['verify.prefx: is not a field of verify with this scheme; did you mean "prefix"?']
    assert mistakes(table("github-style", verify={"scheme": "header-key"})) == ["verify.header: is required"]


def test_keys_of_the_section_take_the_place_of_the_preset_s() -> None:
    assert len(source(table("gohighlevel")).keys) == 1
    (key,) = source(table("gohighlevel", public_keys=[{"public": PUBLIC, "id": "own"}])).keys
    assert key.id == "own"
    assert source({"type": "gohighlevel", **OPEN}).keys == ()


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.text("`'\"\\$.[]|&@ \n\x00a", min_size=1)


@given(texts, texts)
@example("`]||`1`=='1", "a")
@example("\\`", "a")
@example("\\", "a")
@example('"`\\"`', "a")
@example("$property", "a")
def test_a_setting_is_a_value_whatever_is_in_it(value: str, other: str) -> None:
    hubspot = source({"type": "hubspot", "property": value, **OPEN})
    events = [
        {"propertyName": name, "propertyValue": NUMBER, "eventId": index} for index, name in enumerate([value, other])
    ]
    found = interpret(hubspot, sent(_json(events)))
    assert len(found.events) == 1 + (other == value)


@given(texts.filter(lambda text: "." not in text and text != "events"), texts)
@example('a"', "a")
@example("a`", "a")
@example("0", "a")
@example('"]|[@', "a")
def test_a_setting_is_a_field_s_name_whatever_is_in_it(name: str, other: str) -> None:
    attio = source({"type": "attio", "field": name, **OPEN})
    assert [event.numbers for event in interpret(attio, sent(_json({"x": 1, name: NUMBER}))).events] == [(NUMBER,)]
    if other not in {name, "events"}:
        assert interpret(attio, sent(_json({other: NUMBER}))).ignored == 1


def test_a_field_may_be_a_path_or_where_its_preset_says_so_a_name_with_dots() -> None:
    attio = source({"type": "attio", "field": "data.phone", **OPEN})
    assert len(interpret(attio, sent(_json({"data": {"phone": NUMBER}}))).events) == 1
    close = source({"type": "close", "field": "custom.cf_1", **OPEN})
    event = {"id": "1", "action": "created", "data": {"custom.cf_1": NUMBER}}
    assert len(interpret(close, sent(_json({"event": event}))).events) == 1


SOAP = (
    "<Envelope><Body><notifications><OrganizationId>{}</OrganizationId><Notification><Id>1</Id>"
    "<sObject><Phone>+14155550100</Phone></sObject></Notification></notifications></Body></Envelope>"
)


@pytest.mark.parametrize("written", ["00Dxx0000000000EAA", ["00Dxx0000000000EAA", "00Dyy"]])
def test_only_the_organizations_that_are_named_whole_may_send(written: object) -> None:
    salesforce = source({"type": "salesforce", "field": "Phone", "organization_ids": written, **OPEN})
    assert len(interpret(salesforce, sent(SOAP.format("00Dxx0000000000EAA").encode(), "text/xml")).events) == 1
    for other in ("00D", "", "0", "00Dxx0000000000EAB", "x</OrganizationId><OrganizationId>00Dxx0000000000EAA"):
        with pytest.raises(Unverified):
            interpret(salesforce, sent(SOAP.format(other).encode(), "text/xml"))


EVENT = {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": {"number": NUMBER}}


@pytest.mark.parametrize("kind", ["cloudevents", "native"])
def test_what_is_required_of_a_body_is_required_of_every_cloudevent(kind: str) -> None:
    demanding = source({"type": kind, "require": "source == '/a'", **OPEN})
    batched = "application/cloudevents-batch+json"
    assert len(interpret(demanding, sent(_json([EVENT]), batched)).events) == 1
    several: list[list[Any]] = [[EVENT, {**EVENT, "source": "/b"}], [{}], [3]]
    for items in several:
        with pytest.raises(Unverified):
            interpret(demanding, sent(_json(items), batched))


@pytest.mark.parametrize("kind", ["application/json", "application/cloudevents-batch+json"])
def test_a_delivery_may_hold_only_so_many_events(kind: str) -> None:
    with pytest.raises(Unreadable, match="there are 10001 events in one request; 10000 are the most"):
        interpret(source({"type": "native", **OPEN}), sent(b"[" + b"{}," * 10_000 + b"{}]", kind))


def test_nobody_speaks_for_another_source() -> None:
    native = source({"type": "native", **OPEN})
    (event,) = interpret(native, sent(_json({"event_id": "1", "number": NUMBER, "source": "billing"}))).events
    assert event.source == "acme"


def test_a_header_of_the_delivery_is_the_id_of_an_event_without_one() -> None:
    native = source({"type": "native", **OPEN})
    request = WebhookRequest(
        "POST", "", _json([{"number": "1"}, {"number": "2", "event_id": "own"}]), {"webhook-id": "m"}
    )
    assert [event.event_id for event in interpret(native, request).events] == ["m#0", "own"]


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
