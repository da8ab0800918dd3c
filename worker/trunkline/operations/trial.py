"""Trial of what a configuration names: a write to the store, a call of each account's API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from trunkline.bland.client import BlandApi, NotSent, Unanswered
from trunkline.bootstrap import examine_for_work, open_store
from trunkline.config.sections import Account
from trunkline.config.settings import Settings
from trunkline.store import Durability
from trunkline.store.examining import EARLY_WAITAOF, try_a_write

CALL_S: Final = 10.0  # for the answer of an account's API


@dataclass(frozen=True, slots=True)
class StoreTrial:
    """A store that took a write: how writes get to its disk, and a warning about that or None."""

    durability: Durability
    warning: str | None


@dataclass(frozen=True, slots=True)
class AccountTrial:
    """The answer of one account's API to its key, as a sentence; `ok`: the key is accepted."""

    account: str
    ok: bool
    message: str


def try_store(settings: Settings) -> StoreTrial:
    """Open the store, see that a worker may do all it must, and write to it.

    Raises EmbeddedError, StoreUnfit, StoreUnavailable and StoreError with a sentence that says what to do.
    """
    opened = open_store(settings)
    try:
        examine_for_work(opened)
        try_a_write(opened.store)
    finally:
        opened.close()
    warning = None
    if opened.store.durability is Durability.waitaof:
        warning = EARLY_WAITAOF
    return StoreTrial(opened.store.durability, warning)


def try_accounts(settings: Settings) -> Iterator[AccountTrial]:
    """Ask the API of each account, one after the other, to whom its key belongs (GET /v1/me)."""
    for name, account in settings.accounts.items():
        yield _try_account(name, account)


def _try_account(name: str, account: Account) -> AccountTrial:
    try:
        with closing(BlandApi(account)) as api:
            answer = api.me(deadline=time.monotonic() + CALL_S, permit=lambda: None)
    except (NotSent, Unanswered) as error:
        return AccountTrial(name, ok=False, message=error.message)
    return AccountTrial(name, ok=answer.status < 400, message=f"GET /v1/me answers {answer.status}")
