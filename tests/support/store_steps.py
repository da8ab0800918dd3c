"""Short steps for tests of the store: deliver, claim, attach, settle; and what an entry has become."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from support.store_audit import audit
from trunkline.events.intake import Delivery
from trunkline.lifecycle import Refusal
from trunkline.store import Store, queries
from trunkline.store.model import (
    AccountRule,
    Batch,
    Disposition,
    Entry,
    Idle,
    Policies,
    ProfilePolicy,
    Pushed,
    Settlement,
)
from trunkline.store.registry import Registration

LEASE_MS = 60_000
FOR_EVER_MS = 100 * 365 * 86_400_000
_event_ids = itertools.count()


def number(index: int) -> str:
    return f"+1415{5_550_000 + index:07d}"


def publish(
    store: Store,
    *,
    size: int = 100,
    wait_ms: int = 1_000,
    cap: int = 100,
    interval_ms: float = 0,
    fingerprint: str = "f0",
    profiles: Sequence[str] = ("support",),
    directions: str = "io",
) -> None:
    """A whole configuration: these profiles, alike, of one account "default"."""
    policy = ProfilePolicy("default", size, wait_ms, fingerprint, directions)
    govern(store, Policies({"default": AccountRule(cap, interval_ms)}, dict.fromkeys(profiles, policy)))


def govern(store: Store, policies: Policies) -> None:
    """The configuration of the only worker there is, which lives for ever and carries whatever is published."""
    Registration(store, policies, worker="only", ttl_ms=FOR_EVER_MS).join()
    store.worker = store.digest = ""


def delivery(
    names: Iterable[tuple[str, str]],
    *,
    event_id: str | None = None,
    occurred_ms: int | None = None,
    force: bool = False,
    refused: tuple[Refusal, ...] = (),
) -> Delivery:
    """A delivery of its own event unless `event_id` says otherwise."""
    return Delivery("test", event_id or f"evt_{next(_event_ids)}", occurred_ms, "", force, tuple(names), refused)


def push(store: Store, *numbers: str, profile: str = "support", force: bool = False) -> Pushed:
    return store.push([delivery(((profile, each) for each in numbers), force=force)])[0]


def go_on(store: Store, ms: int) -> None:
    assert store.now_ms is not None
    store.now_ms += ms


def claim(store: Store) -> Batch:
    """The next batch, after waiting for it on the injected clock if it is not due yet."""
    said = store.claim(LEASE_MS)
    if isinstance(said, Idle) and said.wait_ms is not None:
        go_on(store, said.wait_ms)
        said = store.claim(LEASE_MS)
    assert isinstance(said, Batch), said
    return said


def sent(store: Store, batch: Batch) -> Batch:
    """The batch, once its request has left."""
    assert store.permit(batch.id, batch.account, len(batch.numbers)) == 0
    return batch


def numbers_of(batch: Batch) -> list[str]:
    return [leased.number for leased in batch.numbers]


def others(batch: Batch, kind: str, at_ms: int = 0, **words: str) -> tuple[Disposition, ...]:
    return tuple(Disposition(each, kind, at_ms, **words) for each in numbers_of(batch))  # type: ignore[arg-type]  # a literal


def attach(store: Store, batch: Batch) -> None:
    """The API took every number of a batch that was sent."""
    said = Settlement(batch.fingerprint, attached=tuple(numbers_of(batch)), healthy=True)
    assert store.settle(batch.id, said)


def settle(store: Store, batch: Batch, kind: str, at_ms: int = 0, **words: str) -> None:
    """One outcome for all numbers of a batch."""
    assert store.settle(batch.id, Settlement(batch.fingerprint, dispositions=others(batch, kind, at_ms, **words)))


def idle(store: Store) -> Idle:
    said = store.claim(LEASE_MS)
    assert isinstance(said, Idle), said
    return said


def entry(store: Store, number: str, profile: str = "support") -> Entry:
    (found,) = queries.entries(store, [(profile, number)])
    return found


def is_sound(store: Store) -> bool:
    """Every invariant holds."""
    wrong = audit(store)
    assert wrong == []
    return True
