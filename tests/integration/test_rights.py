"""A right that the store's user lacks is told at the start, by name, whichever branch of a script would have met it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from dramatiq.brokers import redis as dramatiqs

from support.servers import HOST, Server
from trunkline.store import Store, StoreUnfit, connect, scripts
from trunkline.store.rights import ARGUMENTS, OF_DRAMATIQ, OF_STORE, examine_rights, examine_rights_of_hints

NAMED = re.compile(r"""call\(["']([A-Za-z]+)["']""")


@pytest.fixture
def admin(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        client.flushall()
        yield client
        client.execute_command("ACL", "DELUSER", "t")


@contextmanager
def as_user(admin: redis.Redis, server: Server, rights: str) -> Iterator[redis.Redis]:
    admin.execute_command("ACL", "SETUSER", "t", "reset", "on", "nopass", *rights.split())
    with connect(f"redis://t:x@{HOST}:{server.port}/0") as client:
        yield client


def test_every_command_of_every_script_is_tried() -> None:
    ours = {name for script in scripts.load().values() for name in NAMED.findall(script.text)}
    assert ours <= set(OF_STORE), "say in store/rights.py how a new command of a script is tried"
    theirs = {name.upper() for name in NAMED.findall(dramatiqs._scripts["dispatch"].decode())}
    assert theirs - {"HLEN", "SCARD"} <= set(OF_DRAMATIQ), "HLEN and SCARD are of its tests"


def test_a_user_that_may_do_all_leaves_nothing_behind(admin: redis.Redis, server: Server) -> None:
    with as_user(admin, server, "~* +@all") as client:
        examine_rights(Store(client))
        examine_rights_of_hints(client)
    assert admin.keys("*") == []


@pytest.mark.parametrize("name", OF_STORE)
def test_each_command_that_is_missing_is_named(name: str, admin: redis.Redis, server: Server) -> None:
    with (
        as_user(admin, server, f"~* +@all -{name.lower()}") as client,
        pytest.raises(StoreUnfit, match=rf"grant it \+{name.lower()}$"),
    ):
        examine_rights(Store(client))


@pytest.mark.parametrize("rights", ["~other:* +@all", "%R~{tl}:* ~other:* +@all"])
def test_the_keys_are_named(rights: str, admin: redis.Redis, server: Server) -> None:
    with as_user(admin, server, rights) as client, pytest.raises(StoreUnfit, match=r"grant it ~\{tl\}:\*$"):
        examine_rights(Store(client))


def test_the_bare_key_of_dramatiqs_scripts_is_missed(admin: redis.Redis, server: Server) -> None:
    with (
        as_user(admin, server, "~dramatiq:* +@all") as client,
        pytest.raises(StoreUnfit, match=r"grant it ~dramatiq\*$"),
    ):
        examine_rights_of_hints(client)


def test_a_server_that_takes_no_writes_now_is_asked_all_the_same(admin: redis.Redis, server: Server) -> None:
    admin.config_set("maxmemory", "1")
    try:
        with as_user(admin, server, "~* +@all -zrange") as client, pytest.raises(StoreUnfit, match=r"\+zrange$"):
            examine_rights(Store(client))
        with as_user(admin, server, "~* +@all") as client:
            examine_rights(Store(client))
    finally:
        admin.config_set("maxmemory", "0")


def test_the_arguments_are_right() -> None:
    assert set(OF_STORE) | set(OF_DRAMATIQ) <= set(ARGUMENTS)
