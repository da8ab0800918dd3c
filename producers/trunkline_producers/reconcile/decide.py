"""Decision for one number that is owned, from the books and from the API's listing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from trunkline.events.event import NumberEvent
from trunkline.lifecycle import State
from trunkline.store.model import Entry
from trunkline.timestamps import EPOCH
from trunkline_producers.carriers.inventory import Owned

Listed = Callable[[str, str], bool | None]  # profile, number -> the API lists it; None: not known

_BUSIEST: Final = (State.queued, State.attaching, State.attached, State.dead, State.dropped, State.superseded)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A number that is left alone; `state` is that of its liveliest entry."""

    state: State


def nothing_listed(_profile: str, _number: str) -> None:
    """A `Listed` without the API's listing: None for every number."""


def decide(
    owned: Owned, number: str, entries: Sequence[Entry], listed: Listed, source: str
) -> list[NumberEvent] | Skipped:
    """The events for a number of the account, or the state in which it is left; a second run gives the same ids.

    `number` is the owned one in E.164, `entries` what the books have of it under any profile, in any spelling. A number
    that the books don't know goes in; one that is attached goes to be read back where the API does not list it. All
    else is left: whatever waits is on its way, and what is dead or was taken out waits for a person. Raises
    InvalidEvent.
    """
    if not entries:
        return [_new(owned, number, source)]
    lost = [
        entry for entry in entries if entry.state is State.attached and listed(entry.profile, entry.number) is False
    ]
    if not lost:
        return Skipped(min((entry.state for entry in entries), key=_BUSIEST.index))
    return [_look_again(entry, source) for entry in lost]


def _new(owned: Owned, number: str, source: str) -> NumberEvent:
    """The event of a number that the books don't know."""
    metadata = dict(owned.metadata)
    if owned.id:
        metadata["carrier_id"] = owned.id
    return NumberEvent(
        event_id=f"inventory-{number}", numbers=(number,), source=source, occurred_at=owned.since, metadata=metadata
    )


def _look_again(entry: Entry, source: str) -> NumberEvent:
    """The event that has an entry read back. Its time is the earliest, so that it takes no direction from others."""
    return NumberEvent(
        event_id=f"inventory-{entry.number}-{entry.updated_ms}",
        numbers=(entry.number,),
        profile=entry.profile,
        source=source,
        occurred_at=EPOCH,
    )
