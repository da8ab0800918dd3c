"""One batch against real servers: what the store is told when the API is away, in whatever form it shows."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from support.http_servers import answering, behaving, hanging
from support.store_steps import claim, number, publish, push
from trunkline.bland.client import BlandApi
from trunkline.config.sections import Account
from trunkline.engine.attempt import Attempt
from trunkline.engine.backoff import breaker_delay_s
from trunkline.engine.permits import Permits
from trunkline.engine.shared_listing import SharedListing
from trunkline.profiles.directions import Direction
from trunkline.profiles.profile import Profile
from trunkline.schema import Secret
from trunkline.store import Store
from trunkline.store.model import Batch, Leased, Settlement
from trunkline.store.vault import Vault

PROFILE = Profile(name="support", directions=(Direction(type="inbound"),))
ONE, TWO = number(1), number(2)
SECRET = Secret("env:PBX_PASSWORD", SecretStr("password-of-the-pbx"))


def claimed(store: Store, *numbers: str, known: Mapping[str, Leased] | None = None) -> Batch:
    """A batch of these numbers, with what earlier tries are said to have left behind."""
    publish(store, wait_ms=0, directions="i")
    push(store, *numbers)
    batch = claim(store)
    return replace(batch, numbers=tuple((known or {}).get(each.number, each) for each in batch.numbers))


def carried(
    store: Store, base_url: str, batch: Batch, *, seconds: float = 10, profile: Profile = PROFILE
) -> Settlement:
    account = Account.model_validate({"name": "default", "base_url": base_url, "key": None, "timeout_s": seconds})
    with closing(BlandApi(account, sleep=lambda _: None)) as api:
        return Attempt(
            batch,
            profile,
            api,
            SharedListing(api),
            claimed=time.monotonic(),
            deadline=time.monotonic() + seconds,
            permits=Permits(store, threading.Event()),
            vault=Vault(store, SecretStr("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")),
            scrub=str,
            open_s=lambda wish: breaker_delay_s(1, 300, 900, wish),
        ).run()


def configured(*numbers: str, **more: Any) -> bytes:
    return json.dumps({"data": {"configured": numbers, "failed": [], **more}, "errors": None}).encode()


def a_closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 520])
def test_a_gateway_without_a_backend_is_trouble_that_no_number_pays_for(store: Store, status: int) -> None:
    with answering((status, {}, b"<html>")) as (url, _):
        told = carried(store, url, claimed(store, ONE, TWO))
    assert told.trouble is not None
    assert told.trouble.reason == f"HTTP {status} without a word that is understood"
    assert told.trouble.ms == 60_000  # not the account's five minutes: an API that is back is not to wait long
    assert all(each.free for each in told.dispositions)
    assert not told.healthy
    assert told.breaker is None


def test_trouble_that_names_its_end_is_kept_to(store: Store) -> None:
    with answering((503, {"Retry-After": "200"}, b"")) as (url, _):
        told = carried(store, url, claimed(store, ONE))
    assert told.trouble is not None
    assert told.trouble.ms == 200_000


def test_a_connection_that_is_reset_each_time_is_trouble_and_doubt(store: Store) -> None:
    with behaving(lambda *_: None) as (url, _):
        told = carried(store, url, claimed(store, ONE, TWO))
    assert told.trouble is not None
    assert "the connection was lost" in told.trouble.reason
    assert {(each.kind, each.free) for each in told.dispositions} == {("in_doubt", True)}


def test_a_silent_api_is_trouble_and_doubt(store: Store) -> None:
    with behaving(hanging) as (url, _):
        told = carried(store, url, claimed(store, ONE), seconds=0.6)
    assert told.trouble is not None
    assert told.trouble.paid is not None
    assert (told.dispositions[0].kind, told.dispositions[0].free) == ("in_doubt", True)


@pytest.mark.parametrize("verify", ["", "in_doubt"])
def test_a_refused_connection_closes_the_account_at_once(store: Store, verify: Any) -> None:
    batch = claimed(store, ONE, TWO, known={ONE: Leased(ONE, verify=verify, sent_ms=1)})
    told = carried(store, a_closed_port(), batch)
    assert told.breaker is not None
    assert told.breaker.ms == 60_000
    assert told.trouble is None
    assert {each.kind for each in told.dispositions} == {"released"}


@pytest.mark.parametrize("reply", [(500, b""), (200, b"<html>"), (200, b"{}"), (302, b"")])
def test_a_read_back_that_cant_be_used_is_trouble_and_counted_as_unread(store: Store, reply: Any) -> None:
    status, body = reply
    batch = claimed(store, ONE, known={ONE: Leased(ONE, attempts=7, verify="in_doubt", sent_ms=1)})
    with answering((status, {}, body)) as (url, seen):
        told = carried(store, url, batch)
    (other,) = told.dispositions
    assert (other.kind, other.free, other.unread) == ("in_doubt", True, True)
    assert told.unsent == (ONE,)
    assert told.trouble is not None
    assert told.trouble.paid is None
    assert {method for method, *_ in seen.requests} == {"GET"}


@pytest.mark.parametrize("verify", ["in_doubt", "check"])
def test_what_could_not_be_read_back_twice_is_sent_unread(store: Store, verify: Any) -> None:
    known = {ONE: Leased(ONE, verify=verify, sent_ms=1, attached_under="f0", unread=2)}
    with answering((200, {}, configured(ONE))) as (url, seen):
        told = carried(store, url, claimed(store, ONE, known=known))
    assert told.attached == (ONE,)
    assert [(method, path) for method, path, *_ in seen.requests] == [("POST", "/v1/sip/attach")]


def test_numbers_beside_one_that_is_only_checked_do_not_draw_it_into_their_doubt(store: Store) -> None:
    batch = claimed(store, ONE, TWO, known={ONE: Leased(ONE, verify="check", attached_under="f0")})
    with answering((500, {}, b""), (500, {}, b"")) as (url, seen):
        told = carried(store, url, batch)
    assert [json.loads(body)["phone_number"] for method, _, _, body in seen.requests if method == "POST"] == [TWO]
    assert told.unsent == (ONE,)


def test_an_answer_to_the_same_batch_outweighs_a_read_back_that_failed(store: Store) -> None:
    batch = claimed(store, ONE, TWO, known={ONE: Leased(ONE, verify="in_doubt", sent_ms=1)})
    with answering((500, {}, b""), (200, {}, configured(TWO))) as (url, _):
        told = carried(store, url, batch)
    assert (told.attached, told.healthy, told.trouble) == ((TWO,), True, None)


def test_a_register_password_travels_sealed_with_the_settlement(store: Store) -> None:
    with answering((200, {}, configured(ONE, register_password_for_pbx="pbx-password"))) as (url, _):
        told = carried(store, url, claimed(store, ONE))
    assert told.attached == (ONE,)
    assert told.password is not None
    assert "pbx-password" not in repr(told)
    assert not told.password_lost
    assert list(store._client.scan_iter("{tl}:secret:*")) == []


def test_a_register_password_that_went_with_a_lost_answer_is_said_to_be_lost(store: Store) -> None:
    login = {"type": "inbound", "auth_mode": "register", "register_auth": {"username": "u", "password": SECRET}}
    profile = Profile.model_validate({"name": "support", "directions": [login]})
    batch = claimed(store, ONE, known={ONE: Leased(ONE, verify="in_doubt", sent_ms=1, known_absent=True)})
    shown = {"number": ONE, "options": {"auth_mode": "register"}}
    with answering((200, {}, json.dumps({"data": {"inbound": shown, "outbound": None}}).encode())) as (url, _):
        told = carried(store, url, batch, profile=profile)
    assert (told.attached, told.password, told.password_lost) == ((ONE,), None, True)
