"""Register passwords are sealed before they are kept, and a lost key hides only what it sealed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import SecretStr

from trunkline.store import Store
from trunkline.store.vault import StoredPassword, Vault, VaultLocked

FIELD = "{tl}:secret:pbx"


def key(fill: int) -> SecretStr:
    return SecretStr(base64.b64encode(bytes([fill]) * 32).decode())


def keep(store: Store, vault: Vault, said: str, *, at_ms: int, **more: Any) -> None:
    """What the store does with a sealed password that comes with a settlement."""
    sealed = vault.seal("pbx", SecretStr(said))
    store._client.hset(FIELD, sealed.field, json.dumps({"at": at_ms, "sealed": sealed.text, **more}))


def values(vault: Vault) -> list[str]:
    return [kept.password.get_secret_value() for kept in vault.passwords("pbx")[0]]


def test_the_password_said_last_is_the_last_one(store: Store) -> None:
    vault = Vault(store, key(1))
    for at_ms, said in enumerate(("first-password", "second-password", "first-password")):
        keep(store, vault, said, at_ms=at_ms)
    assert values(vault) == ["second-password", "first-password"]


def test_a_password_is_shown_with_its_time_its_batch_and_its_numbers(store: Store) -> None:
    vault = Vault(store, key(1))
    keep(store, vault, "noted", at_ms=2, batch="1-a", numbers=["+14155550100"])
    keep(store, vault, "not-noted", at_ms=1)
    keep(store, vault, "of-nobody", at_ms=3, batch="1-b", numbers={})  # how Lua writes an empty list
    assert vault.passwords("pbx")[0] == (
        StoredPassword(SecretStr("not-noted"), 1),
        StoredPassword(SecretStr("noted"), 2, "1-a", ("+14155550100",)),
        StoredPassword(SecretStr("of-nobody"), 3, "1-b"),
    )


def test_when_one_was_lost_is_told_beside_those_that_were_not(store: Store) -> None:
    vault = Vault(store, key(1))
    keep(store, vault, "some-password", at_ms=1)
    store._client.hset(FIELD, "lost", "5")
    assert vault.passwords("pbx")[1] == 5
    assert values(vault) == ["some-password"]


def test_what_an_earlier_key_sealed_does_not_hide_what_this_one_did(store: Store) -> None:
    keep(store, Vault(store, key(1)), "of-the-first-key", at_ms=1)
    with pytest.raises(VaultLocked, match="not the key"):
        Vault(store, key(2)).passwords("pbx")
    vault = Vault(store, key(2))
    keep(store, vault, "of-the-second-key", at_ms=2)
    assert values(vault) == ["of-the-second-key"]
    assert vault.known("pbx") == {"of-the-second-key"}


def test_a_password_is_known_from_when_it_is_sealed_whatever_becomes_of_it(store: Store) -> None:
    vault = Vault(store, key(1))
    assert vault.known("pbx") == frozenset()
    vault.seal("pbx", SecretStr("some-password"))
    assert vault.known("pbx") == {"some-password"}


def test_sealing_the_same_twice_gives_the_same_field_and_writes_nothing(store: Store) -> None:
    vault = Vault(store, key(1))
    first, second = (vault.seal("pbx", SecretStr("some-password")) for _ in range(2))
    assert first.field == second.field != vault.seal("pbx", SecretStr("another")).field
    assert "some-password" not in f"{first} {second}"
    assert store._client.exists(FIELD) == 0


def test_without_a_key_nothing_is_sealed_and_nothing_shown(store: Store) -> None:
    keep(store, Vault(store, key(1)), "some-password", at_ms=1)
    with pytest.raises(VaultLocked, match="TRUNKLINE_SECRET_KEY"):
        Vault(store, None).passwords("pbx")
    with pytest.raises(VaultLocked, match="TRUNKLINE_SECRET_KEY"):
        Vault(store, None).seal("pbx", SecretStr("another"))
    assert Vault(store, None).known("pbx") == frozenset()
