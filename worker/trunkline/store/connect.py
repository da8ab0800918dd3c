"""Connections to the store, and whether its server is fit to keep numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trunkline.store.model import StoreError, StoreUnavailable, StoreUnfit
from trunkline.store.pooling import Pool

Client: TypeAlias = "redis.Redis"

OLDEST_SERVER: Final = (6, 2)
EVICTING: Final = "noeviction"
# What passes by itself, or when somebody mends the server: the numbers that are there are safe, and it is tried again.
PASSING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "READONLY": "the store's server is a read-only replica now; new connections look for the one that takes writes",
        "UNBLOCKED": "the store's server became a replica while it was waited for",
        "MASTERDOWN": "the store's server is a replica that has lost its primary",
        "LOADING": "the store's server is reading its data from the disk",
        "CLUSTERDOWN": "the store's cluster is down",
        "TRYAGAIN": "the store's cluster is moving its data",
        "BUSY": "the store's server is busy with somebody's script",
        "UNKILLABLE": "the store's server is busy with somebody's script, which has written already",
        "OOM": "the store is out of memory: raise maxmemory or take numbers out",
        "MISCONF": "the store's server can't write to its disk: is it full?",
        "NOREPLICAS": "the store's server has fewer replicas than its min-replicas-to-write",
    }
)
_CODES: Final[Mapping[type[redis.RedisError], str]] = MappingProxyType(
    {
        redis.ReadOnlyError: "READONLY",
        redis.exceptions.MasterDownError: "MASTERDOWN",  # before the class it derives from
        redis.exceptions.ClusterDownError: "CLUSTERDOWN",
        redis.exceptions.TryAgainError: "TRYAGAIN",
        redis.BusyLoadingError: "LOADING",
        redis.OutOfMemoryError: "OOM",
        redis.exceptions.NoPermissionError: "NOPERM",
    }
)
# At the beginning of the text, or behind a dash where a server wraps what a script's command met.
_CODE: Final = re.compile(rf"(?:^|[ :]-)({'|'.join(PASSING)}|NOPERM)\b")
# Within a script no server tells the code, and Redis 7.0 not even which command it was.
_NOT_ALLOWED: Final = re.compile(r"ACL failure in script|user executing the script can't")
# A script may run twice when a reply is lost, so whoever calls decides about repeating, never the client library.
NO_RETRY: Final = Retry(NoBackoff(), 0)
CONNECTION: Final[dict[str, Any]] = {
    "decode_responses": True,
    "socket_timeout": 3.0,  # no command takes longer: who waits for the disk asks again and again (client.py)
    "socket_connect_timeout": 3.0,
    "socket_keepalive": True,
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
        return redis.Redis.from_pool(Pool.from_url(url, **chosen))
    except ValueError as error:
        raise StoreError(f"store.url is not a Redis URL (redis://host:6379/0, rediss://, unix://): {error}") from error


@contextmanager
def translated() -> Iterator[None]:
    """The client library's errors as ours: unavailable (try again), unfit (a right is missing), or another refusal."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise StoreError(f"the store refuses the password or user of its URL: {error}") from error
    except redis.RedisError as error:
        raise _ours(error) from error


def _ours(error: redis.RedisError) -> StoreError | StoreUnavailable:
    code = code_of(error)
    if code is not None and code in PASSING:
        return StoreUnavailable(f"{PASSING[code]} ({error})")
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return StoreUnavailable(f"the store does not answer: {error}")
    if code == "NOPERM" or _NOT_ALLOWED.search(str(error)):
        return StoreUnfit(f"the store's user lacks a right, and trunkline check --online says which: {error}")
    return StoreError(f"the store refused a command: {error}")


def code_of(error: redis.RedisError) -> str | None:
    """The code of an error that the server told, also of one within a script; None where it has none we know.

    The library takes the code out of the text of some, which have a class of their own.
    """
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    found = _CODE.search(str(error))
    return found[1] if found else None


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
