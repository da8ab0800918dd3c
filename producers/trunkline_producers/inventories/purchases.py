"""Purchases: numbers that a carrier's audit log says were bought since it was last asked.

An inventory leaves a number alone that somebody took out. A purchase is news: the number was bought again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from trunkline.contract import NumberEvent
from trunkline.store import Store
from trunkline_producers.carriers.values import AuditLog, Bought, Owned
from trunkline_producers.enqueue import Summary
from trunkline_producers.inventories import checkpoints
from trunkline_producers.inventories.reconciling import Enqueues

OVERLAP: Final = timedelta(hours=1)  # asked for again, because logs are late and clocks differ


def take_purchases(log: AuditLog, store: Store, enqueuer: Enqueues, *, source: str, now: datetime) -> Summary:
    """Enqueues what was bought since the last call, each purchase once however often it is read; `now` is aware.

    The first call only notes the time: what is owned already is the inventory's. A number that is not owned any more is
    passed over. Raises CarrierError, StoreUnavailable and StoreError; the next call then reads the same time again.
    """
    kept = checkpoints.read(store, "purchases", source)
    total = Summary()
    if since := _moment(kept):
        for bought in log.bought_since(since - OVERLAP):
            events = list(_events(log, bought, source))
            for summary in enqueuer.each(events):
                total += summary
    checkpoints.keep(store, "purchases", source, now.isoformat())
    return total


def _events(log: AuditLog, bought: tuple[Bought, ...], source: str) -> Iterator[NumberEvent]:
    for each in bought:
        owned = log.number(each.number_id)
        if owned is not None:
            yield _event(each, owned, source)


def _event(bought: Bought, owned: Owned, source: str) -> NumberEvent:
    return NumberEvent(
        event_id=bought.event_id,
        numbers=(owned.number,),
        source=source,
        occurred_at=bought.at,
        metadata={**owned.metadata, "carrier_id": bought.number_id},
    )


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
