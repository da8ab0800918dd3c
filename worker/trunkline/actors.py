"""The dramatiq actors: decode, call the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import dramatiq

ATTACH_QUEUE: Final = "trunkline"  # hints: "there is work"
EVENTS_QUEUE: Final = "trunkline_events"  # the front door: number events from programs that speak dramatiq
ATTACH_ACTOR: Final = "attach_batch"
EVENT_ACTOR: Final = "take_number_event"


@dataclass(frozen=True, slots=True)
class Actors:
    """The actors of one broker."""

    attach_batch: dramatiq.Actor[[], None]
    take_number_event: dramatiq.Actor[[dict[str, Any]], None]


def declare(broker: dramatiq.Broker, *, work: Callable[[], None], take_event: Callable[[object], None]) -> Actors:
    """Declares the actors on a broker: `work` takes batches until none is due, `take_event` stores one native event."""

    @dramatiq.actor(broker=broker, actor_name=ATTACH_ACTOR, queue_name=ATTACH_QUEUE)
    def attach_batch() -> None:
        work()

    @dramatiq.actor(broker=broker, actor_name=EVENT_ACTOR, queue_name=EVENTS_QUEUE)
    def take_number_event(event: dict[str, Any]) -> None:
        take_event(event)

    return Actors(attach_batch, take_number_event)
