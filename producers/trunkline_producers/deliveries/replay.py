"""Replay of rejections: a kept delivery is read again with the present configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import blake2b
from typing import Final

from trunkline.events.event import NumberEvent, to_wire
from trunkline.events.intake import Delivery
from trunkline.lifecycle import Refusal, RefusalCode
from trunkline.store import queries, rejections
from trunkline.store.rejections import Rejection, StoredRejection
from trunkline.timestamps import EPOCH
from trunkline_producers.deliveries.delivery import DeliveryResult, Fetch, fetched, not_understood, settled, understood
from trunkline_producers.enqueue.enqueuer import Enqueuer, Summary
from trunkline_producers.sources import Source
from trunkline_producers.sources.interpret import native_events
from trunkline_producers.verify import Unverified
from trunkline_producers.webhooks.bodies import Unreadable, read_json
from trunkline_producers.webhooks.request import WebhookRequest

EVENTS_URL: Final = "/v1/events"  # stands for the URL of what a program posted
MENDABLE: Final = (RefusalCode.no_route, RefusalCode.unknown_profile)  # by the operator; the rest its sender must mend


@dataclass(frozen=True, slots=True)
class Replayer:
    """Replays rejections. Raises what Enqueuer raises."""

    enqueuer: Enqueuer
    sources: Mapping[str, Source]
    fetch: Fetch
    scrub: Callable[[str], str]

    def replay(self, kept: StoredRejection) -> DeliveryResult:
        """Read the delivery again and store its events; drop it if all of them went in, else renew its reason."""
        taken = self._taken(kept)
        store = self.enqueuer.store
        if taken.kept and taken.kept is not kept:
            rejections.keep(store, replace(taken.kept, id=kept.id), counts=False, renew=False)
        elif not taken.kept and not taken.full:
            rejections.drop(store, [kept.id])
        return taken

    def _taken(self, kept: StoredRejection) -> DeliveryResult:
        if kept.url == EVENTS_URL:
            return self._program(kept)
        source = self.sources.get(kept.source)
        if source is None:
            return _still(kept, f"there is no source {kept.source} any more; add [sources.{kept.source}]")
        if not kept.whole:
            return _still(kept, "its body was too large to be kept; have it sent again")
        return self._webhook(kept, source)

    def _webhook(self, kept: StoredRejection, source: Source) -> DeliveryResult:
        request = WebhookRequest(kept.method, kept.url, kept.body, kept.headers)
        try:
            mapped = understood(source, request)
        except Unverified as error:
            return _still(kept, str(error))
        if isinstance(mapped, Refusal):
            return not_understood(source, request, mapped, self.scrub)
        if mapped.ignored and not mapped.events and not mapped.thin:
            return _still(kept, "no event of its source matches what is in it; drop it if that is right")
        got = fetched(source, mapped, self.fetch)
        return settled(source, request, got, self._stored(got.events, kept), self.scrub)

    def _program(self, kept: StoredRejection) -> DeliveryResult:
        try:
            items = read_json(kept.body)
        except Unreadable as error:
            return _still(kept, str(error))
        if not isinstance(items, list):
            items = []
        events, faults = native_events(items, default_source=kept.source)
        if faults:
            return _still(kept, "; ".join(map(str, faults)))
        summaries = self._stored(events, kept)
        (again,) = kept_of_program(events, summaries) or (None,)
        return DeliveryResult(sum(summaries, Summary()), kept=again)

    def _stored(self, events: Sequence[NumberEvent], kept: StoredRejection) -> list[Summary]:
        """Store the numbers that did not go in the first time.

        An event without a time gets the time of its first arrival: events that came since are newer, and numbers that
        somebody took out since stay out.
        """
        came = EPOCH + timedelta(milliseconds=kept.first_ms)
        deliveries = []
        for event in events:
            dated = replace(event, occurred_at=event.occurred_at or came)
            deliveries.append(self.enqueuer.delivery(dated))
        known = self._known(deliveries)
        left = [_without(delivery, known) for delivery in deliveries]
        pushed = self.enqueuer.store.push(left)
        summaries = []
        for delivery, result in zip(left, pushed, strict=True):
            if delivery.numbers or delivery.refused:
                summaries.append(self.enqueuer.summary(delivery, result))
            else:
                summaries.append(Summary(duplicate=1))
        return summaries

    def _known(self, deliveries: Sequence[Delivery]) -> set[tuple[str, str, str]]:
        """Profile, number and event id of everything in the store that has a number of these deliveries."""
        numbers = dict.fromkeys(number for delivery in deliveries for _, number in delivery.numbers)
        known = set()
        for entries in queries.entries_of_each(self.enqueuer.store, list(numbers)).values():
            for entry in entries:
                known |= {(entry.profile, entry.number, event_id) for event_id in entry.event_ids}
        return known


def _without(delivery: Delivery, known: Container[tuple[str, str, str]]) -> Delivery:
    """The delivery without the numbers that its event brought before, unless it is forced."""
    if delivery.force:
        return delivery
    numbers = tuple(pair for pair in delivery.numbers if (*pair, delivery.event_id) not in known)
    return replace(delivery, numbers=numbers)


def kept_of_program(events: Sequence[NumberEvent], summaries: Sequence[Summary]) -> list[Rejection]:
    """The rejections to keep of a program's events, one for each source.

    Only refusals that the operator can mend (a route, a profile) are kept; the rest is told to the program.
    """
    refused: dict[str, list[tuple[NumberEvent, Refusal]]] = {}
    for event, summary in zip(events, summaries, strict=True):
        if mendable := [refusal for refusal in summary.rejected if refusal.code in MENDABLE]:
            refused.setdefault(event.source, []).append((event, mendable[0]))
    return [_kept(source, pairs) for source, pairs in refused.items()]


def _kept(source: str, pairs: Sequence[tuple[NumberEvent, Refusal]]) -> Rejection:
    ids = "\n".join([source, *(event.event_id for event, _ in pairs)])
    body = json.dumps([to_wire(event) for event, _ in pairs], ensure_ascii=False)
    return Rejection(
        id=blake2b(ids.encode("utf-8", "replace"), digest_size=8).hexdigest(),
        source=source,
        code=pairs[0][1].code.value,
        message="; ".join(dict.fromkeys(refusal.message for _, refusal in pairs)),
        method="POST",
        url=EVENTS_URL,
        headers={"content-type": "application/json"},
        body=body.encode("utf-8", "replace"),
    )


def _still(kept: StoredRejection, why: str) -> DeliveryResult:
    """The result for a rejection that can't be replayed and stays as it is."""
    refusal = Refusal("", RefusalCode.invalid_event, why)
    return DeliveryResult(Summary(rejected=(refusal,)), kept=kept)
