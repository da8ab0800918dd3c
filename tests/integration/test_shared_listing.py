"""One listing for all batches of a process: who downloads it, who waits, and how old it may be."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from support.http_servers import answering, behaving, hanging
from trunkline.bland.attach import ListedNumber, Listing, ListingUnusable
from trunkline.bland.client import MAX_BODY_BYTES, BlandApi, Exchange, NotSent, Unanswered
from trunkline.config.sections import Account
from trunkline.engine.permits import Stopped
from trunkline.engine.shared_listing import SharedListing
from trunkline.schema import Secret

KEY = Secret("env:KEY", SecretStr("key"))
A, B = "+14155550100", "+14155550101"
LISTED = ListedNumber(frozenset({"inbound"}))


def body(*numbers: str) -> bytes:
    items = [{"phone_number": each, "directions": ["inbound"], "sip_endpoint": None} for each in numbers]
    return json.dumps({"data": {"numbers": items}, "errors": None}).encode()


@contextmanager
def calling(base_url: str) -> Iterator[BlandApi]:
    account = Account.model_validate({"name": "default", "base_url": base_url, "key": KEY, "timeout_s": 10.0})
    with closing(BlandApi(account)) as api:
        yield api


@contextmanager
def shared(base_url: str) -> Iterator[SharedListing]:
    with calling(base_url) as api:
        yield SharedListing(api)


def read(listings: SharedListing, *numbers: str, since: float = 0.0, seconds: float = 10.0) -> Listing | Exchange:
    return listings.read(numbers, since=since, deadline=time.monotonic() + seconds, permit=lambda: None)


def slowly(*, started: threading.Event, go_on: threading.Event) -> Any:
    def reply(_: str) -> tuple[int, dict[str, str], bytes]:
        started.set()
        assert go_on.wait(10)
        return 200, {}, body(A)

    return reply


def test_a_listing_serves_whoever_may_use_it_and_the_others_get_a_newer_one() -> None:
    with answering((200, {}, body(A)), (200, {}, body(A, B))) as (url, seen), shared(url) as listings:
        first = read(listings, A)
        assert isinstance(first, Listing)
        assert (first.get(A), first.get(B)) == (LISTED, None)
        assert read(listings, A, B) is first
        second = read(listings, B, since=time.monotonic())  # something happened meanwhile
        assert isinstance(second, Listing)
        assert second.get(B) == LISTED
    assert len(seen.requests) == 2


def test_batches_that_want_it_at_once_share_one_download() -> None:
    started, go_on = threading.Event(), threading.Event()
    with (
        answering(slowly(started=started, go_on=go_on)) as (url, seen),
        shared(url) as listings,
        ThreadPoolExecutor(8) as pool,
    ):
        first = pool.submit(read, listings, A)
        assert started.wait(10)
        others = [pool.submit(read, listings, B) for _ in range(7)]
        while len(listings._wanting) < 7:
            time.sleep(0.001)
        go_on.set()
        found = {id(each.result()) for each in [first, *others]}
    assert len(found) == 1
    assert len(seen.requests) == 1


def test_whoever_can_not_wait_any_longer_goes_without() -> None:
    started, go_on = threading.Event(), threading.Event()
    with (
        answering(slowly(started=started, go_on=go_on)) as (url, _),
        shared(url) as listings,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(read, listings, A)
        assert started.wait(10)
        with pytest.raises(NotSent) as raised:
            read(listings, A, seconds=0.05)
        assert raised.value.code == "deadline"
        go_on.set()
        assert isinstance(first.result(), Listing)


def test_one_batchs_trouble_is_not_the_others() -> None:
    def stopped() -> None:
        raise Stopped

    with answering((503, {}, b""), (200, {}, body(A))) as (url, _), shared(url) as listings:
        with pytest.raises(Stopped):
            listings.read([A], since=0, deadline=time.monotonic() + 5, permit=stopped)
        answer = read(listings, A)
        assert isinstance(answer, Exchange)
        assert answer.status == 503
        assert isinstance(read(listings, A), Listing)


def test_what_is_no_listing_is_told_apart_from_no_answer() -> None:
    with answering((200, {}, b"<html>")) as (url, _), shared(url) as listings, pytest.raises(ListingUnusable):
        read(listings, A)
    with behaving(hanging) as (url, _), shared(url) as listings, pytest.raises(Unanswered):
        read(listings, A, seconds=0.3)


def test_a_listing_larger_than_any_other_answer_may_be_is_read_to_its_end() -> None:
    row = b'{"phone_number":"+1415%07d","directions":["inbound"],"x":"' + b"x" * 200 + b'"}'
    piece = b",".join(row % index for index in range(1000))

    def endless() -> Iterator[bytes]:
        yield b'{"data":{"numbers":[' + piece
        for _ in range(MAX_BODY_BYTES // len(piece) + 1):
            yield b"," + piece
        yield b"]}}"

    octets = b"".join(endless())
    assert len(octets) > MAX_BODY_BYTES
    with answering((200, {}, octets)) as (url, _), shared(url) as listings:
        listing = read(listings, "+14150000007", "+14150001000", seconds=60)
    assert isinstance(listing, Listing)
    assert (listing.get("+14150000007"), listing.get("+14150001000")) == (LISTED, None)
    with answering((500, {}, b"words")) as (url, _), shared(url) as listings:
        answer = read(listings, A)
    assert isinstance(answer, Exchange)
    assert answer.body == b"words"
