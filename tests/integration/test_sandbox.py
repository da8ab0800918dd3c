"""The stand-in over real sockets: the documented endpoints, faults on the wire, and what it saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from trunkline.sandbox import RulesError, Sandbox, SandboxError, SandboxRules, serve

ONE, TWO = "+14155550101", "+14155550102"
INBOUND: dict[str, Any] = {"type": "inbound"}
OUTBOUND: dict[str, Any] = {"type": "outbound", "sip_endpoint": "sip:trunk.provider.com"}
KEY = {"Authorization": "Bearer sandbox-key"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.base_url, headers=KEY, timeout=5) as client:
        yield client


def attach(api: httpx.Client, *numbers: str, directions: Any = (OUTBOUND,), **more: Any) -> httpx.Response:
    body = {"phone_numbers": numbers, "directions": directions, "service": "sip"}
    return api.post("/v1/sip/attach", json=body, **more)


def detail(api: httpx.Client, number: str) -> Any:
    return api.get("/v1/sip", params={"phone_number": number}).json()["data"]


def listed(api: httpx.Client) -> set[str]:
    return {each["phone_number"] for each in api.get("/v1/sip/numbers").json()["data"]["numbers"]}


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < deadline, "it didn't happen within 5 seconds"


# the documented endpoints


def test_attach_answers_in_the_documented_envelope(api: httpx.Client) -> None:
    answer = attach(api, ONE, TWO)
    assert answer.status_code == 200
    assert answer.json() == {"data": {"configured": [ONE, TWO], "failed": []}, "errors": None}


def test_a_number_reads_back_with_its_credentials_redacted(api: httpx.Client) -> None:
    login = {"username": "pbx", "password": "pbx-password"}
    options = {"transport": "tls", "secure_media": True, "sip_username": "me", "sip_password": "sip-password"}
    directions = [
        {"type": "inbound", "auth_mode": "register", "register_auth": login},
        {**OUTBOUND, "options": options},
    ]
    assert attach(api, ONE, directions=directions).json()["data"]["register_password_for_pbx"].startswith("pbx-")
    read = detail(api, ONE)
    fields = ["number", "id", "org_id", "direction", "sip_endpoint", "created_at", "updated_at", "headers", "options"]
    assert list(read["inbound"]) == list(read["outbound"]) == fields
    assert read["inbound"]["options"] == {"auth_mode": "register"}
    assert read["outbound"]["options"]["transport"] == "tls"
    assert read["outbound"]["options"]["sip_password"] == "[REDACTED]"
    assert "-password" not in str(read)


def test_each_direction_is_overwritten_on_its_own(api: httpx.Client) -> None:
    attach(api, ONE, directions=[INBOUND])
    before = detail(api, ONE)
    attach(api, ONE)
    assert detail(api, ONE)["inbound"] == before["inbound"]
    attach(api, ONE, directions=[{**OUTBOUND, "sip_endpoint": "sip:other.example"}])
    assert detail(api, ONE)["outbound"]["sip_endpoint"] == "sip:other.example"


def test_the_listing_has_every_number_once(api: httpx.Client) -> None:
    attach(api, ONE, directions=[INBOUND, OUTBOUND])
    attach(api, TWO, directions=[INBOUND])
    assert api.get("/v1/sip/numbers").json()["data"]["numbers"] == [
        {
            "phone_number": ONE,
            "directions": ["inbound", "outbound"],
            "sip_endpoint": "sip:trunk.provider.com",
            "health_status": "unchecked",
        },
        {"phone_number": TWO, "directions": ["inbound"], "sip_endpoint": None, "health_status": "unchecked"},
    ]


def test_a_number_never_seen_is_two_nulls_or_a_404(sandbox: Sandbox, api: httpx.Client) -> None:
    assert detail(api, ONE) == {"inbound": None, "outbound": None}
    sandbox.change(unknown_number="404")
    assert api.get("/v1/sip", params={"phone_number": ONE}).status_code == 404
    assert api.get("/v1/sip").status_code == 400


def test_update_changes_one_direction_and_detach_removes_it(api: httpx.Client) -> None:
    attach(api, ONE, directions=[INBOUND, OUTBOUND])
    update = {"phone_number": ONE, "updates": {"type": "outbound", "options": {"port": 5061}}}
    assert api.post("/v1/sip/update", json=update).status_code == 200
    outbound = detail(api, ONE)["outbound"]
    assert (outbound["sip_endpoint"], outbound["options"]) == ("sip:trunk.provider.com", {"port": 5061})
    detach = {"phone_number": ONE, "directions": [{"type": "outbound"}], "service": "sip"}
    assert api.post("/v1/sip/detach", json=detach).status_code == 200
    assert detail(api, ONE)["outbound"] is None
    assert detail(api, ONE)["inbound"] is not None
    assert api.post("/v1/sip/update", json=update).status_code == 404
    assert api.post("/v1/sip/detach", json={}).status_code == api.post("/v1/sip/update", json={}).status_code == 400


@pytest.mark.parametrize("header", ["sandbox-key", "Bearer sandbox-key"])
def test_a_key_is_taken_bare_or_as_a_bearer(api: httpx.Client, header: str) -> None:
    assert api.get("/v1/me", headers={"Authorization": header}).json()["data"]["status"] == "active"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic sandbox-key"])
def test_a_wrong_key_is_a_401_everywhere(sandbox: Sandbox, api: httpx.Client, header: str) -> None:
    wrong = {"Authorization": header}
    answers = [api.get("/v1/me", headers=wrong), api.get("/v1/sip/numbers", headers=wrong)]
    for answer in [*answers, attach(api, ONE, headers=wrong)]:
        assert answer.status_code == 401
        assert answer.json()["errors"][0]["error"] == "AUTH_FAILURE"
    assert sandbox.stats()["attached"] == 0


def test_an_account_without_sip_may_still_ask_who_it_is(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.change(sip_enabled=False)
    answer = attach(api, ONE)
    assert (answer.status_code, answer.json()["errors"][0]["error"]) == (403, "SIP_NOT_ENABLED")
    assert api.get("/v1/me").status_code == 200
    sandbox.change(suspended=True)
    assert api.get("/v1/me").status_code == 403


def test_a_400_can_echo_the_request_with_its_secrets(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.change(echo_400=True, poison=[ONE])
    answer = attach(api, ONE, directions=[{**OUTBOUND, "options": {"sip_password": "sip-password"}}])
    assert answer.status_code == 400
    assert "sip-password" in answer.text
    assert "sandbox-key" in answer.text


def test_every_answer_says_that_it_is_a_stand_ins(sandbox: Sandbox, api: httpx.Client) -> None:
    requests = [("GET", "/"), ("GET", "/v1/me"), ("GET", "/v1/nothing"), ("PUT", "/v1/me"), ("GET", "/_sandbox/stats")]
    for method, path in requests:
        assert api.request(method, path).headers["X-Stand-In"] == "trunkline-sandbox"
    assert api.get("/_sandbox/stats").json()["stand_in"] is True
    assert "stand-in" in repr(sandbox)


# faults on the wire


def test_the_script_is_followed_call_by_call_and_then_the_rules_again(sandbox: Sandbox, api: httpx.Client) -> None:
    steps = [{"status": 429, "headers": {"Retry-After": "2"}}, {"status": 200}, {"status": 200, "body": "<html>"}]
    assert api.post("/_sandbox/script", json=steps).json() == {"script_left": 3}
    throttled = attach(api, ONE)
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "2")
    assert attach(api, ONE).json()["data"]["configured"] == [ONE]
    assert attach(api, TWO).text == "<html>"
    assert listed(api) == {ONE}
    assert attach(api, TWO).json()["data"]["configured"] == [TWO]


@pytest.mark.parametrize(("fault", "commits"), [("cut_before", False), ("cut_after", True), ("cut_midway", True)])
def test_a_connection_is_cut_before_or_after_the_numbers_are_attached(
    sandbox: Sandbox, api: httpx.Client, fault: str, commits: bool
) -> None:
    sandbox.script([{"fault": fault}])
    with pytest.raises(httpx.RemoteProtocolError):
        attach(api, ONE)
    assert listed(api) == ({ONE} if commits else set())


@pytest.mark.parametrize(("fault", "commits"), [("hang_before", False), ("hang_after", True)])
def test_a_silent_api_may_have_attached_the_numbers(
    sandbox: Sandbox, api: httpx.Client, fault: str, commits: bool
) -> None:
    sandbox.script([{"fault": fault, "seconds": 60}])
    with pytest.raises(httpx.ReadTimeout):
        attach(api, ONE, timeout=0.2)
    assert listed(api) == ({ONE} if commits else set())


def test_read_backs_can_be_scripted_too(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.script(
        [{"on": "numbers", "status": 502}, {"on": "number", "fault": "cut_before"}, {"on": "me", "status": 403}]
    )
    assert api.get("/v1/sip/numbers").headers["Content-Type"] == "text/html"
    with pytest.raises(httpx.RemoteProtocolError):
        detail(api, ONE)
    assert api.get("/v1/me").status_code == 403
    assert attach(api, ONE).status_code == 200


def test_429s_come_in_bursts(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.change(rate_429=1.0, burst_429=3)
    assert attach(api, ONE).status_code == 429
    api.post("/_sandbox/rules", json={"rate_429": 0.0})
    assert attach(api, ONE).status_code == 200
    sandbox.change(rate_429=0.2, burst_429=5)
    statuses = [attach(api, f"+1415555{n:04}").status_code for n in range(60)]
    runs = "".join("x" if status == 429 else "." for status in statuses).strip("x").split(".")
    assert {len(run) % 5 for run in runs} == {0}
    assert any(runs)


def test_the_same_seed_fails_the_same_numbers_whatever_the_threads_do() -> None:
    batches = [[f"+1415{batch:03}{n:04}" for n in range(100)] for batch in range(100, 108)]

    def failed_of(seed: int) -> set[str]:
        rules = SandboxRules(latency_s=0, fail_rate=0.1, seed=seed, failed_shape="string")
        with (
            Sandbox(rules) as sandbox,
            httpx.Client(base_url=sandbox.base_url, headers=KEY) as client,
            ThreadPoolExecutor(4) as threads,
        ):
            answers = threads.map(lambda batch: attach(client, *batch).json()["data"]["failed"], batches)
            return {number for failed in answers for number in failed}

    assert failed_of(7) == failed_of(7) != failed_of(8)


# what it saw


def test_the_counts_are_of_what_came_and_what_became_of_it(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.script([{"failed": {TWO: "no"}}, {"status": 503}, {"fault": "cut_after"}])
    attach(api, ONE, ONE, TWO)
    attach(api, TWO)
    with pytest.raises(httpx.RemoteProtocolError):
        attach(api, TWO)
    attach(api, *(f"+1415555{n:04}" for n in range(101)))
    stats = api.get("/_sandbox/stats").json()
    assert stats == sandbox.stats()
    assert stats["calls"] == {"attach": 4}
    assert stats["attach"] == {
        "numbers": 106,
        "configured": 2,
        "failed": 1,
        "by_status": {"200": 1, "503": 1, "cut": 1, "400": 1},
        "by_fault": {"script": 1, "cut_after": 1},
    }
    assert (stats["attached"], stats["max_batch"], stats["duplicates_in_call"]) == (2, 101, 1)


def test_a_number_sent_again_after_an_answered_success_is_counted(sandbox: Sandbox, api: httpx.Client) -> None:
    attach(api, ONE, TWO)
    attach(api, ONE, directions=[INBOUND])
    attach(api, ONE, directions=[{**OUTBOUND, "sip_endpoint": "sip:other.example"}])
    assert sandbox.stats()["sent_again_after_success"] == 0
    attach(api, TWO)
    assert sandbox.stats()["sent_again_after_success"] == 1
    assert sandbox.stats()["sent_again_numbers"] == [TWO]


def test_a_success_that_nobody_heard_of_may_be_sent_again(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.script([{"fault": "cut_after"}, {"fault": "hang_after"}, {"status": 500, "commit": True}])
    with pytest.raises(httpx.RemoteProtocolError):
        attach(api, ONE)
    with pytest.raises(httpx.ReadTimeout):
        attach(api, ONE, timeout=0.2)
    attach(api, ONE)
    attach(api, ONE)
    sandbox.forget(ONE)
    attach(api, ONE)
    assert sandbox.stats()["sent_again_after_success"] == 0
    assert sandbox.stats()["in_two_calls_at_once"] == 0, "the client had given up the first call"
    assert sandbox.stats()["max_concurrent"] == 1


def test_a_number_in_two_calls_at_once_is_counted(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.script([{"fault": "hang_after", "seconds": 60}])
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(attach, api, ONE, TWO)
        until(lambda: ONE in listed(api))
        attach(api, ONE)
        stats = sandbox.stats()
        sandbox.stop()
    assert isinstance(slow.exception(), httpx.TransportError)
    assert (stats["in_two_calls_at_once"], stats["in_two_calls_numbers"], stats["max_concurrent"]) == (1, [ONE], 2)


def test_the_log_has_each_call_and_no_secret(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.script([{"failed": {TWO: "no"}}, {"fault": "cut_before"}])
    attach(api, ONE, TWO, directions=[{**OUTBOUND, "options": {"sip_password": "sip-password"}}])
    with pytest.raises(httpx.RemoteProtocolError):
        attach(api, TWO)
    log = api.get("/_sandbox/log").json()
    assert [call["numbers"] for call in log] == [[ONE, TWO], [TWO]]
    assert [(call["configured"], call["failed"], call["status"]) for call in log] == [
        ([ONE], [TWO], 200),
        ([], [], None),
    ]
    assert [(call["fault"], call["answered"]) for call in log] == [(None, True), ("cut_before", False)]
    assert log[0]["monotonic"] < log[1]["monotonic"]
    assert log[0]["at"].endswith("Z")
    told = api.get("/_sandbox/log").text + api.get("/_sandbox/stats").text + api.get("/_sandbox/rules").text
    assert "password" not in told
    assert "sandbox-key" not in told


def test_rules_and_scripts_that_make_no_sense_change_nothing(sandbox: Sandbox, api: httpx.Client) -> None:
    assert api.post("/_sandbox/rules", json={"fail_rate": 2}).status_code == 400
    assert api.post("/_sandbox/rules", content=b"{").status_code == 400
    assert api.post("/_sandbox/rules", json=[]).status_code == 400
    assert api.post("/_sandbox/script", json=[{"status": 1}]).status_code == 400
    assert api.post("/_sandbox/forget", json={}).status_code == 400
    with pytest.raises(RulesError):
        sandbox.change(latency=1)
    assert sandbox.rules.fail_rate == 0


# starting and stopping


def test_a_port_that_is_taken_is_said_so(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"can't listen on 127\.0\.0\.1:"):
        Sandbox(port=int(sandbox.base_url.rpartition(":")[2]))


def test_stopping_cuts_what_is_under_way_and_twice_is_once(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.script([{"on": "me", "fault": "hang_before", "seconds": 600}])
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(api.get, "/v1/me", timeout=30)
        until(lambda: "me" in sandbox.stats()["calls"])
        sandbox.stop()
        sandbox.stop()
        assert isinstance(asked.exception(), httpx.TransportError)


def test_serve_answers_until_it_is_interrupted(capfd: pytest.CaptureFixture[str]) -> None:
    started: list[str] = []

    def interrupt(base_url: str) -> None:
        started.append(base_url)
        raise KeyboardInterrupt

    serve(SandboxRules(), port=0, on_start=interrupt)
    assert started[0].startswith("http://127.0.0.1:")
    with pytest.raises(httpx.ConnectError):
        httpx.get(started[0])
    assert capfd.readouterr() == ("", "")


def test_a_request_it_cannot_read_is_refused_and_the_next_is_answered(api: httpx.Client) -> None:
    assert api.post("/v1/sip/attach", content=iter([b"chunk"])).status_code == 411
    assert api.post("/v1/sip/attach", content=b"not json").status_code == 400
    assert attach(api, ONE).status_code == 200
