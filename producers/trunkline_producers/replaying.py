"""Replaying: what was kept for the operator is read again, by the configuration of today."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

from trunkline.contract import NumberEvent, Refusal, RefusalCode, to_wire
from trunkline.store import rejections
from trunkline.store.rejections import Kept, Rejection
from trunkline_producers.bodies import Unreadable, read_json
from trunkline_producers.deliveries import Fetch, Taken, fetched, not_understood, settled, understood
from trunkline_producers.enqueue import Enqueuer, Summary
from trunkline_producers.sources import Source
from trunkline_producers.sources.interpreting import native_events
from trunkline_producers.verify import Unverified
from trunkline_producers.webhook import WebhookRequest

EVENTS_URL: Final = "/v1/events"  # stands for the URL of what a program posted
MENDABLE: Final = (RefusalCode.no_route, RefusalCode.unknown_profile)  # by the operator; the rest its sender must mend


@dataclass(frozen=True, slots=True)
class Replayer:
    """Replays what was kept. Raises what Enqueuer raises."""

    enqueuer: Enqueuer
    sources: Mapping[str, Source]
    fetch: Fetch
    scrub: Callable[[str], str]

    def replay(self, kept: Kept) -> Taken:
        """Reads it again and stores what is in it; it is let go of if all of it went in, else the reason is renewed."""
        taken = self._taken(kept)
        store = self.enqueuer.store
        if taken.kept and taken.kept is not kept:
            rejections.keep(store, replace(taken.kept, id=kept.id), counts=False)
        elif not taken.kept and not taken.full:
            rejections.drop(store, [kept.id])
        return taken

    def _taken(self, kept: Kept) -> Taken:
        source = self.sources.get(kept.source)
        if kept.url == EVENTS_URL:
            return self._program(kept)
        if source is None:
            return _still(kept, f"there is no source {kept.source} any more; add [sources.{kept.source}]")
        if not kept.whole:
            return _still(kept, "its body was too large to be kept; have it sent again")
        request = WebhookRequest(kept.method, kept.url, kept.body, kept.headers)
        try:
            mapped = understood(source, request)
        except Unverified as error:
            return _still(kept, str(error))
        if isinstance(mapped, Refusal):
            return not_understood(source, request, mapped, self.scrub)
        got = fetched(source, mapped, self.fetch)
        return settled(source, request, got, list(self.enqueuer.each(got.events)), self.scrub)

    def _program(self, kept: Kept) -> Taken:
        try:
            items = read_json(kept.body)
        except Unreadable as error:
            return _still(kept, str(error))
        events, _ = native_events(items if isinstance(items, list) else [], default_source=kept.source)
        summaries = list(self.enqueuer.each(events))
        return Taken(sum(summaries, Summary()), kept=kept_of_program(events, summaries))


def kept_of_program(events: Sequence[NumberEvent], summaries: Sequence[Summary]) -> Rejection | None:
    """What a program posted and the operator can mend (a route, a profile); the rest is told to the program."""
    pairs = [
        (event, refusal)
        for event, summary in zip(events, summaries, strict=True)
        for refusal in summary.rejected
        if refusal.code in MENDABLE
    ]
    if not pairs:
        return None
    refused = list(dict.fromkeys(event.event_id for event, _ in pairs))
    wire = [to_wire(event) for event in events if event.event_id in refused]
    body = json.dumps(wire, ensure_ascii=False).encode("utf-8", "replace")
    event, refusal = pairs[0]
    return Rejection(
        id=blake2b("\n".join([event.source, *refused]).encode("utf-8", "replace"), digest_size=8).hexdigest(),
        source=event.source,
        code=refusal.code.value,
        message="; ".join(dict.fromkeys(refusal.message for _, refusal in pairs)),
        method="POST",
        url=EVENTS_URL,
        headers={"content-type": "application/json"},
        body=body,
    )


def _still(kept: Kept, why: str) -> Taken:
    """It can't be replayed; it stays as it is."""
    refusal = Refusal("", RefusalCode.invalid_event, why)
    return Taken(Summary(rejected=(refusal,)), kept=kept)
