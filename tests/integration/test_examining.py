"""Which servers and users are told at the start that they will not do, and in which words."""

from __future__ import annotations

import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from support.servers import HOST, Server, require_redis, running
from trunkline.store import Durability, StoreUnfit, connect
from trunkline.store.examining import examine

ALWAYS = {"appendonly": "yes", "appendfsync": "always"}


@contextmanager
def of_kind(kind: str, directory: Path, **config: str) -> Iterator[tuple[Server, redis.Redis]]:
    if kind == "redis":
        require_redis()
    with running(kind, directory, **config) as server, server.client() as client:
        yield server, client


def user(server: Server, client: redis.Redis, *rights: str) -> redis.Redis:
    """A client of a user with these rights."""
    client.execute_command("ACL", "SETUSER", "t", "reset", "on", "nopass", "~*", "&*", *rights)
    return connect(f"redis://t:x@{HOST}:{server.port}/0")


class Old(socketserver.StreamRequestHandler):
    """A server that answers every command as an old one answers INFO."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = [self.rfile.readline() and self.rfile.readline() for _ in range(int(line[1:]))]
            body = b"redis_version:6.2.14\r\nredis_mode:standalone\r\n" if words[0].upper() == b"INFO\r\n" else b"OK"
            self.wfile.write(b"$%d\r\n%s\r\n" % (len(body), body))


def test_a_server_that_is_too_old_is_refused_with_the_versions_that_will_do() -> None:
    with socketserver.ThreadingTCPServer((HOST, 0), Old) as old:
        threading.Thread(target=old.serve_forever, daemon=True).start()
        sentence = r"version 6\.2\.14; trunkline needs Redis 7\.0 or Valkey 7\.2"
        with connect(f"redis://{HOST}:{old.server_address[1]}/0") as client, pytest.raises(StoreUnfit, match=sentence):
            examine(client, "memory")
        old.shutdown()


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_cluster_is_not_taken(kind: str, tmp_path: Path) -> None:
    with of_kind(kind, tmp_path, cluster_enabled="yes") as (_, client), pytest.raises(StoreUnfit, match="cluster mode"):
        examine(client, "memory")


def test_a_sentinel_is_no_store(tmp_path: Path) -> None:
    require_redis()
    with running("redis", tmp_path) as server:
        port = server.port + 1 if server.port < 65_535 else server.port - 1
        config = tmp_path / "sentinel.conf"
        config.write_text(f"port {port}\nbind {HOST}\nsentinel monitor m {HOST} {server.port} 1\n", "utf-8")
        sentinel = subprocess.Popen(["redis-sentinel", config], stdout=subprocess.DEVNULL)
        try:
            with connect(f"redis://{HOST}:{port}/0") as client:
                wait_for(client)
                with pytest.raises(StoreUnfit, match=r"sentinel.*address of the primary"):
                    examine(client, "fsync")
        finally:
            sentinel.terminate()
            sentinel.wait(30)


def wait_for(client: redis.Redis) -> None:
    for _ in range(200):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("it does not come up")


def test_a_user_that_may_not_ask_for_appendfsync_is_told_which_right_that_takes(tmp_path: Path) -> None:
    with of_kind("redis", tmp_path, **ALWAYS) as (server, client):
        if not str(client.info("server")["redis_version"]).startswith("7.0"):
            pytest.skip("this Redis has WAITAOF")
        with user(server, client, "+@all", "-config|get") as limited, pytest.raises(StoreUnfit, match=r"\+config\|get"):
            examine(limited, "fsync")
        with user(server, client, "+@all", "-config", "+config|get") as enough:
            assert examine(enough, "fsync") is Durability.always


def test_a_user_that_may_neither_ask_nor_wait_is_told_of_both_rights(tmp_path: Path) -> None:
    with (
        of_kind("valkey", tmp_path, **ALWAYS) as (server, client),
        user(server, client, "+@all", "-config|get", "-waitaof") as limited,
        pytest.raises(StoreUnfit, match=r"\+config\|get or \+waitaof"),
    ):
        examine(limited, "fsync")


def test_a_user_that_may_not_even_ask_what_it_is_is_told_so(tmp_path: Path) -> None:
    with (
        of_kind("redis", tmp_path) as (server, client),
        user(server, client, "+@all", "-info") as limited,
        pytest.raises(StoreUnfit, match="info"),
    ):
        examine(limited, "memory")
