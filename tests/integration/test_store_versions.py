"""Whose turn it is to write: a store that takes only newer programs is left as it is by scripts and at the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pytest
from pydantic import SecretStr

from support.servers import Server
from support.store_steps import LEASE_MS, claim, govern, number, publish, push, settle
from trunkline.bootstrap import open_store
from trunkline.config.sections import StoreSettings
from trunkline.config.settings import Settings
from trunkline.store import Store, StoreNewer, checkpoints, queries, rejections
from trunkline.store.examining import try_a_write
from trunkline.store.model import AccountRule, Policies, ProfilePolicy, Settlement
from trunkline.store.registry import Registration
from trunkline.store.rejections import Rejection
from trunkline.store.scripts import NAMES, SCHEMA

EDITED: Final = Policies({"default": AccountRule(1, 1)}, {"other": ProfilePolicy("default", 9, 9, "f9", "i")})
NAME: Final = [("support", number(1))]
REJECTION: Final = Rejection("0" * 16, "crm", "invalid_event", "not JSON")
MOVES: Final[Mapping[str, Callable[[Store, str], object]]] = {
    "meta": lambda store, _: store.migrated(),
    "beat": lambda store, _: Registration(store, EDITED, worker="w", ttl_ms=1_000).beat(),
    "configure": lambda store, _: govern(store, EDITED),
    "govern": lambda store, _: Registration(store, EDITED, worker="w", ttl_ms=1_000).govern(),
    "publish": lambda store, _: store.publish(EDITED),
    "books": lambda store, _: queries.books(store),
    "push": lambda store, _: push(store, number(9)),
    "look": lambda store, _: store.look(1),
    "claim": lambda store, _: store.claim(LEASE_MS),
    "permit": lambda store, batch: store.permit(batch, "default", 1),
    "settle": lambda store, batch: store.settle(batch, Settlement("f0", attached=(number(2),))),
    "reap": lambda store, _: store.reap(),
    "pause": lambda store, _: store.pause_account("default", "maintenance"),
    "probed": lambda store, _: store.probed("default"),
    "checkpoint": lambda store, _: checkpoints.keep(store, "inventory", "telnyx", "page 7"),
    "replay": lambda store, _: store.replay(NAME),
    "drop": lambda store, _: store.drop_dead(NAME),
    "archive": lambda store, _: store.archive(0),
    "retime": lambda store, _: store.run("retime", ""),
    "inspect": lambda store, _: store.run("inspect", "waiting"),
    "mend": lambda store, _: store.run("mend", "names", *NAME[0]),
    "reject": lambda store, _: rejections.keep(store, REJECTION, counts=True),
    "forget": lambda store, _: rejections.drop(store, [REJECTION.id]),
}


def everything(server: Server) -> dict[object, object]:
    """Every key with all it holds."""
    with server.client(decode_responses=False) as raw:
        return {key: raw.dump(key) for key in raw.keys("*")}


def asks_for_newer(store: Store) -> None:
    store._client.hset(f"{store.prefix}meta", "least", SCHEMA + 1)


@pytest.mark.parametrize("script", NAMES)
def test_every_script_refuses_before_its_first_write(server: Server, store: Store, script: str) -> None:
    publish(store, size=1)
    push(store, number(1))
    settle(store, claim(store), "dead")
    push(store, number(2))
    batch = claim(store)
    push(store, number(3))
    asks_for_newer(store)
    before = everything(server)
    with pytest.raises(StoreNewer, match="upgrade trunkline on this host"):
        MOVES[script](store, batch.id)
    assert everything(server) == before


def test_readiness_refuses_it_too(server: Server, store: Store) -> None:
    asks_for_newer(store)
    before = everything(server)
    with pytest.raises(StoreNewer):
        try_a_write(store)
    assert everything(server) == before


def settings_for(server: Server) -> Settings:
    return Settings(store=StoreSettings(url=SecretStr(server.url), acknowledge="memory"))


def test_a_store_that_takes_newer_programs_only_is_not_opened(server: Server, store: Store) -> None:
    asks_for_newer(store)
    before = everything(server)
    with pytest.raises(StoreNewer, match=f"it writes schema {SCHEMA}, and the store takes {SCHEMA + 1} or newer"):
        open_store(settings_for(server))
    assert everything(server) == before


@pytest.mark.parametrize(("was_there_before_versions", "schema"), [(False, SCHEMA), (True, 1)])
def test_who_opens_a_store_first_notes_its_schema(
    server: Server, store: Store, was_there_before_versions: bool, schema: int
) -> None:
    if was_there_before_versions:
        store._client.sadd(f"{store.prefix}policies", "support")
    for _ in range(2):
        opened = open_store(settings_for(server))
        assert opened.store.versions().data == schema
        opened.close()


def test_a_replica_is_opened_to_be_asked(server: Server, store: Store) -> None:
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")
        try:
            open_store(settings_for(server)).close()
        finally:
            client.replicaof("NO", "ONE")
