"""Connections to the store, and whether its server is fit to keep numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trunkline.store.model import StoreError, StoreUnavailable, StoreUnfit

Client: TypeAlias = "redis.Redis"

OLDEST_SERVER: Final = (6, 2)
EVICTING: Final = "noeviction"
PASSING: Final = ("MISCONF", "BUSY ", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "UNKILLABLE")
# A script may run twice when a reply is lost, so whoever calls decides about repeating, never the client library.
NO_RETRY: Final = Retry(NoBackoff(), 0)
CONNECTION: Final[dict[str, Any]] = {
    "decode_responses": True,
    "socket_timeout": 15.0,
    "socket_connect_timeout": 5.0,
    "socket_keepalive": True,
    "health_check_interval": 30,
    "protocol": 2,
    "retry": NO_RETRY,
}


class Durability(StrEnum):
    """How an accepted event gets to the disk before it is acknowledged."""

    always = "always"  # the server writes to disk before it answers (appendfsync always)
    waitaof = "waitaof"  # each push waits with WAITAOF (Redis 7.2, Valkey)
    memory = "memory"  # it doesn't: the operator chose acknowledge = "memory"


def connect(url: str, **options: Any) -> Client:
    """A client for a server that the configuration names; nothing is sent yet. Raises StoreError for a bad URL."""
    try:
        chosen = CONNECTION | options
        if url.startswith("unix:"):
            del chosen["socket_keepalive"]  # of TCP only
        return redis.Redis.from_url(url, **chosen)
    except ValueError as error:
        raise StoreError(f"store.url is not a Redis URL (redis://host:6379/0, rediss://, unix://): {error}") from error


@contextmanager
def translated() -> Iterator[None]:
    """The client library's errors as ours: unavailable (try again) or an answer that can't be worked with."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise StoreError(f"the store refuses the password or user of its URL: {error}") from error
    except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError) as error:
        raise StoreUnavailable(f"the store does not answer: {error}") from error
    except redis.OutOfMemoryError as error:
        raise StoreUnavailable("the store is out of memory: raise maxmemory or take numbers out") from error
    except redis.ResponseError as error:
        if str(error).startswith(PASSING):
            raise StoreUnavailable(f"the store can't do it now: {error}") from error
        raise StoreError(f"the store refused a command: {error}") from error
    except redis.RedisError as error:
        raise StoreError(f"the store refused a command: {error}") from error


def examine(client: Client, acknowledge: Literal["fsync", "memory"]) -> Durability:
    """Whether the server may keep numbers, and how a push gets to its disk.

    Raises StoreUnfit for a server that is too old, may drop keys (`maxmemory-policy`), or can't say that a write is on
    disk although `acknowledge = "fsync"`; StoreUnavailable when it can't be reached.
    """
    with translated():
        info: dict[str, Any] = client.info()
    version = tuple(int(part) for part in str(info.get("redis_version", "0.0")).split(".")[:2])
    if version < OLDEST_SERVER:
        raise StoreUnfit(
            f"the store's server is version {info.get('redis_version')}; trunkline needs Redis 6.2 or Valkey"
        )
    policy = _setting(client, "maxmemory-policy") or info.get("maxmemory_policy")
    if policy not in (None, EVICTING):
        raise StoreUnfit(
            f"the store's server may drop keys: its maxmemory-policy is {policy}. "
            "Set maxmemory-policy noeviction; numbers must never vanish to make room"
        )
    return Durability.memory if acknowledge == "memory" else _durability(client, info)


def _durability(client: Client, info: dict[str, Any]) -> Durability:
    advice = 'or set acknowledge = "memory" under [store] and accept that a power cut may lose the last second'
    if str(info.get("aof_enabled", "0")) != "1":
        raise StoreUnfit(f"the store's server keeps no append-only file: set appendonly yes, {advice}")
    if _setting(client, "appendfsync") == "always":
        return Durability.always
    with translated():
        try:
            client.execute_command("WAITAOF", 0, 0, 0)  # type: ignore[no-untyped-call]  # redis-py's
        except redis.ResponseError as error:
            raise StoreUnfit(
                "the store's server can't say when a write is on disk: set appendfsync always, "
                f"use a server with WAITAOF (Redis 7.2, Valkey), {advice}"
            ) from error
    return Durability.waitaof


def _setting(client: Client, name: str) -> str | None:
    """One configuration value, None where the server (a managed one, say) does not let us ask."""
    with translated():
        try:
            values: dict[str, str] = client.config_get(name)  # type: ignore[assignment]  # redis-py types it for async too
        except redis.ResponseError:
            return None
    return values.get(name)
