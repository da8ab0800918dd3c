"""Another server behind the store's address: what a client does that still holds connections to the old one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from acceptance.worker_harness import until
from support.servers import HOST, Server, require_redis, running
from support.store_steps import number, publish, push
from support.switch import Switch
from trunkline.bootstrap import Opened, open_store
from trunkline.config.sections import StoreSettings
from trunkline.config.settings import Settings
from trunkline.store import Store, StoreUnavailable, queries

AT_ONCE = 4


@dataclass(frozen=True)
class Pair:
    """A primary, its replica, and the address that programs know."""

    old: Server
    new: Server
    switch: Switch

    def fail_over(self) -> None:
        """The replica takes over; the old primary lives on, as its read-only replica, with its connections."""
        with self.old.client() as old, self.new.client() as new:
            offset = old.info("replication")["master_repl_offset"]
            until(lambda: new.info("replication")["slave_repl_offset"] >= offset, "a replica that has it all")
            new.replicaof("NO", "ONE")
            self.switch.turn(self.new.port)
            old.replicaof(HOST, str(self.new.port))
            until(lambda: old.info("replication")["master_link_status"] == "up", "an old primary that follows")


@pytest.fixture(params=["valkey", "redis"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    if request.param == "redis":
        require_redis()
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    fast = {"repl_diskless_sync_delay": "0", "repl_ping_replica_period": "1"}
    with (
        running(request.param, tmp_path / "old", **fast) as old,
        running(request.param, tmp_path / "new", **fast) as new,
        Switch(old.port) as switch,
    ):
        with new.client() as client:
            client.replicaof(HOST, str(old.port))
            until(lambda: client.info("replication")["master_link_status"] == "up", "a replica")
        yield Pair(old, new, switch)


@contextmanager
def opened(url: str) -> Iterator[Opened]:
    found = open_store(Settings(store=StoreSettings(url=SecretStr(url), acknowledge="memory")))
    try:
        yield found
    finally:
        found.close()


def hold_connections(client: redis.Redis) -> None:
    """Leaves some idle connections in the pool, as threads that were busy do."""
    pool = client.connection_pool
    for each in [pool.get_connection() for _ in range(AT_ONCE)]:
        pool.release(each)


def test_after_a_failover_the_first_refusal_drops_every_connection_to_the_old_server(pair: Pair) -> None:
    with opened(pair.switch.url) as found:
        store = found.store
        publish(store)
        push(store, number(1))
        hold_connections(store._client)
        pair.fail_over()
        with pytest.raises(StoreUnavailable, match="read-only"):
            push(store, number(2))
        push(store, number(2))
        assert queries.books(store).totals["queued"] == 2
        with pair.new.client() as client:
            assert queries.books(Store(client)).totals["queued"] == 2


def test_the_client_of_the_hints_finds_the_new_server_too(pair: Pair) -> None:
    with opened(pair.switch.url) as found:
        broker = found.broker_client
        broker.rpush("dramatiq:q", b"1")
        hold_connections(broker)
        pair.fail_over()
        with pytest.raises(redis.ReadOnlyError):
            broker.rpush("dramatiq:q", b"2")
        assert broker.rpush("dramatiq:q", b"2") == 2


def test_half_open_connections_cost_one_short_wait_whichever_thread_finds_them(valkey: Server) -> None:
    with Switch(valkey.port) as switch, opened(switch.url) as found:
        store = found.store
        publish(store)
        hold_connections(store._client)
        assert switch.forget() >= AT_ONCE
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.look(1)
        for _ in range(AT_ONCE):
            store.look(1)
        assert time.monotonic() - began < 5


def test_a_connection_that_went_half_open_during_a_pause_is_replaced_before_it_is_used(
    valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.store.pooling.PAUSE_S", 0.0)
    with Switch(valkey.port) as switch, opened(switch.url) as found:
        store = found.store
        publish(store)
        hold_connections(store._client)
        switch.forget()
        store.look(1)
