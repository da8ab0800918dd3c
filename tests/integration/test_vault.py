"""Register passwords are kept sealed, the latest said is the one shown, and a lost key hides only what it sealed."""

from __future__ import annotations

import base64

import pytest
from pydantic import SecretStr

from trunkline.store import Store
from trunkline.vault import Vault, VaultLocked


def key(fill: int) -> SecretStr:
    return SecretStr(base64.b64encode(bytes([fill]) * 32).decode())


def values(vault: Vault) -> list[str]:
    return [kept.password.get_secret_value() for kept in vault.passwords("pbx")[0]]


def test_the_password_said_last_is_the_last_one(store: Store) -> None:
    vault = Vault(store, key(1))
    for said in ("first-password", "second-password", "first-password"):
        before = vault.passwords("pbx")[0]
        while before and before[-1].at_ms == vault._now_ms():  # a millisecond must pass
            pass
        vault.keep("pbx", SecretStr(said))
    assert values(vault) == ["second-password", "first-password"]


def test_what_an_earlier_key_sealed_does_not_hide_what_this_one_did(store: Store) -> None:
    Vault(store, key(1)).keep("pbx", SecretStr("of-the-first-key"))
    with pytest.raises(VaultLocked, match="not the key"):
        Vault(store, key(2)).passwords("pbx")
    vault = Vault(store, key(2))
    vault.keep("pbx", SecretStr("of-the-second-key"))
    assert values(vault) == ["of-the-second-key"]
    assert vault.known("pbx") == {"of-the-second-key"}


def test_without_a_key_nothing_is_kept_and_nothing_shown(store: Store) -> None:
    Vault(store, key(1)).keep("pbx", SecretStr("some-password"))
    with pytest.raises(VaultLocked, match="TRUNKLINE_SECRET_KEY"):
        Vault(store, None).passwords("pbx")
    assert Vault(store, None).known("pbx") == frozenset()


def test_the_store_has_the_sealed_form_only(store: Store) -> None:
    Vault(store, key(1)).keep("pbx", SecretStr("some-password"))
    kept = store.client.hgetall("{tl}:secret:pbx")
    assert "some-password" not in str(kept)
    assert base64.b64encode(b"some-password").decode() not in str(kept)
