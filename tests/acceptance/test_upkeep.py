"""What `trunkline audit`, `audit --repair` and `store migrate` say, and with which exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from acceptance.worker_harness import Commands, environment
from support.old_store import OldStore
from support.servers import Server
from support.store_audit import audit
from support.store_steps import delivery, govern, publish, push
from trunkline.store import Store
from trunkline.store.migrating import TO_MIGRATE
from trunkline.store.model import AccountRule, Policies, ProfilePolicy

NUMBER = "+14155550100"
POLICIES = Policies({"default": AccountRule(2, 200)}, {"support": ProfilePolicy("default", 100, 1_000, "f0", "i")})
CONFIGURATION = '[store]\nacknowledge = "memory"\n[profiles.support]\ndirections = [{ type = "inbound" }]\n'


@dataclass(frozen=True)
class Place:
    """A store, and commands that speak to it."""

    store: Store
    trunkline: Commands


@pytest.fixture
def place(valkey: Server, tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "trunkline.toml").write_text(CONFIGURATION, "utf-8")
    env = environment(TRUNKLINE_CONFIG=tmp_path / "trunkline.toml", TRUNKLINE_REDIS_URL=valkey.url, BLAND_API_KEY="key")
    with valkey.client() as client, Commands(tmp_path, env) as trunkline:
        client.flushall()
        yield Place(Store(client), trunkline)
        client.flushall()


def test_a_repair_says_what_it_mended(place: Place) -> None:
    place.store.versions()
    publish(place.store)
    push(place.store, NUMBER)
    place.store._client.delete("{tl}:ready:support")
    found = place.trunkline("audit")
    assert found.code == 1
    assert found.out.startswith(f"{NUMBER} of support is queued and waits nowhere, so nobody would call it\n")
    assert place.trunkline("audit", "--json").json == {"wrong": found.out.splitlines(), "undecided": []}
    mended = place.trunkline("audit", "--repair", "--json")
    assert (mended.code, mended.json["wrong"]) == (0, [])
    assert mended.json["mended"][0] == f"{NUMBER} of support waits again where its entry says"
    again = place.trunkline("audit", "--repair")
    assert (again.code, again.out) == (0, "everything is where it belongs\n")
    assert audit(place.store) == []


def test_what_is_left_after_a_repair_is_exit_code_1(place: Place) -> None:
    place.store.versions()
    publish(place.store)
    push(place.store, NUMBER)
    place.store._client.hset(f"{{tl}}:entry:support:{NUMBER}", "s", "?")
    mended = place.trunkline("audit", "--repair")
    assert mended.code == 1
    assert f"{NUMBER} of support has no state that this program knows" in mended.out


def test_the_data_of_an_earlier_version_is_told_until_it_is_migrated(place: Place) -> None:
    old = OldStore(place.store)
    old.publish(POLICIES)
    old.push([delivery([("support", NUMBER)])])
    old.drop("q", [("support", NUMBER)])
    assert TO_MIGRATE in place.trunkline("status").out
    assert place.trunkline("status", "--json").json["store"]["schema"] == 1
    told = place.trunkline("audit", "--json")
    assert (told.code, told.json) == (0, {"wrong": [], "undecided": [TO_MIGRATE]})
    assert TO_MIGRATE in place.trunkline("audit").err
    done = place.trunkline("store", "migrate", "--json")
    assert (done.code, done.json) == (0, {"entries": 1, "claims": 0, "ends": 1, "claims_only": 0, "schema": 2})
    assert "schema 2" in place.trunkline("store", "migrate").out
    assert TO_MIGRATE not in place.trunkline("status").out
    assert place.trunkline("status", "--json").json["store"]["schema"] == 2
    assert place.trunkline("audit", "--json").json == {"wrong": [], "undecided": []}


def test_a_migration_beside_a_batch_of_the_earlier_version_is_refused(place: Place) -> None:
    old = OldStore(place.store)
    old.publish(POLICIES)
    old.push([delivery([("support", NUMBER)], occurred_ms=1)])
    govern(place.store, POLICIES)
    place.store._client.zadd("{tl}:due:default", {"support": 1})
    place.store._client.zadd("{tl}:due", {"default": 1})
    assert old.claim(60_000) is not None
    refused = place.trunkline("store", "migrate")
    assert (refused.code, refused.out) == (1, "")
    assert "a batch of an earlier version is under way" in refused.err
