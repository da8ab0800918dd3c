"""Pauses: an operator stops and restarts the calls of an account or of a profile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from trunkline.operations.names import NotThere
from trunkline.store import Store, queries
from trunkline.text import did_you_mean


@dataclass(frozen=True, slots=True)
class Target:
    """An account or a profile, by its name."""

    kind: Literal["account", "profile"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def pause(store: Store, target: Target, reason: str) -> None:
    """Stop the calls of an account or a profile until they are resumed; calls under way end.

    `reason` is shown in the status. Raises NotThere if nobody published the name; StoreUnavailable and StoreError.
    """
    stop = {"account": store.pause_account, "profile": store.pause_profile}
    if not stop[target.kind](target.name, reason):
        raise _not_there(store, target)


def resume(store: Store, target: Target) -> None:
    """Start the calls of an account or a profile again. An account whose breaker is open is probed at once.

    Raises NotThere if nobody published the name; StoreUnavailable and StoreError.
    """
    start = {"account": store.resume_account, "profile": store.resume_profile}
    if not start[target.kind](target.name):
        raise _not_there(store, target)


def _not_there(store: Store, target: Target) -> NotThere:
    meant = did_you_mean(target.name, _known(store, target.kind)) or ";"
    return NotThere(f"there is no {target}{meant} `trunkline status` lists what there is")


def _known(store: Store, kind: Literal["account", "profile"]) -> Iterable[str]:
    if kind == "profile":
        return queries.published(store)
    return (book.account for book in queries.books(store).accounts)
