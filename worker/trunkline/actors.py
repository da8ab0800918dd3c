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


def declare(
    broker: dramatiq.Broker,
    *,
    work: Callable[[], bool],
    take_event: Callable[[object], None],
    expected: tuple[type[Exception], ...],
) -> Actors:
    """Declares the actors on a broker.

    `work` takes batches (True: there may be more), `take_event` stores one native event; what it raises of `expected`
    is no error of the program, so dramatiq does not log the message.
    """

    @dramatiq.actor(broker=broker, actor_name=ATTACH_ACTOR, queue_name=ATTACH_QUEUE)
    def attach_batch() -> None:
        if work():
            attach_batch.send()  # behind whatever waits: one queue's work must not starve the other's

    @dramatiq.actor(broker=broker, actor_name=EVENT_ACTOR, queue_name=EVENTS_QUEUE, throws=expected)
    def take_number_event(event: dict[str, Any]) -> None:
        take_event(event)

    return Actors(attach_batch, take_number_event)
