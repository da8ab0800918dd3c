"""What a delivery may decide and what not: profiles, force, ids and unsigned parts of the request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.receivers import secret, settings_with
from trunkline_producers.sources import Source, interpret, read_sources
from trunkline_producers.webhooks.bodies import Unreadable
from trunkline_producers.webhooks.mapping import event_id_of
from trunkline_producers.webhooks.request import WebhookRequest

NUMBER = "+14155550100"
OPEN = {"verify": {"scheme": "none"}}
HMAC = {"verify": {"scheme": "hmac", "header": "X-Signature"}, "keys": [secret("k")]}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def source(**table: Any) -> Source:
    settings = settings_with({"s": table})
    sources, mistakes = read_sources(settings.sources, settings.server, need_secrets=True)
    assert mistakes == []
    return sources["s"]


def sent(event: object, **headers: str) -> WebhookRequest:
    return WebhookRequest("POST", "", json.dumps(event).encode(), headers)


@pytest.mark.parametrize("asked", [{"profile": "other"}, {"force": True}])
def test_a_source_with_a_profile_may_not_choose_another_nor_force(asked: dict[str, object]) -> None:
    request = sent({"event_id": "1", "number": NUMBER, **asked})
    bound = interpret(source(type="native", profile="support", **OPEN), request)
    assert (bound.events, [fault.place for fault in bound.faults]) == ((), [next(iter(asked))])
    free = interpret(source(type="native", profile="support", may_choose=True, **OPEN), request)
    assert len(free.events) == 1


def test_a_source_without_a_profile_may_name_one() -> None:
    mapped = interpret(source(type="native", **OPEN), sent({"event_id": "1", "number": NUMBER, "profile": "p"}))
    assert [event.profile for event in mapped.events] == ["p"]


def test_different_parts_never_make_the_same_id() -> None:
    ids = [event_id_of(parts, None) for parts in (["urn:crm", "eu:42"], ["urn:crm:eu", "42"], ["urn:crm\\", "eu:42"])]
    assert len(set(ids)) == 3
    assert event_id_of(["KW1", "completed", "2026-11-22T12:00:00Z"], None) == "KW1:completed:2026-11-22T12:00:00Z"


def test_an_event_too_deep_to_be_told_from_others_is_a_fault_and_no_duplicate() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    item = {"number": NUMBER, "deep": deep}
    mapped = interpret(source(number="number", **OPEN), sent(item))
    assert len(mapped.events) + len(mapped.faults) == 1


def test_a_query_that_nobody_signed_says_nothing() -> None:
    request = WebhookRequest("POST", f"https://hooks.example.com/hooks/s?number={NUMBER}", b"", FORM)
    with_token = {"verify": {"scheme": "bearer"}, "keys": [secret("k")]}
    assert len(interpret(source(number="number", **with_token), request).events) == 1
    mapped = interpret(source(number="number", **HMAC), request)
    assert (mapped.events, len(mapped.faults)) == ((), 1)
    with pytest.raises(Unreadable):
        interpret(source(number="number", **HMAC), WebhookRequest("POST", request.url, b"", {}))


def test_the_id_of_a_standard_webhook_is_the_one_that_was_signed() -> None:
    standard = source(type="standard-webhooks", keys=[secret("whsec_" + "A" * 32)])
    headers = {"svix-id": "signed", "svix-signature": "v1,x", "webhook-id": "anything"}
    (event,) = interpret(standard, sent({"number": NUMBER}, **headers)).events
    assert event.event_id == "signed"


@pytest.mark.parametrize("name", ["api", "cli", "import"])
def test_a_source_has_no_name_of_trunklines_own(name: str) -> None:
    settings = settings_with({name: {"type": "native", **OPEN}})
    (mistake,) = read_sources(settings.sources, settings.server, need_secrets=True)[1]
    assert mistake.place == f"sources.{name}"


def test_a_token_in_the_path_and_a_url_of_ones_own_do_not_go_together() -> None:
    table = {"number": "n", "verify": {"scheme": "path-token"}, "keys": [secret("k")], "url": "https://x.example/y"}
    settings = settings_with({"s": table})
    assert [m.place for m in read_sources(settings.sources, settings.server, need_secrets=True)[1]] == ["sources.s.url"]


def test_a_section_with_an_api_and_no_keys_is_only_polled() -> None:
    polled = {"type": "twilio", "api": {"account": "AC1", "key": secret("k")}, "profile": "support"}
    for key in ("k", ""):  # whether the key is there, who asks with it will say
        settings = settings_with({"s": {**polled, "api": {"account": "AC1", "key": secret(key)}}}, public_url=None)
        assert read_sources(settings.sources, settings.server, need_secrets=True) == ({}, [])
    for wrong, place in (({"api": {"account": "AC1"}}, "api.key"), ({"number": "n"}, "number")):
        settings = settings_with({"s": {**polled, **wrong}}, public_url=None)
        (mistake,) = read_sources(settings.sources, settings.server, need_secrets=True)[1]
        assert mistake.place == f"sources.s.{place}"
