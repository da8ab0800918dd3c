"""Purchases: numbers that a carrier's audit log says were bought since it was last asked.

An inventory leaves a number alone that somebody took out. A purchase is news: the number was bought again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trunkline.events.event import NumberEvent
from trunkline.store import Store, checkpoints
from trunkline.timestamps import read_iso
from trunkline_producers.carriers.inventory import AuditLog, Bought, Owned
from trunkline_producers.enqueue.enqueuer import Summary
from trunkline_producers.reconcile.reconcile import Enqueues

OVERLAP: Final = timedelta(hours=1)  # asked for again, because logs are late and clocks differ


def take_purchases(log: AuditLog, store: Store, enqueuer: Enqueues, *, source: str, now: datetime) -> Summary:
    """Enqueues what was bought since the last call, each purchase once however often it is read; `now` is aware.

    Also when the last call is so long ago that the store has forgotten the event: the number may have been taken out
    since. The first call only notes the time: what is owned already is the inventory's. A number that is not owned any
    more is passed over. Raises CarrierError, StoreUnavailable and StoreError; the next call then reads the same time
    again.
    """
    kept = _read(checkpoints.read(store, "purchases", source))
    total = Summary()
    taken: dict[str, None] = {}
    if kept is not None:
        for page in log.bought_since(kept.at - OVERLAP):
            known = {each.event_id: None for each in page if each.event_id in kept.taken}
            events = list(_events(log, (each for each in page if each.event_id not in known), source))
            for event, summary in zip(events, enqueuer.each(events), strict=True):
                total += summary
                if not summary.rejected:
                    taken[event.event_id] = None
            total += Summary(duplicate=len(known))
            taken |= known
            if events:  # what fails from here on does not undo them
                checkpoints.keep(store, "purchases", source, _Kept(kept.at, kept.taken | taken).as_text())
    checkpoints.keep(store, "purchases", source, _Kept(now, taken).as_text())
    return total


@dataclass(frozen=True, slots=True)
class _Kept:
    """Checkpoint of an audit log: when it was last read to its end, and the ids of the purchases taken then."""

    at: datetime
    taken: dict[str, None]

    def as_text(self) -> str:
        return "\n".join([self.at.isoformat(), *self.taken])


def _read(text: str | None) -> _Kept | None:
    written, *taken = (text or "").split("\n")
    at = read_iso(written)
    if at is None:
        return None
    return _Kept(at, dict.fromkeys(taken))


def _events(log: AuditLog, bought: Iterator[Bought], source: str) -> Iterator[NumberEvent]:
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
