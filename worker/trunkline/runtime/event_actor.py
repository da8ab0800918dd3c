"""The front door for programs that speak dramatiq: their message becomes a stored event."""

from __future__ import annotations

import math
import time
from threading import Event
from typing import Final

from trunkline.config.settings import Settings
from trunkline.errors import TrunklineError
from trunkline.events.event import parse_event
from trunkline.events.intake import Delivery, ProfileRule, take_in
from trunkline.lifecycle import RefusalCode
from trunkline.store import Store, StoreError, StoreUnavailable
from trunkline.store.model import Pushed
from trunkline.telemetry.logs import Log, logger

PAUSE_S: Final = 1.0
REFUSED_S: Final = 30.0  # how long an event that the store refuses for no known reason keeps the others waiting
SOURCE: Final = "dramatiq"


class EventRefused(TrunklineError):
    """Numbers of the event were refused; dramatiq keeps the message among its dead letters, where it can be seen."""


class GivenBack(Exception):
    """The event was not taken in and is to come again, here or in another process."""


class FrontDoor:
    """Takes native events in, as any producer does. `stopping` ends its waits."""

    def __init__(self, store: Store, settings: Settings, stopping: Event) -> None:
        self._store = store
        self._settings = settings
        self._stopping = stopping
        self._rules = {name: ProfileRule(name, p.trunk_id is not None) for name, p in settings.profiles.items()}

    def take(self, message: object) -> None:
        """Stores one native event; a store that is away or full is waited for.

        Raises InvalidEvent or EventRefused for what its sender must change, and GivenBack if a stop comes first.
        """
        settings = self._settings
        event = parse_event(message, default_source=SOURCE)
        delivery = take_in(
            event, rules=settings.numbers, profiles=self._rules, routes=settings.routes, sources=settings.sources
        )
        pushed = self._stored(delivery)
        logger().info(Log.event_taken, event_id=event.event_id, accepted=pushed.accepted, duplicate=pushed.duplicate)
        refused = [each.message for each in delivery.refused] + [code.value for _, code in pushed.refused]
        if refused:
            logger().warning(Log.event_refused, event_id=event.event_id, refused=len(refused), first=refused[0])
            raise EventRefused(f"event {event.event_id}: {len(refused)} numbers refused, the first: {refused[0]}")

    def _stored(self, delivery: Delivery) -> Pushed:
        """Pushes until the store takes it. dramatiq would drop the message with its dead letters in a week."""
        waits = False
        give_back_at = math.inf
        while True:
            try:
                pushed = self._store.push([delivery])[0]
                if all(code is not RefusalCode.queue_full for _, code in pushed.refused):
                    return pushed
                reason = "the queue is full"
            except StoreUnavailable as error:
                reason = str(error)
            except StoreError as error:  # of the store, as far as we know; if it is the event's, the others must go on
                reason = str(error)
                give_back_at = min(give_back_at, time.monotonic() + REFUSED_S)
            if not waits:
                logger().warning(Log.event_waits, event_id=delivery.event_id, reason=reason)
            waits = True
            if self._stopping.wait(PAUSE_S) or time.monotonic() >= give_back_at:
                raise GivenBack(reason)
