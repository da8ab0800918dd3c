"""A read-back that takes longer than a batch may: what is known counts, and the rest is asked the next time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest
from pydantic import SecretStr

from support.http_servers import behaving, saying
from support.store_steps import claim, number, publish, push, sent, settle
from trunkline.bland.attach import request_body
from trunkline.bland.client import BlandApi
from trunkline.config.sections import Account
from trunkline.engine.attempt import Attempt
from trunkline.engine.permits import OutOfTime, Permits
from trunkline.engine.read_back import MAX_DETAILS, ReadBack, read_back
from trunkline.engine.settlement import settlement_of
from trunkline.engine.shared_listing import SharedListing
from trunkline.profiles.directions import Direction
from trunkline.profiles.profile import Profile
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.schema import Secret
from trunkline.store import Store
from trunkline.store.model import Batch, Leased
from trunkline.store.vault import Vault

PROFILE = Profile(name="support", directions=(Direction(type="inbound"),))
IN_DOUBT = tuple(Leased(f"+1415200000{i}", verify="in_doubt", sent_ms=0) for i in range(10))
BATCH = Batch(
    id="1-a", profile="support", account="default", fingerprint="f", is_child=False, half_open=False, trips=0,
    now_ms=0, numbers=IN_DOUBT,
)  # fmt: skip


@contextmanager
def calling(sandbox: Sandbox) -> Iterator[BlandApi]:
    account = Account(name="default", base_url=sandbox.base_url, key=Secret("key", SecretStr("sandbox-key")))
    api = BlandApi(account)
    yield api
    api.close()


def asked(base_url: str, batch: Batch) -> ReadBack:
    """A check by an API at this address."""
    account = Account(name="default", base_url=base_url, key=Secret("key", SecretStr("sandbox-key")))
    with closing(BlandApi(account)) as api:
        now, listings = time.monotonic(), SharedListing(api)
        return read_back(
            batch, PROFILE, api, listings, claimed=now, deadline=now + 10, permit=lambda: None, scrub=str
        )  # fmt: skip


def checked(sandbox: Sandbox, batch: Batch, *, seconds: float, permits: int = 1000) -> ReadBack:
    """A check that has so much time, and leave for so many requests."""
    left = iter(range(permits))

    def permit() -> None:
        if next(left, None) is None:
            raise OutOfTime

    with calling(sandbox) as api:
        now = time.monotonic()
        listings = SharedListing(api)
        return read_back(batch, PROFILE, api, listings, claimed=now, deadline=now + seconds, permit=permit, scrub=str)


def attached(sandbox: Sandbox, numbers: tuple[Leased, ...]) -> None:
    body = request_body(PROFILE, [each.number for each in numbers])
    with calling(sandbox) as api:
        api.attach(body, deadline=time.monotonic() + 10, permit=lambda: None)


def test_a_slow_read_back_of_many_numbers_comes_to_an_end_in_several_batches() -> None:
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox:
        attached(sandbox, IN_DOUBT)
        sandbox.change(latency_s=0.1)
        batch, found = BATCH, 0
        while batch.numbers:
            read = checked(sandbox, batch, seconds=0.8)
            assert read.attached, "no progress"
            assert (read.to_send, read.unanswered) == ((), ())
            settlement = settlement_of(batch, PROFILE, read, None)
            assert {(each.number, each.kind) for each in settlement.dispositions} == {
                (e.number, "released") for e in read.later
            }
            found += len(read.attached)
            batch = replace(batch, numbers=read.later)
        assert found == len(IN_DOUBT)


@pytest.mark.parametrize("permits", [4, 5, 9])
def test_a_rate_that_lets_only_some_be_asked_leaves_the_others_for_later(permits: int) -> None:
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox:
        attached(sandbox, IN_DOUBT)
        read = checked(sandbox, BATCH, seconds=10, permits=permits)
        assert len(read.attached) == permits - 1  # one was for the listing
        assert len(read.attached) + len(read.later) == len(IN_DOUBT)


def test_trouble_after_some_answers_counts_them_and_leaves_the_others_for_later() -> None:
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox:
        attached(sandbox, IN_DOUBT)
        sandbox.script([{"on": "number"}] * 3 + [{"on": "number", "status": 401, "body": {"errors": []}}])
        read = checked(sandbox, BATCH, seconds=10)
        assert (len(read.attached), len(read.later)) == (3, 7)
        assert read.account_failed is not None


def test_nothing_read_back_is_a_doubt_that_stays() -> None:
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox:
        sandbox.script([{"on": "number", "status": 500, "body": "oh"}])
        read = checked(sandbox, replace(BATCH, numbers=IN_DOUBT[:2]), seconds=10)
        assert (read.unanswered, read.to_send, read.later) == (IN_DOUBT[:2], (), ())


PAGE = {"on": "numbers", "body": "<html>"}
MANY = tuple(Leased(f"+1415200{i:04d}", verify="in_doubt", sent_ms=0) for i in range(MAX_DETAILS + 1))


def test_numbers_whose_listing_cant_be_used_are_asked_one_by_one_if_they_are_few() -> None:
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox:
        attached(sandbox, MANY)
        sandbox.script([PAGE, {"on": "numbers", "status": 404}])
        for _ in range(2):
            read = checked(sandbox, replace(BATCH, numbers=MANY[:MAX_DETAILS]), seconds=10)
            assert len(read.attached) == MAX_DETAILS


def test_many_numbers_whose_listing_cant_be_used_are_not_read_back() -> None:
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox:
        sandbox.script([PAGE])
        read = checked(sandbox, replace(BATCH, numbers=MANY), seconds=10)
        assert (read.unanswered, read.to_send) == (MANY, ())
        assert read.trouble.code == "listing_unusable"


@pytest.mark.parametrize(
    ("leased", "age_ms", "downloads"),
    [(Leased("", verify="in_doubt", sent_ms=-70_000), 1_000, 1),
     (Leased("", verify="in_doubt", sent_ms=-1_500), 1_000, 2),
     (Leased("", verify="check", attached_under="f", queued_ms=-2_000), 1_000, 1),
     (Leased("", verify="check", attached_under="f", queued_ms=-500), 1_000, 2),
     (Leased("", verify="check", attached_under="f"), 1_000, 2), (Leased("", verify="in_doubt", sent_ms=0), 0, 1),
     (Leased("", verify="in_doubt"), 1_000, 2)],
)  # fmt: skip
def test_a_listing_at_hand_is_used_if_it_began_after_what_it_shall_prove(
    leased: Leased, age_ms: int, downloads: int
) -> None:
    numbers = tuple(replace(leased, number=f"+1415200000{i}") for i in range(4))
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox, calling(sandbox) as api:
        listings = SharedListing(api)
        began = time.monotonic()
        listings.read([each.number for each in numbers], since=began, deadline=began + 5, permit=lambda: None)
        read_back(
            replace(BATCH, numbers=numbers), PROFILE, api, listings,
            claimed=began + age_ms / 1000, deadline=began + 10, permit=lambda: None, scrub=str,
        )  # fmt: skip
        assert sandbox.stats()["calls"]["numbers"] == downloads


@pytest.mark.parametrize("at_hand", [True, False])
def test_a_listing_at_hand_before_a_call_lets_the_next_one_prove_it(at_hand: bool) -> None:
    numbers = tuple(Leased(f"+1415200{i:04d}") for i in range(100))
    now = time.monotonic()
    times: dict[str, Any] = {"claimed": now, "deadline": now + 10, "permit": lambda: None, "scrub": str}
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox, calling(sandbox) as api:
        listings = SharedListing(api)
        if at_hand:
            listings.read(["+14155550100"], since=0, deadline=now + 10, permit=lambda: None)
        before = read_back(replace(BATCH, numbers=numbers), PROFILE, api, listings, **times)
        assert before.to_send == numbers
        attached(sandbox, numbers)  # and the answer is lost
        lost = tuple(
            replace(each, verify="in_doubt", sent_ms=0, known_absent=each.number in before.absent) for each in numbers
        )
        after = read_back(replace(BATCH, numbers=lost), PROFILE, api, SharedListing(api), **times)
    assert (len(after.attached), len(after.to_send)) == ((100, 0) if at_hand else (0, 100))


def test_what_is_listed_in_doubt_or_not_covered_does_not_count_as_absent() -> None:
    now = time.monotonic()
    listed, doubtful, new = (
        Leased("+14152000000"),
        Leased("+14152000001", verify="in_doubt", unread=2),
        Leased("+14152000002"),
    )
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox, calling(sandbox) as api:
        attached(sandbox, (listed,))
        listings = SharedListing(api)
        listings.read(["+14155550100"], since=0, deadline=now + 10, permit=lambda: None)
        batch = replace(BATCH, numbers=(listed, doubtful, new))
        found = read_back(batch, PROFILE, api, listings, claimed=now, deadline=now + 10, permit=lambda: None, scrub=str)
    assert found.absent == (new.number,)


def answer_of(updated_at: float, clock: float | None, number: str) -> bytes:
    """GET /v1/sip of an API whose clock shows `clock`; its inbound has a field that the profile hasn't."""
    when = datetime.fromtimestamp(updated_at, UTC).isoformat()
    inbound = {"number": number, "updated_at": when, "options": {"port": 5070}}
    body = json.dumps({"data": {"inbound": inbound, "outbound": None}, "errors": None})
    date = "" if clock is None else f"Date: {formatdate(clock, usegmt=True)}\r\n"
    return f"HTTP/1.1 200 OK\r\n{date}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize("ahead_s", [0, 300, -300])  # of the API's clock before the store's
@pytest.mark.parametrize(("after_s", "found"), [(10, True), (-10, False), (-290, False), (0.5, False)])
def test_an_update_is_proof_if_it_came_after_the_request_by_the_apis_own_clock(
    ahead_s: float, after_s: float, found: bool
) -> None:
    now = 1_790_000_000
    leased = Leased("+14152000000", verify="in_doubt", sent_ms=(now - 60) * 1000)
    reply = answer_of(now - 60 + after_s + ahead_s, now + ahead_s, leased.number)
    with behaving(saying(reply)) as (url, _):
        read = asked(url, replace(BATCH, now_ms=now * 1000, numbers=(leased,)))
    assert bool(read.attached) is found
    assert bool(read.to_send) is not found


def test_without_the_apis_clock_no_update_is_proof() -> None:
    leased = Leased("+14152000000", verify="in_doubt", sent_ms=0)
    with behaving(saying(answer_of(1_790_000_000, None, leased.number))) as (url, _):
        assert asked(url, replace(BATCH, now_ms=60_000, numbers=(leased,))).to_send == (leased,)


def test_what_was_found_counts_though_the_rate_leaves_no_time_to_send_the_rest(store: Store) -> None:
    in_doubt, new = number(1), number(2)
    publish(store, wait_ms=0, directions="i")
    push(store, in_doubt)
    settle(store, sent(store, claim(store)), "in_doubt", store.now_ms or 0)
    publish(store, wait_ms=0, directions="i", interval_ms=60_000)
    push(store, new)
    with Sandbox(SandboxRules(latency_s=0, fail_rate=0)) as sandbox, calling(sandbox) as api:
        attached(sandbox, (Leased(in_doubt),))
        attempt = Attempt(
            claim(store),
            PROFILE,
            api,
            SharedListing(api),
            claimed=time.monotonic(),
            deadline=time.monotonic() + 10,
            permits=Permits(store, threading.Event()),
            vault=Vault(store, None),
            scrub=str,
            open_s=lambda _: 1.0,
        )
        settlement = attempt.run()
    assert settlement.attached == (in_doubt,)
    assert [(each.number, each.kind) for each in settlement.dispositions] == [(new, "released")]
