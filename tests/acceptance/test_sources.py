"""Sources as an operator sets them up: what is wrong is told at once, a payload is tried out, a route mended later."""

from __future__ import annotations

import hashlib
import hmac
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from acceptance.running import TRUNKLINE, Running
from acceptance.test_receiving import address
from acceptance.worker_harness import Commands, environment
from support.servers import Server

KEY = "shop-key"
BODY = '{"id": "A-17", "phones": ["(415) 555-0123", "+442071838750"]}'
CONFIGURATION = """
[store]
url = "{url}"
acknowledge = "memory"
[profiles.us]
directions = [{{ type = "inbound" }}]
[profiles.uk]
directions = [{{ type = "inbound" }}]
[sources.shop]
verify = {{ scheme = "hmac", header = "X-Signature" }}
keys = [{{ env = "SHOP_KEY" }}]
number = "phones"
event_id = "id"
[[routes]]
when = {{ country = "US" }}
profile = "us"
"""
UK_TOO = '[[routes]]\nwhen = { country = "GB" }\nprofile = "uk"\n'
BAD = """
[retry]
max_attempts = 0
[sources.shop]
verify = { scheme = "hmca", header = "X-Signature" }
number = "phones["
[sources.tel]
type = "telnix"
[sources.crm]
type = "hubspot"
keys = [{ env = "CRM_KEY" }]
"""


def signed(body: str) -> dict[str, str]:
    return {"X-Signature": hmac.new(KEY.encode(), body.encode(), hashlib.sha256).hexdigest()}


@pytest.fixture
def trunkline(valkey: Server, tmp_path: Path) -> Iterator[Commands]:
    with valkey.client() as client:
        client.flushdb()
    config = tmp_path / "trunkline.toml"
    config.write_text(CONFIGURATION.format(url=valkey.url), "utf-8")
    with Commands(tmp_path, environment(TRUNKLINE_CONFIG=config, BLAND_API_KEY="key", SHOP_KEY=KEY)) as commands:
        yield commands


def test_a_payload_is_tried_out_without_storing_anything(trunkline: Commands) -> None:
    (header,) = (f"{name}: {value}" for name, value in signed(BODY).items())
    tried = trunkline("sources", "test", "shop", "--body", "-", "-H", header, stdin=BODY)
    assert tried.code == 1  # one number has no route
    assert "signature: verified with the key SHOP_KEY" in tried.out
    assert "+14155550123 → us" in tried.out
    assert "+442071838750 → no_route: " in tried.out
    document = trunkline("sources", "test", "shop", "--body", "-", "--json", stdin=BODY).json
    assert document["verified"]["reason"] == "missing_signature"
    assert [event["event_id"] for event in document["events"]] == ["A-17"]
    assert trunkline("status", "--json").json["events"] == {"accepted": 0, "duplicate": 0, "rejected": 0}


def test_the_sources_and_the_types_are_listed(trunkline: Commands) -> None:
    listed = trunkline("sources", "list", "--json").json
    assert listed["sources"] == [
        {"source": "shop", "type": "generic", "path": "/hooks/shop", "profile": "by the routes", "keys": ["SHOP_KEY"]}
    ]
    assert {"telnyx", "twilio", "bandwidth", "hubspot", "salesforce"} <= {known["type"] for known in listed["types"]}
    assert "/hooks/shop" in trunkline("sources", "list").out


@pytest.mark.parametrize("command", ["check", "serve --port 0", "sources list"])
def test_mistakes_in_sources_are_listed_with_all_others(trunkline: Commands, tmp_path: Path, command: str) -> None:
    (tmp_path / "bad.toml").write_text(BAD, "utf-8")
    ran = trunkline(*command.split(), "--config", str(tmp_path / "bad.toml"))
    assert (ran.code, ran.out) == (2, "")
    places = ("retry.max_attempts", "sources.shop.verify.scheme", "sources.shop.events[0].number", "sources.tel.type")
    for place in (*places, "sources.crm.property"):
        assert f"\n  {place}" in ran.err, ran.err
    assert 'did you mean "telnyx"?' in ran.err


def test_the_receiver_does_not_start_without_a_key_and_says_which(trunkline: Commands) -> None:
    ran = trunkline("serve", "--port", "0", SHOP_KEY="")
    assert ran.code == 2
    assert "sources.shop.keys[0]: the environment variable SHOP_KEY" in ran.err


def test_the_sandbox_needs_no_secrets_and_says_what_it_does_without(trunkline: Commands, tmp_path: Path) -> None:
    config = tmp_path / "sandbox.toml"
    telnyx = '[sources.telnyx]\ntype = "telnyx"\npublic_keys = [{ env = "NO_KEY" }]\nprofile = "us"\n'
    token = '[server]\ntoken = { env = "TRUNKLINE_NO_TOKEN" }\n'
    config.write_text(CONFIGURATION.format(url="redis://127.0.0.1:9/0") + telnyx + token, "utf-8")
    up = Running((*TRUNKLINE, "up", "--sandbox", "--port", "0", "--config", str(config)), trunkline.env)
    try:
        url = address(up)
        event = {"event_id": "1", "number": "+14155550100", "profile": "us"}
        assert httpx.post(f"{url}/v1/events", json=event, trust_env=False).status_code == 202
        assert any("left out" in line and "sources.telnyx.public_keys[0]" in line for line in up.lines)
        up.signal(signal.SIGINT)
        assert up.exit_code() == 0
    finally:
        up.close()


def test_a_token_that_is_configured_and_not_there_opens_nothing(trunkline: Commands, tmp_path: Path) -> None:
    config = tmp_path / "token.toml"
    token = '[server]\ntoken = { env = "NO_TOKEN" }\n'
    config.write_text(CONFIGURATION.format(url="redis://127.0.0.1:9/0") + token, "utf-8")
    ran = trunkline("serve", "--port", "0", "--config", str(config))
    assert ran.code == 2
    assert "server.token: is not there (env:NO_TOKEN)" in ran.err


def test_a_port_that_is_taken_is_told(trunkline: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = trunkline("serve", "--port", str(taken.getsockname()[1]))
    assert ran.code == 2
    assert "choose another --port" in ran.err


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_what_had_no_route_waits_until_it_has_one(trunkline: Commands, signal_name: str) -> None:

    serving = Running((*TRUNKLINE, "serve", "--port", "0"), trunkline.env)
    try:
        url = address(serving)
        headers = {"Content-Type": "application/json", **signed(BODY)}
        answer = httpx.post(f"{url}/hooks/shop", content=BODY, headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
        serving.signal(getattr(signal, signal_name))
        assert serving.exit_code() == 0
        (kept,) = trunkline("rejected", "list", "--json").json
        assert (kept["source"], kept["code"]) == ("shop", "no_route")
        assert trunkline("rejected", "replay", kept["id"]).code == 1
        config = Path(trunkline.env["TRUNKLINE_CONFIG"])
        config.write_text(config.read_text("utf-8") + UK_TOO, "utf-8")
        replayed = trunkline("rejected", "replay", "--all", "--json").json
        assert (replayed["replayed"], replayed["kept"], replayed["rejected"]) == (1, [], [])
        assert trunkline("rejected", "list", "--json").json == []
        (entry,) = trunkline("number", "+442071838750", "--json").json
        assert (entry["profile"], entry["source"], entry["event_ids"]) == ("uk", "shop", ["A-17"])
    finally:
        serving.close()
