"""Which servers may keep numbers, and what "on disk" means on each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.servers import Server, require_redis, running
from support.store_audit import audit
from support.store_steps import claim, number, publish, push, sent
from trunkline.store import Durability, Store, StoreError, StoreUnavailable, StoreUnfit, checkpoints, connect, queries
from trunkline.store.client import PREFIX
from trunkline.store.examining import examine
from trunkline.store.model import SealedPassword, Settlement

DURABLE = {"appendonly": "yes", "appendfsync": "everysec"}


@pytest.fixture(params=["valkey", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    if found == "redis":
        require_redis()
    return found


def examined(kind: str, directory: Path, acknowledge: str = "fsync", **config: str) -> Durability:
    with running(kind, directory, **config) as server, server.client() as client:
        return examine(client, acknowledge)  # type: ignore[arg-type]  # a literal


def test_a_server_that_may_drop_keys_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnfit, match="maxmemory-policy is allkeys-lru"):
        examined(kind, tmp_path, "memory", maxmemory_policy="allkeys-lru")


def test_a_server_without_an_append_only_file_is_refused_unless_memory_is_enough(kind: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnfit, match="appendonly yes"):
        examined(kind, tmp_path)
    assert examined(kind, tmp_path, "memory") is Durability.memory


def test_a_server_that_writes_before_it_answers_is_taken_at_its_word(kind: str, tmp_path: Path) -> None:
    assert examined(kind, tmp_path, appendonly="yes", appendfsync="always") is Durability.always


def test_valkey_is_asked_to_wait_for_the_disk(tmp_path: Path) -> None:
    assert examined("valkey", tmp_path, **DURABLE) is Durability.waitaof


def test_redis_7_0_can_not_wait_for_the_disk_and_is_refused_with_advice(tmp_path: Path) -> None:
    require_redis()
    with running("redis", tmp_path, **DURABLE) as server, server.client() as client:
        version = str(client.info("server")["redis_version"])
        if not version.startswith(("6.", "7.0")):
            pytest.skip(f"redis-server is {version}, which has WAITAOF")
        with pytest.raises(StoreUnfit, match="appendfsync always"):
            examine(client, "fsync")


def test_a_push_under_waitaof_is_there_after_the_server_was_killed(tmp_path: Path) -> None:
    with running("valkey", tmp_path, **DURABLE) as server, server.client() as client:
        store = Store(client, durability=Durability.waitaof)
        publish(store)
        push(store, number(1))
        client.script_flush()
        push(store, number(2))
        assert client.waitaof(1, 0, 0) == [1, 0], "nothing is left to wait for"
        server.process.kill()
        server.process.wait(30)
    with running("valkey", tmp_path, **DURABLE) as server, server.client() as client:
        store = Store(client)
        assert audit(store) == []
        assert queries.books(store).totals["queued"] == 2


def test_what_is_said_once_is_on_disk_where_a_push_would_be(tmp_path: Path) -> None:
    with running("valkey", tmp_path, **DURABLE) as server, server.client() as client:
        store = Store(client, durability=Durability.waitaof)
        store.now_ms = 1_790_000_000_000
        publish(store, wait_ms=0)
        push(store, number(1))
        batch = sent(store, claim(store))
        password = SealedPassword("field", "sealed")
        settlement = Settlement(batch.fingerprint, attached=(number(1),), password=password, profile=batch.profile)
        assert store.settle(batch.id, settlement)
        assert client.waitaof(1, 0, 0) == [1, 0], "the password is on disk"
        checkpoints.keep(store, "inventory", "telnyx", "page 7")
        assert client.waitaof(1, 0, 0) == [1, 0], "the place is on disk"
        server.process.kill()
        server.process.wait(30)
    with running("valkey", tmp_path, **DURABLE) as server, server.client() as client:
        assert client.hexists(f"{PREFIX}secret:{batch.profile}", "field")
        assert checkpoints.read(Store(client), "inventory", "telnyx") == "page 7"


def test_a_disk_that_does_not_answer_in_time_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.store.client.DISK_WAIT_MS", 1)
    config = {"appendonly": "yes", "appendfsync": "no"}  # written when the system likes: WAITAOF waits for that
    with running("valkey", tmp_path, **config) as server, server.client() as client:
        store = Store(client, durability=Durability.waitaof)
        publish(store)
        with pytest.raises(StoreUnavailable, match="on disk within"):
            push(store, number(1))


@contextmanager
def locked(kind: str, directory: Path) -> Iterator[Server]:
    with running(kind, directory, requirepass="sesame") as server:
        yield server


def test_a_wrong_password_is_said_to_be_one(kind: str, tmp_path: Path) -> None:
    with locked(kind, tmp_path) as server, server.client() as client, pytest.raises(StoreError, match="password"):
        examine(client, "memory")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with connect("redis://127.0.0.1:1/0") as client, pytest.raises(StoreUnavailable):
        examine(client, "fsync")


def test_what_is_no_redis_url_is_refused_with_examples() -> None:
    with pytest.raises(StoreError, match="rediss://"):
        connect("http://example.com")


def test_a_refused_push_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    config = {"appendonly": "yes", "appendfsync": "no"}  # what was written before is not on disk for long
    with running("valkey", tmp_path, **config) as server, server.client() as client:
        store = Store(client, durability=Durability.waitaof)
        publish(store)
        client.config_set("maxmemory", "1")
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="out of memory"):
            push(store, number(1))
        assert time.monotonic() - began < 1


def test_a_disk_that_is_slower_than_a_command_may_be_is_waited_for(tmp_path: Path) -> None:
    config = {"appendonly": "yes", "appendfsync": "no"}
    with running("valkey", tmp_path, **config) as server, server.client() as client:
        store = Store(client, durability=Durability.waitaof)
        publish(store)

        def sync_later() -> None:
            time.sleep(3.5)
            with server.client() as other:
                other.config_set("appendfsync", "always")
                other.incr("x")

        with ThreadPoolExecutor(1) as threads:
            done = threads.submit(sync_later)
            assert push(store, number(1)).accepted == 1
            done.result()


def test_two_hundred_threads_have_a_connection_each(valkey: Server) -> None:
    with valkey.client() as client:
        pool = client.connection_pool
        taken = [pool.get_connection() for _ in range(200)]
        for each in taken:
            pool.release(each)
