"""Which rights a user of the server lacks: every command that will be sent is tried once, on keys that go again.

A right that is missing would show only when a script meets its command, half way through, and a script is not undone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import redis

from trunkline.store.client import Store
from trunkline.store.connection import Client, code_of, translated
from trunkline.store.model import StoreUnfit

Command: TypeAlias = tuple[str, ...]

# What each needs behind its name: K is a key of its own for each type of value, and nothing else is a key.
ARGUMENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "DEL": "K",
        "EVAL": "return 1|1|K",
        "EVALSHA": f"{'0' * 40}|1|K",
        "EXISTS": "K",
        "GET": "Kt",
        "HDEL": "Kh f",
        "HEXISTS": "Kh f",
        "HGET": "Kh f",
        "HGETALL": "Kh",
        "HINCRBY": "Kh n 1",
        "HKEYS": "Kh",
        "HMGET": "Kh f",
        "HSET": "Kh f 1",
        "HSETNX": "Kh f 1",
        "HSTRLEN": "Kh f",
        "INCR": "Kn",
        "INCRBY": "Kn 1",
        "KEYS": "K",
        "LINDEX": "Kl 0",
        "LLEN": "Kl",
        "LPOP": "Kl",
        "LPOS": "Kl 1",
        "LPUSH": "Kl 1",
        "LRANGE": "Kl 0 -1",
        "LREM": "Kl 1 1",
        "MULTI": "",
        "EXEC": "",
        "PERSIST": "Kt",
        "PEXPIRE": "Kt 60000",
        "RENAME": "Kn|Km",
        "RPUSH": "Kl 1",
        "SADD": "Ks 1",
        "SCARD": "Ks",
        "SCAN": "0 COUNT 1",
        "SCRIPT": "LOAD|return 1",
        "SET": "Kt 1",
        "SISMEMBER": "Ks 1",
        "SMEMBERS": "Ks",
        "SMISMEMBER": "Ks 1",
        "SREM": "Ks 1",
        "SSCAN": "Ks 0 COUNT 1",
        "TIME": "",
        "ZADD": "Kz 1 m",
        "ZCARD": "Kz",
        "ZRANGE": "Kz 0 0",
        "ZRANGEBYSCORE": "Kz 0 1",
        "ZREM": "Kz m",
        "ZREMRANGEBYSCORE": "Kz 2 3",
        "ZREVRANGE": "Kz 0 0",
        "ZSCAN": "Kz 0 COUNT 1",
        "ZSCORE": "Kz m",
    }
)
OF_DRAMATIQ: Final = (
    *("DEL", "EVAL", "EVALSHA", "HDEL", "HEXISTS", "HGET", "HMGET", "HSET", "KEYS", "LLEN", "LPOP", "RPUSH", "SADD"),
    *("SCRIPT", "SMEMBERS", "SREM", "ZADD", "ZRANGEBYSCORE", "ZREM"),
)
OF_STORE: Final = [name for name in ARGUMENTS if name not in {"KEYS", "SCRIPT"}]
KEY: Final = "the right to keys"  # beside the names of commands
KINDS: Final = ("", "h", "l", "m", "n", "s", "t", "z")


def examine_rights(store: Store) -> None:
    """Raises StoreUnfit where the store's user lacks a right or its server a command; StoreUnavailable."""
    missing = _missing(store._client, OF_STORE, f"{store.prefix}check:{secrets.token_hex(6)}:")
    _refuse("store's", missing, f"{store.prefix}*")


def examine_rights_of_hints(client: Client, namespace: str = "dramatiq") -> None:
    """The same for dramatiq's hints, whose scripts also name the bare namespace (the default is its own) as a key."""
    missing = _missing(client, OF_DRAMATIQ, f"{namespace}:check:{secrets.token_hex(6)}:")
    missing |= _missing(client, ["EVAL"], namespace, leaves=False)
    _refuse("hints'", missing, f"{namespace}*")


def _refuse(whose: str, missing: set[str], keys: str) -> None:
    if missing:
        rights = sorted(_right(name, keys) for name in missing)
        raise StoreUnfit(f"the {whose} user lacks rights on its server: grant it {' '.join(rights)}")


def _right(name: str, keys: str) -> str:
    """As ACL SETUSER takes it."""
    if name == KEY:
        return f"~{keys}"
    return "+script|load" if name == "SCRIPT" else f"+{name.lower()}"


def _missing(client: Client, names: Iterable[str], prefix: str, *, leaves: bool = True) -> set[str]:
    """The commands that are refused, and KEY where a command would do but for its key."""
    commands = [(name, *_arguments(ARGUMENTS[name], prefix)) for name in names]
    with translated(), client.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's, as below
        if leaves:
            pipe.execute_command("DEL", *(prefix + kind for kind in KINDS))  # type: ignore[no-untyped-call]
        replies = pipe.execute(raise_on_error=False)
    return set(_refused(commands, replies))


def _refused(commands: list[Command], replies: list[object]) -> Iterator[str]:
    for command, reply in zip(commands, replies, strict=False):
        if isinstance(reply, redis.RedisError):
            text = str(reply)
            if code_of(reply) == "NOPERM":
                yield command[0] if " run the " in text else KEY
            elif isinstance(reply, redis.exceptions.ExecAbortError) or text.lower().startswith("unknown command"):
                yield command[0]


def _arguments(pattern: str, prefix: str) -> Command:
    words = pattern.split("|") if "|" in pattern else pattern.split()
    return tuple(prefix + word[1:] if word.startswith("K") else word for word in words)
