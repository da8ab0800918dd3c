"""What a carrier could not be asked for when its webhook came is asked for again, in turn, and not for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.carrier_standins import telnyx
from support.http_servers import Reply, answering
from support.receivers import Site, receiving, secret, settings_with
from support.servers import Server
from trunkline.store import Store, queries, rejections

NUMBERS = ["+14155550100", "+14155550101"]
ORDER = "5ab6ac2f-0e7b-4ae5-9d1a-0a1b2c3d4e5f"


@pytest.fixture
def server(valkey: Server) -> Server:
    """One kind of server is enough here."""
    return valkey


def source(url: str) -> dict[str, Any]:
    return {
        "type": "telnyx", "verify": {"scheme": "none"}, "profile": "support", "answer_within_s": 0.5,
        "api": {"key": secret("api"), "url": url},
    }  # fmt: skip


def ported(order: str) -> str:
    payload = {"id": order, "status": {"value": "ported"}}
    data = {"id": f"evt-{order}", "event_type": "porting_order.status_changed", "payload": payload}
    return json.dumps({"data": data})


def arrives_without_its_numbers(site: Site, order: str) -> None:
    answer = site.post("telnyx", ported(order))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


def test_the_numbers_of_an_order_come_in_once_the_carrier_gives_them(store: Store) -> None:
    there = telnyx(NUMBERS, order=ORDER)
    up = False

    def carrier(path: str) -> Reply:
        return there(path) if up else (404, {}, b"{}")

    with answering(carrier) as (url, _), receiving(store, settings_with({"telnyx": source(url)})) as site:
        arrives_without_its_numbers(site, ORDER)
        (kept,) = rejections.listed(store)
        assert (kept.code, kept.source) == ("not_fetched", "telnyx")
        site.receiver.fetch_again()
        assert [one.id for one in rejections.listed(store)] == [kept.id], "it is still not there"
        up = True
        site.receiver.fetch_again()
        assert rejections.listed(store) == []
        assert {entry.number for number in NUMBERS for entry in queries.entries_of(store, number)} == set(NUMBERS)
        site.receiver.fetch_again()
        assert site.post("telnyx", ported(ORDER)).json()["duplicate"] == 1
    assert queries.books(store).totals["accepted"] == len(NUMBERS)


def test_orders_that_never_come_do_not_keep_another_waiting(store: Store) -> None:
    there = telnyx(NUMBERS, order=ORDER)

    def carrier(path: str) -> Reply:
        return there(path) if ORDER in path and up else (404, {}, b"{}")

    up = False
    with answering(carrier) as (url, _), receiving(store, settings_with({"telnyx": source(url)})) as site:
        arrives_without_its_numbers(site, ORDER)
        for index in range(30):
            arrives_without_its_numbers(site, f"0000000{index:02d}-0000-4000-8000-000000000000"[-36:])
        up = True
        for _ in range(3):
            site.receiver.fetch_again()
    assert queries.books(store).totals["accepted"] == len(NUMBERS)
    assert len(rejections.listed(store)) == 30


def test_after_three_days_it_is_the_operators(store: Store) -> None:
    there = telnyx(NUMBERS, order=ORDER)

    def carrier(path: str) -> Reply:
        return there(path) if up else (404, {}, b"{}")

    up = False
    with answering(carrier) as (url, _), receiving(store, settings_with({"telnyx": source(url)})) as site:
        arrives_without_its_numbers(site, ORDER)
        up = True
        site.clock.now += 3 * 24 * 3600 + 1
        site.receiver.fetch_again()
        assert len(rejections.listed(store)) == 1
