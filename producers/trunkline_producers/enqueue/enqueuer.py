"""Enqueuing: number events go into the store, and what became of them comes back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from trunkline.bootstrap import open_store, policies_of
from trunkline.config.settings import Settings, load
from trunkline.events.event import NumberEvent
from trunkline.events.intake import Delivery, NumberRules, ProfileRule, take_in
from trunkline.events.routing import Route
from trunkline.lifecycle import Refusal, RefusalCode
from trunkline.store import Store
from trunkline.store.model import Pushed
from trunkline.store.queries import published

NUMBERS_A_PUSH: Final = 500  # what is held in memory at once; one wait for the disk each
PROFILES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of events: numbers taken in, those of them that joined an entry, events known already, refusals."""

    accepted: int = 0
    coalesced: int = 0
    duplicate: int = 0
    rejected: tuple[Refusal, ...] = ()

    def __add__(self, other: Summary) -> Summary:
        return Summary(
            self.accepted + other.accepted,
            self.coalesced + other.coalesced,
            self.duplicate + other.duplicate,
            self.rejected + other.rejected,
        )

    def as_json(self, most: int | None = None) -> dict[str, object]:
        """The answer to a producer: `{"accepted": 2, "coalesced": 0, "duplicate": 0, "rejected": […]}`.

        Where more than `most` were refused, so many are listed and `rejected_total` is added.
        """
        document: dict[str, object] = {
            "accepted": self.accepted,
            "coalesced": self.coalesced,
            "duplicate": self.duplicate,
            "rejected": [refusal.as_json() for refusal in self.rejected[:most]],
        }
        return (
            document
            if most is None or len(self.rejected) <= most
            else document | {"rejected_total": len(self.rejected)}
        )


class Enqueuer:
    """Takes number events in: reads and routes their numbers, and stores them, each event once.

    Every method raises StoreUnavailable when the store can't be reached, and StoreError for an answer that can't be
    worked with. What was stored before that stays; the same events, with the same ids, may be handed in again.
    """

    def __init__(
        self,
        store: Store,
        *,
        rules: NumberRules,
        profiles: Mapping[str, ProfileRule],
        routes: Sequence[Route] = (),
        sources: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        self.store = store
        self._rules = rules
        self._profiles = profiles
        self._routes = routes
        self._sources = sources

    @classmethod
    def from_settings(cls, store: Store, settings: Settings) -> Enqueuer:
        """Knows the profiles of the settings and those that workers elsewhere have published.

        Publishes the settings' own where nobody has yet, so that numbers can be enqueued before any worker ran.
        """
        store.publish(policies_of(settings))
        return cls(
            store,
            rules=settings.numbers,
            profiles=_published(store),
            routes=settings.routes,
            sources=settings.sources,
        )

    @classmethod
    @contextmanager
    def open(cls, config: Path | None = None) -> Iterator[Enqueuer]:
        """An enqueuer for a program of one's own, by its configuration (`config`, else as every command finds it).

        Needs none of the API's secrets. Raises ConfigError, EmbeddedError, StoreUnavailable or StoreUnfit.
        """
        settings = load(config, os.environ, secrets="optional")
        opened = open_store(settings)
        try:
            yield cls.from_settings(opened.store, settings)
        finally:
            opened.close()

    def enqueue(self, events: Iterable[NumberEvent]) -> Summary:
        """Stores the events in their order and returns when all are stored, on disk where that was asked for."""
        accepted = coalesced = duplicate = 0
        rejected: list[Refusal] = []
        for one in self.each(events):
            accepted += one.accepted
            coalesced += one.coalesced
            duplicate += one.duplicate
            rejected += one.rejected
        return Summary(accepted, coalesced, duplicate, tuple(rejected))

    def each(self, events: Iterable[NumberEvent]) -> Iterator[Summary]:
        """One summary for each event, in their order. Memory stays constant: a few hundred numbers go at a time."""
        for part in _parts(events):
            deliveries = [self.delivery(event) for event in part]
            for delivery, pushed in zip(deliveries, self.store.push(deliveries), strict=True):
                yield self.summary(delivery, pushed)

    def refresh(self) -> None:
        """Looks which profiles are published now: workers may have come with new ones."""
        self._profiles = _published(self.store)

    def delivery(self, event: NumberEvent) -> Delivery:
        """The event as the store takes it in, its numbers read and routed. Sends nothing, raises nothing."""
        return take_in(event, rules=self._rules, profiles=self._profiles, routes=self._routes, sources=self._sources)

    def summary(self, delivery: Delivery, pushed: Pushed) -> Summary:
        """What became of a delivery that was pushed, each refusal with a sentence."""
        refused = [self._explained(refusal) for refusal in delivery.refused]
        refused += [self._refusal(*delivery.numbers[index], code) for index, code in pushed.refused]
        return Summary(pushed.accepted, pushed.coalesced, int(pushed.duplicate), tuple(refused))

    def _explained(self, refusal: Refusal) -> Refusal:
        if refusal.code is not RefusalCode.unknown_profile:
            return refusal
        return replace(refusal, message=f"{refusal.message.rstrip('?')}{self._known()}")

    def _refusal(self, profile: str, number: str, code: RefusalCode) -> Refusal:
        """What the store refused, for people."""
        match code:
            case RefusalCode.queue_full:
                limit = self.store.max_waiting
                message = f"the queue is full (max_waiting under [store] is {limit}); send it again later"
            case RefusalCode.unknown_profile:
                message = f'nobody has published the profile "{profile}": start a worker whose configuration has it'
            case _:
                message = "the store refused it"
        return Refusal(number, code, message)

    def _known(self) -> str:
        names = sorted(self._profiles)
        if not names:
            return "; none is known yet: configure one under [profiles.NAME], or start a worker that has one"
        more = f" and {len(names) - PROFILES_SHOWN} more" if len(names) > PROFILES_SHOWN else ""
        return f" (known: {', '.join(names[:PROFILES_SHOWN])}{more})"


def _published(store: Store) -> dict[str, ProfileRule]:
    return {name: ProfileRule(name, trunk) for name, trunk in published(store).items()}


def _parts(events: Iterable[NumberEvent]) -> Iterator[list[NumberEvent]]:
    part: list[NumberEvent] = []
    numbers = 0
    for event in events:
        part.append(event)
        numbers += len(event.numbers)
        if numbers >= NUMBERS_A_PUSH:
            yield part
            part, numbers = [], 0
    if part:
        yield part
