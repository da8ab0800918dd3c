"""Connections to the store, and its errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trunkline.store.model import StoreError, StoreNewer, StoreUnavailable, StoreUnfit
from trunkline.store.pooling import Pool

Client: TypeAlias = "redis.Redis"

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
NEWER: Final = "TRUNKLINEOLD"  # how our scripts' own refusal begins
# A script may run twice when a reply is lost, so whoever calls decides about repeating, never the client library.
NO_RETRY: Final = Retry(NoBackoff(), 0)
CONNECTION: Final[dict[str, Any]] = {
    "decode_responses": True,
    "socket_timeout": 3.0,  # no command takes longer: who waits for the disk asks again and again (client.py)
    "socket_connect_timeout": 3.0,
    "socket_keepalive": True,
    "max_connections": 2_048,  # more than worker.threads may be; the library's own bound is 100
    "protocol": 2,
    "retry": NO_RETRY,
}


class Durability(StrEnum):
    """The way an accepted event gets to the disk before it is acknowledged."""

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
    """The client library's errors as ours: unavailable (try again), unfit (a right is missing), newer, or a refusal."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise StoreError(f"the store refuses the password or user of its URL: {error}") from error
    except redis.RedisError as error:
        raise _ours(error) from error


def _ours(error: redis.RedisError) -> StoreError | StoreUnavailable:
    if str(error).startswith(NEWER):
        return newer(str(error).removeprefix(NEWER).strip())
    code = code_of(error)
    if code is not None and code in PASSING:
        return StoreUnavailable(f"{PASSING[code]} ({error})")
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return StoreUnavailable(f"the store does not answer: {error}")
    if code == "NOPERM" or _NOT_ALLOWED.search(str(error)):
        return StoreUnfit(f"the store's user lacks a right, and trunkline check --online says which: {error}")
    return StoreError(f"the store refused a command: {error}")


def newer(why: str) -> StoreNewer:
    """The store takes only newer programs than this one."""
    return StoreNewer(f"the store is of a newer trunkline than this one: upgrade trunkline on this host ({why})")


def code_of(error: redis.RedisError) -> str | None:
    """The code of an error that the server told, also of one within a script; None where it has none we know.

    The library takes the code out of the text of some, which have a class of their own.
    """
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    found = _CODE.search(str(error))
    return found[1] if found else None
