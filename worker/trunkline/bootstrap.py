"""From settings to a store that is fit for use, and to the policies that are published in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import redis

from trunkline.config.settings import Settings
from trunkline.store import Store, StoreError, StoreUnavailable, StoreUnfit, connect
from trunkline.store.connection import CONNECTION, translated
from trunkline.store.embedded.server import EmbeddedServer
from trunkline.store.examining import examine, note_versions
from trunkline.store.model import AccountRule, Policies, ProfilePolicy
from trunkline.store.rights import examine_rights, examine_rights_of_hints

FOR_DRAMATIQ: Final[dict[str, Any]] = CONNECTION | {"decode_responses": False}  # its messages are bytes
BROKER_DB: Final = 1  # dramatiq's maintenance runs KEYS, so its hints live beside the store, not in it


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that was found fit, the client for dramatiq's hints, and how to let go of both."""

    store: Store
    broker_client: redis.Redis
    close: Callable[[], None]


def open_store(settings: Settings) -> Opened:
    """Raises EmbeddedError, StoreUnavailable or StoreUnfit (StoreNewer) with a sentence that says what to do."""
    if settings.store.url is None:
        return _open_embedded(settings)
    client = connect(settings.store.url.get_secret_value())
    broker = _broker(settings, client)

    def close() -> None:
        client.close()
        broker.close()

    return _opened(settings, client, broker, close)


def _open_embedded(settings: Settings) -> Opened:
    server = EmbeddedServer(settings.store.data_dir)
    server.open()
    client, broker = server.client(0, **CONNECTION), server.client(BROKER_DB, **FOR_DRAMATIQ)

    def close() -> None:
        client.close()
        broker.close()
        server.close()

    try:
        return _opened(settings, client, broker, close)
    except BaseException:
        close()
        raise


def _opened(settings: Settings, client: redis.Redis, broker: redis.Redis, close: Callable[[], None]) -> Opened:
    durability = examine(client, settings.store.acknowledge)
    store = Store(client, durability=durability, max_waiting=settings.store.max_waiting)
    note_versions(store)
    return Opened(store, broker, close)


def examine_for_work(opened: Opened) -> None:
    """Check that all a worker needs is there and allowed. Raises StoreUnfit, which says what to grant, and others."""
    examine_broker(opened.broker_client)
    examine_rights(opened.store)


def examine_broker(broker: redis.Redis) -> None:
    """For those who send and take hints. Raises StoreUnavailable, or StoreUnfit for no such database or right."""
    try:
        with translated():
            broker.ping()
        examine_rights_of_hints(broker)
    except StoreUnavailable as error:
        raise StoreUnavailable(f"dramatiq's hints (store.broker_url): {error}") from error
    except StoreError as error:
        raise StoreUnfit(f"dramatiq's hints can't be kept there: {error}; set store.broker_url") from error


def _broker(settings: Settings, client: redis.Redis) -> redis.Redis:
    """The client for dramatiq's hints: as configured, else the logical database after the store's."""
    url = settings.store.broker_url or settings.store.url
    broker = connect(url.get_secret_value() if url else "", **FOR_DRAMATIQ)
    if settings.store.broker_url is None:
        db = int(client.connection_pool.connection_kwargs.get("db") or 0)
        broker.connection_pool.connection_kwargs["db"] = db + BROKER_DB
    return broker


def policies_of(settings: Settings) -> Policies:
    """Return the part of each account and profile that the scripts need."""
    keyed = settings.keyed_hash()
    return Policies(
        accounts={
            name: AccountRule(account.max_concurrency, round(1000 / account.requests_per_second, 3))
            for name, account in settings.accounts.items()
        },
        profiles={
            name: ProfilePolicy(
                account=profile.account,
                max_size=profile.batch.max_size,
                max_wait_ms=int(profile.batch.max_wait_s * 1000),
                fingerprint=profile.fingerprint(settings.accounts[profile.account].base_url, keyed),
                directions=profile.direction_types,
                trunk=profile.trunk_id is not None,
            )
            for name, profile in settings.profiles.items()
        },
    )
