"""Checks that the store's server is fit to keep numbers, and that it would take a write now."""

from __future__ import annotations

from typing import Any, Final, Literal

from trunkline.store.client import Store
from trunkline.store.connection import Client, Durability, newer, translated
from trunkline.store.model import StoreError, StoreNewer, StoreUnavailable, StoreUnfit
from trunkline.store.scripts import SCHEMA

OLDEST_SERVER: Final = (7, 0)  # what a Valkey says of itself as a Redis is 7.2 or more
KEEPING: Final = "noeviction"
TRACE_MS: Final = 60_000
# https://github.com/redis/redis/pull/13793: with appendfsync everysec, the second and later writes of a second.
EARLY_WAITAOF: Final = (
    "some servers (Valkey 9.1 and earlier, Redis 7 without its fix) answer WAITAOF up to a second before the write is "
    "on disk: set appendfsync always where a power cut must lose nothing"
)


def examine(client: Client, acknowledge: Literal["fsync", "memory"]) -> Durability:
    """Check that the server may keep numbers; return the way a push gets to its disk.

    Raises StoreUnfit for a server that is too old, may drop keys (`maxmemory-policy`), or can't say that a write is on
    disk although `acknowledge = "fsync"`; StoreUnavailable when it can't be reached.
    """
    with translated():
        info: dict[str, Any] = client.info()
    version = tuple(int(part) for part in str(info.get("redis_version", "0.0")).split(".")[:2])
    if version < OLDEST_SERVER:
        raise StoreUnfit(
            f"the store's server is version {info.get('redis_version')}; trunkline needs Redis 7.0 or Valkey 7.2"
        )
    _of_one_server(info)
    policy = _setting(client, "maxmemory-policy")[0] or info.get("maxmemory_policy")
    if policy not in (None, KEEPING):
        raise StoreUnfit(
            f"the store's server may drop keys: its maxmemory-policy is {policy}. "
            "Set maxmemory-policy noeviction; numbers must never vanish to make room"
        )
    return Durability.memory if acknowledge == "memory" else _durability(client, info)


def refuse_newer(store: Store) -> int | None:
    """Raises StoreNewer for a store that takes only newer programs; the schema of its data, None if nobody noted it.

    Only reads, so that it is told of a replica, too. Raises StoreUnavailable and StoreError as every command does.
    """
    with translated():
        found: Any = store._client.hmget(f"{store.prefix}meta", ["schema", "least"])
    schema, least = found
    if least is not None and int(least) > SCHEMA:
        raise newer(f"it writes schema {SCHEMA}, and the store takes {least} or newer")
    return None if schema is None else int(schema)


def note_versions(store: Store) -> None:
    """Notes the schema of the data where nobody has. Raises StoreNewer for a store that takes only newer programs.

    A server that takes no writes just now, or not from this user, is told by whatever needs them.
    """
    try:
        if refuse_newer(store) is None:
            store.versions()
    except StoreNewer:
        raise
    except (StoreUnavailable, StoreError):
        return


def try_a_write(store: Store) -> None:
    """Writes a byte beside the numbers, which goes by itself, as a server takes it that would take an event.

    Raises StoreUnavailable or StoreError for one that is away, full, read-only, newer, or lets this user do nothing.
    """
    refuse_newer(store)
    with translated():
        store._client.set(f"{store.prefix}ready", "1", px=TRACE_MS)


def _of_one_server(info: dict[str, Any]) -> None:
    """Raises StoreUnfit for what is not one server with all the numbers."""
    if info.get("redis_mode") == "sentinel":
        raise StoreUnfit(
            "a sentinel answers there, which keeps no numbers: set store.url to the address of the primary, "
            "or to a proxy that follows it"
        )
    if str(info.get("cluster_enabled", "0")) == "1":
        raise StoreUnfit(
            "the store's server has redis cluster mode enabled, and trunkline keeps its numbers on one server: "
            "set store.url to one without it"
        )


def _durability(client: Client, info: dict[str, Any]) -> Durability:
    advice = 'or set acknowledge = "memory" under [store] and accept that a power cut may lose the last second'
    if str(info.get("aof_enabled", "0")) != "1":
        raise StoreUnfit(f"the store's server keeps no append-only file: set appendonly yes, {advice}")
    synced, may_ask = _setting(client, "appendfsync")
    if synced == "always":
        return Durability.always
    missing = [] if may_ask else ["+config|get"]
    try:
        with translated():
            client.execute_command("WAITAOF", 0, 0, 0)  # type: ignore[no-untyped-call]  # redis-py's
    except StoreUnfit as error:
        raise StoreUnfit(_may_not_ask([*missing, "+waitaof"], advice)) from error
    except StoreError as error:
        if missing:
            raise StoreUnfit(_may_not_ask(missing, advice)) from error
        raise StoreUnfit(
            "the store's server can't say when a write is on disk: set appendfsync always, "
            f"use a server with WAITAOF (Redis 7.2, Valkey), {advice}"
        ) from error
    return Durability.waitaof


def _may_not_ask(missing: list[str], advice: str) -> str:
    return (
        "the store's user may not ask whether writes are on disk (appendfsync always, or WAITAOF): "
        f"grant it {' or '.join(missing)}, {advice}"
    )


def _setting(client: Client, name: str) -> tuple[str | None, bool]:
    """One configuration value, and whether the user may ask; None also where a managed server has no such command."""
    try:
        with translated():
            values: dict[str, str] = client.config_get(name)  # type: ignore[assignment]  # redis-py types it for async too
    except StoreUnfit:
        return None, False
    except StoreError:
        return None, True
    return values.get(name), True
