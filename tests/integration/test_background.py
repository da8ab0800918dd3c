"""A delivery that takes longer than its sender waits is stored all the same, and its redelivery finds it so."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from acceptance.worker_harness import until
from support.receivers import receiving, settings_with
from support.servers import Server
from trunkline.store import Store, StoreUnavailable, queries
from trunkline_producers.receiver.background import Finishing
from trunkline_producers.receiver.requests import Budget, Refused, read_body

MANY = 5_000


@pytest.fixture
def server(valkey: Server) -> Server:
    """One kind of server is enough here."""
    return valkey


def test_a_large_delivery_is_stored_although_its_sender_was_sent_away(store: Store) -> None:
    crm = {"number": "numbers", "event_id": "id", "profile": "support", "verify": {"scheme": "none"}}
    sources = {"crm": {**crm, "answer_within_s": 0.02}}
    body = json.dumps({"id": "1", "numbers": [f"+1415{2_000_000 + index}" for index in range(MANY)]})
    with receiving(store, settings_with(sources)) as site:
        first = site.post("crm", body)
        assert (first.status_code, first.headers["retry-after"]) == (503, "5")
        until(lambda: queries.books(store).totals["accepted"] == MANY, "what was sent is stored")
        statuses = {site.post("crm", body).status_code for _ in range(3)}
    assert statuses <= {200, 503}
    totals = queries.books(store).totals
    assert (totals["accepted"], totals["coalesced"]) == (MANY, 0)


def test_work_goes_on_when_nobody_waits_for_it_and_a_close_waits() -> None:
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.05)
        done.append("it")

    async def program() -> None:
        finishing = Finishing()
        with pytest.raises(TimeoutError):
            await finishing.within(0.001, work())
        assert (done, len(finishing)) == ([], 1)
        await finishing.close()
        assert (done, len(finishing)) == (["it"], 0)

    asyncio.run(program())


def test_what_fails_after_nobody_waits_is_no_surprise(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        await asyncio.sleep(0.01)
        raise StoreUnavailable("gone")

    async def program() -> None:
        finishing = Finishing()
        with pytest.raises(TimeoutError):
            await finishing.within(0.001, work())
        await finishing.close()

    asyncio.run(program())
    assert "Traceback" not in caplog.text
    assert "never retrieved" not in caplog.text


def test_what_is_coming_in_has_a_budget_that_is_given_back() -> None:
    async def sending(parts: list[bytes], budget: Budget) -> bytes:
        messages: list[dict[str, Any]] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        messages[-1]["more_body"] = False

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        return await read_body(receive, 1_000, budget)

    async def program() -> None:
        budget = Budget(left=100)
        assert await sending([b"a" * 60, b"b" * 40], budget) == b"a" * 60 + b"b" * 40
        assert budget.left == 100
        with pytest.raises(Refused) as caught:
            await sending([b"a" * 60, b"b" * 41], budget)
        assert (caught.value.reply.status, budget.left) == (503, 100)

    asyncio.run(program())
