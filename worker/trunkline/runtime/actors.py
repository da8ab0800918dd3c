"""The dramatiq actors: decode, call the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import dramatiq

ATTACH_QUEUE: Final = "trunkline"  # hints: "there is work"
EVENTS_QUEUE: Final = "trunkline_events"  # the front door: number events from programs that speak dramatiq
ATTACH_ACTOR: Final = "attach_batch"
EVENT_ACTOR: Final = "take_number_event"


def declare_attach(broker: dramatiq.Broker, work: Callable[[], bool]) -> dramatiq.Actor[[], None]:
    """Declares the actor of the hints; `work` takes batches and returns True if there may be more."""

    @dramatiq.actor(broker=broker, actor_name=ATTACH_ACTOR, queue_name=ATTACH_QUEUE)
    def attach_batch() -> None:
        if work():
            attach_batch.send()

    return attach_batch


def declare_events(
    broker: dramatiq.Broker, take_event: Callable[[object], None], expected: tuple[type[Exception], ...]
) -> None:
    """Declares the actor of the front door. `take_event` stores one native event; what it raises of `expected` is no
    error of the program, so dramatiq does not log the message."""

    @dramatiq.actor(broker=broker, actor_name=EVENT_ACTOR, queue_name=EVENTS_QUEUE, throws=expected)
    def take_number_event(event: dict[str, Any]) -> None:
        take_event(event)
