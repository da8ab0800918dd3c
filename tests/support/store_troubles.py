"""Ways to make a real server answer and refuse, by the code it then tells."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import redis

from acceptance.worker_harness import until
from support.servers import HOST, Server

Breaking = Callable[[redis.Redis, Server, Path], None]


def out_of_memory(client: redis.Redis, _server: Server, _directory: Path) -> None:
    client.config_set("maxmemory", "1")


def read_only(client: redis.Redis, _server: Server, _directory: Path) -> None:
    client.replicaof(HOST, "1")


def without_its_primary(client: redis.Redis, _server: Server, _directory: Path) -> None:
    client.config_set("replica-serve-stale-data", "no")
    client.replicaof(HOST, "1")


def without_replicas(client: redis.Redis, _server: Server, _directory: Path) -> None:
    client.config_set("min-replicas-to-write", "1")


def without_a_disk(client: redis.Redis, _server: Server, directory: Path) -> None:
    client.config_set("save", "3600 1")
    shutil.rmtree(directory)
    client.bgsave()
    until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "a save that failed")


def busy(client: redis.Redis, server: Server, _directory: Path) -> None:
    client.config_set("busy-reply-threshold", "1")

    def hog() -> None:
        with server.client() as other, suppress(redis.RedisError):
            other.eval("while true do end", 0)

    threading.Thread(target=hog, daemon=True).start()
    until(lambda: _refuses(client), "a busy server")


def _refuses(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.RedisError:
        return True
    return False


# how it is done, and what the product says of it
TROUBLES: dict[str, tuple[Breaking, str]] = {
    "OOM": (out_of_memory, "out of memory: raise maxmemory"),
    "READONLY": (read_only, "read-only replica"),
    "MASTERDOWN": (without_its_primary, "replica that has lost its primary|read-only replica"),
    "NOREPLICAS": (without_replicas, "min-replicas-to-write"),
    "MISCONF": (without_a_disk, "can't write to its disk"),
    "BUSY": (busy, "busy with somebody's script"),
}
