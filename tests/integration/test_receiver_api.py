"""/v1/events for programs, and /healthz and /readyz for the platform."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.raw_http import connected, head
from support.receivers import Site, receiving, settings_with
from support.servers import Server, running
from support.store_audit import audit
from trunkline.bootstrap import policies_of
from trunkline.config.settings import Settings
from trunkline.events.routing import Route, When
from trunkline.store import Store, rejections
from trunkline.store.queries import books, entries_of
from trunkline_producers.deliveries.replay import Replayer
from trunkline_producers.enqueue.enqueuer import Enqueuer
from trunkline_producers.receiver import readiness

GOOD, OTHER, BRITISH = "+14155550100", "+14155550101", "+442071838750"
EVENT = {"event_id": "evt_1", "number": GOOD, "profile": "support"}
CLOUDEVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/billing",
    "type": "number.bought",
    "data": {"number": GOOD, "profile": "support"},
}
STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
ROUTES = (Route(when=When(country="US"), profile="support"),)
TOKEN = "t0ken"
CAP = 65_536


def local(**more: Any) -> Settings:
    """Settings of a receiver that nobody reaches from outside."""
    return settings_with({}, **{"routes": ROUTES, "public_url": None, **more})


@pytest.fixture(scope="module")
def shared(valkey: Server) -> Iterator[Site]:
    with valkey.client() as client:
        client.flushdb()
        with receiving(Store(client), local(max_body_bytes=CAP)) as site:
            yield site


@pytest.fixture
def site(shared: Site) -> Site:
    """The receiver of this file, its store as after its start."""
    shared.store._client.flushdb()
    shared.store.publish(policies_of(settings_with({})))
    return shared


def post(site: Site, body: object, kind: str = "application/json", **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return site.client.post("/v1/events", content=content, headers={"Content-Type": kind, **named})


def told(answer: httpx.Response) -> tuple[int, int, int, list[str]]:
    said = answer.json()
    return said["accepted"], said["coalesced"], said["duplicate"], [each["code"] for each in said["rejected"]]


def test_an_event_is_accepted_once(site: Site) -> None:
    answer = post(site, EVENT)
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/json")
    assert answer.json() == {"accepted": 1, "coalesced": 0, "duplicate": 0, "rejected": []}
    assert (post(site, EVENT).status_code, told(post(site, EVENT))) == (202, (0, 0, 1, []))


def test_an_array_is_several_events_in_their_order(site: Site) -> None:
    several = [EVENT, {"event_id": "evt_2", "numbers": [GOOD, OTHER]}, EVENT, {"event_id": "evt_3", "number": "?"}]
    assert told(post(site, several)) == (3, 1, 1, ["invalid_number"])
    assert told(post(site, [])) == (0, 0, 0, [])


@pytest.mark.parametrize(
    ("body", "kind", "headers"),
    [
        (CLOUDEVENT, STRUCTURED, {}),
        ([CLOUDEVENT], BATCHED, {}),
        (
            CLOUDEVENT["data"],
            "application/json",
            {f"ce_{name}": CLOUDEVENT[name] for name in ("specversion", "id", "source", "type")},
        ),
        (
            {**CLOUDEVENT, "data": None, "data_base64": b64encode(json.dumps(CLOUDEVENT["data"]).encode()).decode()},
            STRUCTURED,
            {},
        ),
    ],
    ids=["structured", "batched", "binary", "base64"],
)
def test_cloudevents_are_taken_in_every_mode(site: Site, body: object, kind: str, headers: dict[str, str]) -> None:
    answer = post(site, body, kind, **headers)
    assert (answer.status_code, told(answer)) == (202, (1, 0, 0, []))
    assert told(post(site, CLOUDEVENT, STRUCTURED)) == (0, 0, 1, []), "the same event in another mode"
    assert entries_of(site.store, GOOD)[0].event_ids == ("/billing:1",)


def test_bad_items_of_a_batch_cost_none_of_the_others(site: Site) -> None:
    answer = post(site, [7, CLOUDEVENT, {}, {**CLOUDEVENT, "id": "2", "data": {"number": OTHER, "nr": 1}}], BATCHED)
    assert (answer.status_code, told(answer)) == (202, (1, 0, 0, ["invalid_event"] * 3))
    mixed = post(site, [{"event_id": "evt_9", "number": OTHER}, 3, {"event_id": ""}])
    assert (mixed.status_code, mixed.json()["accepted"]) == (202, 1)
    places = [each["message"].partition(":")[0] for each in mixed.json()["rejected"]]
    assert places == ["[1]", "[2].number", "[2].event_id"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "unreadable"),
        (b"", "application/json", 400, "unreadable"),
        (b"\xff", "application/json", 400, "unreadable"),
        (b"{}", BATCHED, 400, "unreadable"),
        (b"[" + b"{}," * 10_000 + b"{}]", "application/json", 400, "unreadable"),
        (b"[" + b"{}," * 10_000 + b"{}]", BATCHED, 400, "unreadable"),
        (b"{}", "text/plain", 415, "media_type"),
        (b"a=1", "application/x-www-form-urlencoded", 415, "media_type"),
        (b"{}", "", 415, "media_type"),
        (b"x" * (CAP + 1), "application/json", 413, "too_large"),
        (b"{}", "application/json", 422, "invalid_event"),
        (b"7", "application/vnd.acme+json", 422, "invalid_event"),
        (b'{"event_id": "1", "number": "nonsense"}', "application/json", 422, "invalid_number"),
        (
            b'{"event_id": "1", "number": "+14155550100", "profile": "suport"}',
            "application/json",
            422,
            "unknown_profile",
        ),
        (b'{"event_id": "1", "number": "+442071838750"}', "application/json", 422, "no_route"),
    ],
)
def test_what_can_not_be_taken_is_a_problem_with_a_code(
    site: Site, body: bytes, kind: str, status: int, code: str
) -> None:
    answer = post(site, body, kind)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, status, code)
    if status == 422:
        assert told(answer)[:3] == (0, 0, 0)
        assert answer.json()["detail"]


def test_a_body_that_is_encoded_is_refused(site: Site) -> None:
    assert post(site, EVENT, content_encoding="gzip").json()["code"] == "encoded"


def test_a_full_queue_says_when_to_come_again(store: Store) -> None:
    store.max_waiting = 1
    with receiving(store, local()) as site:
        answer = post(site, [EVENT, {"event_id": "evt_2", "number": OTHER}])
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
        assert told(answer) == (1, 0, 0, ["queue_full"])
        store.max_waiting = 5
        assert told(post(site, [EVENT, {"event_id": "evt_2", "number": OTHER}])) == (1, 0, 1, [])


def test_what_no_route_matches_is_kept_for_the_operator_and_replayed_when_the_routes_are_mended(store: Store) -> None:
    several = [
        {"event_id": "evt_1", "number": GOOD},
        {"event_id": "evt_2", "numbers": [OTHER, BRITISH], "source": "billing", "metadata": {"a": "é"}, "force": True},
        {"event_id": "evt_3", "number": "nonsense"},
    ]
    with receiving(store, local()) as site:
        for _ in range(2):
            answer = post(site, several)
            assert (answer.status_code, told(answer)[3]) == (202, ["no_route", "invalid_number"])
    (kept,) = rejections.listed(store)
    assert (kept.code, kept.source, kept.times) == ("no_route", "billing", 2)

    def replayer(*routes: Route) -> Replayer:
        enqueuer = Enqueuer.from_settings(store, settings_with({}, routes=routes))
        return Replayer(enqueuer, {}, lambda _source, _thin: (), str)

    still = replayer(*ROUTES).replay(kept)
    assert still.kept is not None
    assert len(rejections.listed(store)) == 1
    done = replayer(*ROUTES, Route(when=When(country="GB"), profile="support")).replay(kept)
    assert (done.summary.accepted, done.kept) == (2, None)
    (entry,) = entries_of(store, BRITISH)
    assert (entry.source, json.loads(entry.metadata)) == ("billing", {"a": "é"})
    assert rejections.listed(store) == []
    assert audit(store) == []


def test_with_a_token_it_is_for_whoever_has_it(store: Store) -> None:
    with receiving(store, local(token=TOKEN)) as site:
        refused = post(site, EVENT)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert post(site, EVENT, authorization="Bearer wrong").json()["code"] == "unauthorized"
        assert post(site, b"{", authorization="Bearer wrong").status_code == 401, "before anything is read"
        assert post(site, EVENT, authorization=f"Bearer {TOKEN}", x_forwarded_for="203.0.113.7").status_code == 202
        assert site.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": "127.0.0.1"},
        {"origin": "https://attacker.example"},
        {"host": "attacker.example"},
        {"via": "1.1 a"},
    ],
)
def test_without_a_token_it_is_for_this_machine_only(site: Site, headers: dict[str, str]) -> None:
    answer = post(site, EVENT, **headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "loopback_only")
    assert books(site.store).events["accepted"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/events", 405),
        ("PUT", "/v1/events", 405),
        ("POST", "/healthz", 405),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/events/", 404),
        ("GET", "/hooks", 404),
        ("GET", "/docs", 404),
    ],
)
def test_what_is_not_there_is_a_problem_too(site: Site, method: str, path: str, status: int) -> None:
    answer = site.client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert ("allow" in answer.headers) is (status == 405)


def test_where_it_is_public_it_needs_a_token(store: Store) -> None:
    with receiving(store, local(public_url="https://hooks.example.com")) as site:
        answer = post(site, EVENT)
        assert (answer.status_code, answer.json()["code"]) == (403, "loopback_only")


def test_many_programs_at_once_are_each_answered_for_their_own(site: Site) -> None:
    def one(index: int) -> tuple[int, int, int, list[str]]:
        numbers = [f"+1415{5_550_000 + index * 10 + each:07d}" for each in range(index % 4 + 1)]
        return told(post(site, {"event_id": f"evt_{index}", "numbers": numbers, "profile": "support"}))

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(one, range(100))) == [(index % 4 + 1, 0, 0, []) for index in range(100)]
    assert audit(site.store) == []


def test_a_store_that_is_away_is_said_to_programs_and_to_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "READY_S", 0.2)
    monkeypatch.setattr(readiness, "FRESH_S", 0.0)
    with (
        running("valkey", tmp_path) as server,
        server.client() as client,
        receiving(Store(client), local()) as site,
    ):
        assert site.client.get("/readyz").json() == {"status": "ready"}
        server.process.kill()
        server.process.wait(30)
        for answer in (
            post(site, EVENT),
            post(site, {**EVENT, "number": BRITISH, "profile": None}),
            site.client.get("/readyz"),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["code"] == "unavailable"
        assert site.client.get("/healthz").json() == {"status": "alive"}


def test_a_program_that_hangs_up_while_it_sends_is_no_trouble(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with connected(site.url) as line:
        line.send(head("POST", "/v1/events", content_type="application/json", content_length=100), b"{")
    assert site.client.get("/healthz").status_code == 200
    assert caplog.records == []
