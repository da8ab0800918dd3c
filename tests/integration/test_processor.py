"""The worker's core with a real store and a server in the API's place: probes, and settlements whose reply is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest
import structlog
from pydantic import SecretStr

from support.http_servers import Reply, Seen, answering
from support.store_steps import claim, entry, go_on, number, others, push
from trunkline.bland.client import BlandApi
from trunkline.bootstrap import policies_of
from trunkline.config.sections import Account
from trunkline.config.settings import Settings
from trunkline.engine.processor import AccountApi, BatchProcessor
from trunkline.lifecycle import State
from trunkline.profiles.directions import Direction
from trunkline.profiles.profile import BatchRules, Profile
from trunkline.schema import Secret
from trunkline.store import Store, StoreUnavailable, queries
from trunkline.store.model import OpenBreaker, Settlement
from trunkline.store.vault import Vault
from trunkline.telemetry.logs import Log

ONE = number(1)
PROFILE = Profile(name="support", directions=(Direction(type="inbound"),), batch=BatchRules(max_wait_s=0))


@dataclass
class Worker:
    """One thread's work, and what it logs."""

    provisioner: BatchProcessor
    seen: Seen
    logged: list[str] = field(default_factory=list)

    def work(self, *, once: bool = False) -> None:
        with structlog.testing.capture_logs() as logs:
            while self.provisioner._once() and not once:
                pass
        self.logged += [str(each["event"]) for each in logs]


@contextmanager
def working(
    store: Store, *, me: Reply = (200, {}, b"{}"), attach: Reply | None = None, lease_s: float = 60.0
) -> Iterator[Worker]:
    configured = json.dumps({"data": {"configured": [ONE], "failed": []}, "errors": None}).encode()
    rest = attach or (200, {}, configured)
    with answering(lambda path: me if path == "/v1/me" else rest) as (url, seen):
        key = Secret("env:KEY", SecretStr("key"))
        account = Account.model_validate(
            {"name": "default", "base_url": url, "key": key, "requests_per_second": 1000.0}
        )
        settings = Settings(accounts={"default": account}, profiles={"support": PROFILE})
        store.publish(policies_of(settings))
        with closing(BlandApi(account)) as api:
            apis = {"default": AccountApi(api, url, 30.0, 900.0)}
            yield Worker(
                BatchProcessor(
                    store, profiles=settings.profiles, apis=apis, vault=Vault(store, None), scrub=str, lease_s=lease_s
                ),
                seen,
            )


@pytest.mark.parametrize(
    ("status", "opens"),
    [(200, True), (302, True), (404, True), (405, True), (500, True), (401, False), (402, False), (403, False),
     (429, False), (502, False), (503, False), (504, False)],
)  # fmt: skip
def test_a_probe_asks_if_the_api_is_there_and_the_key_is_good_not_if_it_likes_the_question(
    store: Store, status: int, opens: bool
) -> None:
    with working(store, me=(status, {}, b"")) as worker:
        push(store, ONE)
        batch = claim(store)
        gated = Settlement(
            batch.fingerprint, dispositions=others(batch, "released"), breaker=OpenBreaker(1_000, "away")
        )
        assert store.settle(batch.id, gated)
        go_on(store, 1_000)
        worker.work()
        (account,) = queries.books(store).accounts
        assert (account.retry_at_ms is None) is opens
        assert entry(store, ONE).state is (State.attached if opens else State.queued)
        assert worker.logged[0] == (Log.account_probe_ok if opens else Log.account_probe_failed)


PAGE = b"<!doctype html><h1>Internal Server Error</h1>"


@pytest.mark.parametrize(
    ("status", "body", "longest_s"),
    [
        (502, b"", 60),
        (503, b"", 60),
        (504, b"", 60),
        (500, PAGE, 60),
        (520, PAGE, 60),
        (401, b"", 900),
        (429, b"", 900),
    ],
)
def test_an_api_that_is_away_is_asked_again_within_a_minute_however_long_it_was_away(
    store: Store, status: int, body: bytes, longest_s: float
) -> None:
    with working(store, me=(status, {}, body)) as worker:
        push(store, ONE)
        batch = claim(store)
        assert store.settle(
            batch.id,
            Settlement(batch.fingerprint, dispositions=others(batch, "released"), breaker=OpenBreaker(1, "away")),
        )
        for _ in range(10):
            (account,) = queries.books(store).accounts
            assert account.retry_at_ms is not None
            assert store.now_ms is not None
            pause_ms = account.retry_at_ms - store.now_ms
            go_on(store, pause_ms)
            worker.work()
        assert pause_ms == longest_s * 1_000


NOT_YET: Reply = (503, {"Retry-After": "0"}, b"")
OK: Reply = (200, {}, b"{}")


@pytest.mark.parametrize(
    ("me", "attach", "asked"), [(NOT_YET, NOT_YET, ["/v1/me"]), (OK, NOT_YET, ["/v1/me", "/v1/sip/attach"])]
)
def test_a_probe_and_the_call_after_it_are_one_request_each_whatever_they_are_answered(
    store: Store, me: Reply, attach: Reply, asked: list[str]
) -> None:
    with working(store, me=me, attach=attach) as worker:
        push(store, ONE)
        batch = claim(store)
        assert store.settle(
            batch.id,
            Settlement(batch.fingerprint, dispositions=others(batch, "released"), breaker=OpenBreaker(1, "away")),
        )
        go_on(store, 1)
        worker.work()
        assert [path for _, path, _, _ in worker.seen.requests] == asked


class Losing(Store):
    """A store whose replies to the first settlements are lost, after or before it did what it was told."""

    counted = True
    lost = 1

    def settle(self, batch_id: str, settlement: Settlement) -> bool:
        if self.lost == 0:
            return super().settle(batch_id, settlement)
        self.lost -= 1
        if self.counted:
            super().settle(batch_id, settlement)
        raise StoreUnavailable("the reply was lost")


@pytest.mark.parametrize("counted", [True, False])
def test_a_settlement_whose_reply_was_lost_is_repeated_and_is_not_stale(store: Store, counted: bool) -> None:
    losing = Losing(store._client)
    losing.now_ms, losing.counted = store.now_ms, counted
    with working(losing) as worker:
        push(losing, ONE)
        worker.work()
    assert entry(store, ONE).state is State.attached
    assert worker.logged == [Log.store_unavailable, Log.batch_settled]


class Late(Losing):
    """One whose settlements come when the lease has run out."""

    def settle(self, batch_id: str, settlement: Settlement) -> bool:
        go_on(self, 60_000)
        self.reap()
        return super().settle(batch_id, settlement)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_settlement_that_comes_after_the_lease_is_stale_lost_replies_or_not(store: Store, lost: int) -> None:
    late = Late(store._client)
    late.now_ms, late.counted, late.lost = store.now_ms, False, lost
    with working(late, lease_s=0.2) as worker:
        push(late, ONE)
        worker.work(once=True)
    assert entry(store, ONE).state is State.queued
    assert worker.logged == [Log.store_unavailable] * lost + [Log.batch_stale]
