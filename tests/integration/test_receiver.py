"""Deliveries over HTTP: what a sender is answered, and what then is in the store and with the operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.receivers import Clock, Site, receiving, secret, settings_with
from support.servers import Server
from support.store_audit import audit
from support.webhook_signers import base64, mac
from trunkline.bootstrap import policies_of
from trunkline.events.routing import Route, When
from trunkline.store import Store, rejections
from trunkline.store.queries import books, entries_of
from trunkline.store.rejections import StoredRejection

GOOD, OTHER, BRITISH = "+14155550100", "+14155550101", "+442071838750"
OPEN = {"verify": {"scheme": "none"}}
CAP = 4_096
XML = {"status": 200, "media_type": "text/xml", "body": "<Ack>true</Ack>"}
SOURCES: dict[str, dict[str, Any]] = {
    "crm": {"type": "native", "profile": "support", **OPEN},
    "routed": {"type": "native", **OPEN},
    "signed": {
        "type": "github-style",
        "keys": [secret("k")],
        "number": "number",
        "event_id": "id",
        "profile": "support",
    },
    "basic": {"number": "number", "verify": {"scheme": "basic", "username": "carrier"}, "keys": [secret("pw")]},
    "bearer": {"number": "number", "verify": {"scheme": "bearer"}, "keys": [secret("pw")]},
    "banning": {"number": "number", "event_id": "id", "on_rejected": "accept", "redact": ["token"], **OPEN},
    "acking": {
        "number": "number",
        "event_id": "id",
        "answer": XML,
        "on_rejected": "accept",
        "profile": "support",
        **OPEN,
    },
    "silent": {"number": "number", "event_id": "id", "answer": {"status": 204}, "profile": "support", **OPEN},
    "form": {"type": "didww", "number": "number", "event_id": "id", "profile": "support", **OPEN},
    "picky": {"number": "number", "event_id": "id", "match": "kind == 'bought'", "profile": "support", **OPEN},
}
ROUTES = (Route(when=When(country="US"), profile="support"),)


@pytest.fixture(scope="module")
def shared(valkey: Server) -> Iterator[Site]:
    with valkey.client() as client:
        store = Store(client)
        with receiving(store, settings_with(SOURCES, routes=ROUTES, max_body_bytes=CAP), clock=Clock()) as site:
            yield site


@pytest.fixture
def site(shared: Site) -> Site:
    """The receiver of this file, its store as after its start."""
    shared.store._client.flushdb()
    shared.store.publish(policies_of(settings_with(SOURCES)))
    return shared


def event(event_id: str = "evt_1", *numbers: str, **more: Any) -> str:
    return json.dumps({"event_id": event_id, "numbers": numbers or (GOOD,), **more})


def kept(site: Site) -> list[StoredRejection]:
    return rejections.listed(site.store)


def counted(site: Site) -> dict[str, int]:
    return dict(books(site.store).events)


def told(answer: httpx.Response) -> tuple[int, int, int, list[str]]:
    said = answer.json()
    return said["accepted"], said["coalesced"], said["duplicate"], [each["code"] for each in said["rejected"]]


def test_a_delivery_is_answered_once_it_is_stored(site: Site) -> None:
    answer = site.post("crm", event())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"accepted": 1, "coalesced": 0, "duplicate": 0, "rejected": []}
    (entry,) = entries_of(site.store, GOOD)
    assert (entry.profile, entry.source) == ("support", "crm")


def test_the_same_delivery_again_is_a_duplicate(site: Site) -> None:
    site.post("crm", event())
    assert told(site.post("crm", event())) == (0, 0, 1, [])
    assert counted(site) == {"accepted": 1, "duplicate": 1, "rejected": 0}


def test_an_event_that_no_case_is_for_is_ignored(site: Site) -> None:
    answer = site.post("picky", '{"kind": "sold", "number": "+14155550100", "id": "1"}')
    assert (answer.status_code, answer.json()["ignored"], kept(site)) == (200, 1, [])


@pytest.mark.parametrize("path", ["nobody", "", "CRM", "crm%00", "hooks", "%ff", "crm.", "nobody/crm"])
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS", "DELETE"])
def test_whoever_asks_for_a_source_that_is_not_there_learns_nothing(site: Site, path: str, method: str) -> None:
    answer = site.client.request(method, httpx.URL(site.url).copy_with(raw_path=f"/hooks/{path}".encode()))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank", "title": "There is no such source", "status": 404, "code": "unknown_source",
    }  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_method_that_a_source_does_not_use_is_answered_with_those_that_it_does(site: Site, method: str) -> None:
    answer = site.client.request(method, "/hooks/crm")
    assert (answer.status_code, answer.headers["allow"], answer.json()["code"]) == (405, "POST", "method")


def test_head_has_no_body_and_leaves_the_connection_usable(site: Site) -> None:
    assert site.client.head("/hooks/crm").status_code == 405
    assert site.client.head("/hooks/nobody").status_code == 404
    assert site.client.get("/healthz").status_code == 200


def test_a_source_by_get_is_read_from_its_query(site: Site) -> None:
    answer = site.client.get("/hooks/form", params={"number": GOOD, "id": "1"})
    assert (answer.status_code, told(answer)) == (200, (1, 0, 0, []))
    assert site.client.put("/hooks/form").headers["allow"] == "POST, GET"


def test_the_handshake_of_cloudevents_is_answered(site: Site) -> None:
    asked = {"WebHook-Request-Origin": "eventgrid.example.com", "WebHook-Request-Rate": "100"}
    answer = site.client.options("/hooks/crm", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["webhook-allowed-origin"] == "eventgrid.example.com"
    assert answer.headers["webhook-allowed-rate"] == "*"
    assert answer.headers["allow"] == "POST"
    plain = site.client.options("/hooks/crm")
    assert (plain.status_code, plain.content) == (204, b"")


def test_a_delivery_with_a_wrong_signature_is_refused_and_leaves_nothing(site: Site) -> None:
    body = json.dumps({"number": GOOD, "id": "1"})
    signature = f"sha256={mac('k', body.encode()).hex()}"
    for sent in ({}, {"X-Hub-Signature-256": "sha256=00"}, {"X-Hub-Signature-256": signature[:-1] + "g"}):
        answer = site.post("signed", body, sent)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert "www-authenticate" not in answer.headers
    assert site.post("signed", body + " ", {"X-Hub-Signature-256": signature}).json()["code"] == "bad_signature"
    assert (kept(site), counted(site)) == ([], {"accepted": 0, "duplicate": 0, "rejected": 0})
    assert site.post("signed", body, {"X-Hub-Signature-256": signature}).status_code == 200


def test_credentials_are_asked_for_in_the_words_of_http(site: Site) -> None:
    assert site.post("basic", "{}").headers["www-authenticate"] == 'Basic realm="trunkline"'
    assert site.post("bearer", "{}").headers["www-authenticate"] == "Bearer"
    right = {"Authorization": "Basic " + base64(b"carrier:pw")}
    assert site.post("basic", "{}", right).status_code == 422


def test_what_can_not_be_understood_is_refused_and_kept_once_however_often_it_comes(site: Site) -> None:
    for _ in range(2):
        answer = site.post("crm", '{"event_id": ')
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        said = answer.json()
        assert (said["code"], said["detail"]) == ("invalid_event", "the body is not JSON (line 1, column 14)")
    (one,) = kept(site)
    assert (one.id, one.source, one.code, one.times) == (said["kept"], "crm", "invalid_event", 2)
    assert (one.body, one.method, one.url) == (b'{"event_id": ', "POST", "https://hooks.example.com/hooks/crm")
    assert counted(site)["rejected"] == 2


def test_a_source_that_would_ban_us_is_answered_2xx_and_its_delivery_kept_less_its_secrets(site: Site) -> None:
    answer = site.post("banning", '{"id": "1", "token": "s3cret", "number": {}}', {"X-Secret": "s3cret"})
    assert (answer.status_code, told(answer)) == (200, (0, 0, 0, ["invalid_event"]))
    (one,) = kept(site)
    assert one.body == b'{"id": "1", "token": "[redacted]", "number": {}}'
    assert one.headers == {"content-type": "application/json"}


def test_a_source_is_answered_as_it_wants_to_be(site: Site) -> None:
    for body in ('{"id": "1", "number": "+14155550100"}', "not JSON"):
        answer = site.post("acking", body)
        assert (answer.status_code, answer.headers["content-type"], answer.text) == (200, "text/xml", "<Ack>true</Ack>")
    assert len(kept(site)) == 1


def test_an_answer_without_contents_has_none(site: Site) -> None:
    for event_id in ("1", "1", "2"):  # on one connection: whatever were left over would be taken for an answer
        answer = site.post("silent", json.dumps({"id": event_id, "number": GOOD}))
        assert (answer.status_code, answer.content) == (204, b"")


def test_refused_numbers_are_told_beside_those_that_were_taken_and_the_event_may_come_again(site: Site) -> None:
    answer = site.post("crm", event("evt_1", GOOD, "nonsense", OTHER))
    assert (answer.status_code, told(answer)) == (200, (2, 0, 0, ["invalid_number"]))
    assert [rejected["number"] for rejected in answer.json()["rejected"]] == ["nonsense"]
    assert [(one.code, one.whole) for one in kept(site)] == [("invalid_number", True)]
    assert told(site.post("crm", event("evt_1", GOOD, "nonsense", OTHER))) == (2, 2, 0, ["invalid_number"])


@pytest.mark.parametrize(
    ("encoding", "status"), [("gzip", 415), ("br", 415), ("identity, gzip", 415), ("identity", 200), ("", 200)]
)
def test_a_body_is_taken_as_it_was_signed_so_not_compressed(site: Site, encoding: str, status: int) -> None:
    answer = site.post("crm", event(), {"Content-Encoding": encoding})
    assert answer.status_code == status
    assert status == 200 or answer.json()["code"] == "encoded"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(site: Site, chunked: bool) -> None:
    def padded(size: int) -> bytes:
        return event().encode().ljust(size)

    def post(body: bytes) -> httpx.Response:
        parts = (body[start : start + 1_000] for start in range(0, len(body), 1_000))
        return site.client.post("/hooks/crm", content=parts if chunked else body)

    assert post(padded(CAP)).status_code == 200
    answer = post(padded(CAP + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.json()["detail"] == f"At most {CAP} bytes are taken."
    assert post(padded(CAP)).status_code == 200, "the connection can be used on"


@pytest.mark.parametrize("mended", [False, True])
def test_a_number_that_no_route_matched_is_taken_when_its_event_comes_again_after_the_routes_were_mended(
    store: Store, mended: bool
) -> None:
    body = event("evt_1", GOOD, BRITISH)
    with receiving(store, settings_with({"routed": SOURCES["routed"]}, routes=ROUTES)) as site:
        assert told(site.post("routed", body)) == (1, 0, 0, ["no_route"])
        assert [one.code for one in kept(site)] == ["no_route"]
    more = (*ROUTES, Route(when=When(country="GB"), profile="support")) if mended else ROUTES
    with receiving(store, settings_with({"routed": SOURCES["routed"]}, routes=more)) as site:
        assert told(site.post("routed", body)) == ((2, 1, 0, []) if mended else (1, 1, 0, ["no_route"]))
        assert told(site.post("routed", body)) == ((0, 0, 1, []) if mended else (1, 1, 0, ["no_route"]))
        assert bool(entries_of(store, BRITISH)) is mended
        assert audit(store) == []
