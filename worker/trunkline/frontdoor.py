"""The front door for programs that speak dramatiq: their message becomes a stored event."""

from __future__ import annotations

import time
from typing import Final

from trunkline.contract import RefusalCode, TrunklineError, parse_event
from trunkline.intake import ProfileRule, take_in
from trunkline.observe import Log, logger
from trunkline.settings import Settings
from trunkline.store import Store, StoreUnavailable

PAUSE_S: Final = 1.0
SOURCE: Final = "dramatiq"


class EventRefused(TrunklineError):
    """Numbers of the event were refused; dramatiq keeps the message among its dead letters, where it can be seen."""


class FrontDoor:
    """Takes native events in, as any producer does."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._rules = {name: ProfileRule(name, p.trunk_id is not None) for name, p in settings.profiles.items()}

    def take(self, message: object) -> None:
        """Stores one native event. Raises InvalidEvent or EventRefused; a store that is away is waited for."""
        settings = self._settings
        event = parse_event(message, default_source=SOURCE)
        delivery = take_in(
            event, rules=settings.numbers, profiles=self._rules, routes=settings.routes, sources=settings.sources
        )
        while True:
            # dramatiq would lose the message if its retry could not be written either, and drops its dead letters.
            try:
                pushed = self._store.push([delivery])[0]
                if all(code is not RefusalCode.queue_full for _, code in pushed.refused):
                    break
                logger().error(Log.event_refused, event_id=event.event_id, first="the queue is full; waiting for room")
            except StoreUnavailable as error:
                logger().error(Log.store_unavailable, error=str(error), event_id=event.event_id)
            time.sleep(PAUSE_S)
        logger().info(Log.event_taken, event_id=event.event_id, accepted=pushed.accepted, duplicate=pushed.duplicate)
        refused = [each.message for each in delivery.refused] + [code.value for _, code in pushed.refused]
        if refused:
            logger().warning(Log.event_refused, event_id=event.event_id, refused=len(refused), first=refused[0])
            raise EventRefused(f"event {event.event_id}: {len(refused)} numbers refused, the first: {refused[0]}")
