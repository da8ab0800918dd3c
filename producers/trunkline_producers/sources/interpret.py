"""Reading of a verified delivery: its body is read and its events are mapped, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from trunkline.errors import InvalidEvent, Mistake
from trunkline.events.event import NumberEvent, parse_event
from trunkline_producers.sources.source import Source
from trunkline_producers.verify import Reason, StandardWebhooks, Unverified
from trunkline_producers.webhooks.bodies import Unreadable, read_body
from trunkline_producers.webhooks.cloudevents import faults_of, is_cloudevent, read_cloudevents
from trunkline_producers.webhooks.expressions import ExpressionFailed
from trunkline_producers.webhooks.mapping import Mapped, event_id_of, map_items
from trunkline_producers.webhooks.request import WebhookRequest

ID_HEADERS: Final = ("webhook-id", "svix-id", "idempotency-key", "x-github-delivery")
MAX_ITEMS: Final = 10_000  # events of one request


def interpret(source: Source, request: WebhookRequest) -> Mapped:
    """The delivery's events.

    Raises Unreadable for a body that is not of the source's format, and Unverified for one that does not name a sender
    that may send.
    """
    if source.table.format == "cloudevents" or (not source.cases and is_cloudevent(request)):
        items: list[Any] = at_most(read_cloudevents(request))
        for item in items:
            _check_sender(source, item)
        if source.cases:
            return _mapped(source, request, items)
        return _from_cloudevents(source, items)
    believed = request
    if not source.scheme.covers_query:  # a query that nobody signed says nothing
        believed = replace(request, url=request.url.partition("?")[0])
    body = read_body(believed, source.table.format)
    _check_sender(source, body)
    items = _items(source, body)
    if source.cases:
        return _mapped(source, request, items)
    return _native(source, request, items)


def native_events(items: list[Any], *, default_source: str) -> tuple[tuple[NumberEvent, ...], tuple[Mistake, ...]]:
    """The items that are trunkline's own events, and the mistakes of the others, each with its place."""
    events: list[NumberEvent] = []
    faults: list[Mistake] = []
    for index, item in enumerate(items):
        try:
            events.append(parse_event(item, default_source=default_source))
        except InvalidEvent as invalid:
            place = ""
            if len(items) > 1:
                place = f"[{index}]"
            faults += [mistake.under(place) for mistake in invalid.mistakes]
    return tuple(events), tuple(faults)


def from_cloudevent(event: Mapping[str, Any]) -> dict[str, Any]:
    """The native event in a CloudEvent: its data, with the envelope's id and time unless the data has its own.

    Raises InvalidEvent.
    """
    if fault := faults_of(event):
        raise InvalidEvent((Mistake("", fault),))
    data = event.get("data")
    if not isinstance(data, Mapping):
        raise InvalidEvent((Mistake("data", "is not a JSON object with a number"),))
    # (source, id) tells CloudEvents apart, so both make the id
    envelope = {"event_id": event_id_of([event["source"], event["id"]], None), "occurred_at": event.get("time")}
    return envelope | {key: value for key, value in data.items() if value is not None}


def at_most(items: list[Any]) -> list[Any]:
    """The same events. Raises Unreadable if they are too many for one request."""
    if len(items) > MAX_ITEMS:
        raise Unreadable(f"there are {len(items)} events in one request; {MAX_ITEMS} are the most")
    return items


def _mapped(source: Source, request: WebhookRequest, items: list[Any]) -> Mapped:
    return map_items(items, source.cases, source=source.name, headers=request.headers)


def _native(source: Source, request: WebhookRequest, items: list[Any]) -> Mapped:
    names: tuple[str, ...] = ID_HEADERS
    if isinstance(source.scheme, StandardWebhooks):
        names = (source.scheme.id_header(request),)  # the one that was signed
    header = next((request.headers[name] for name in names if name in request.headers), None)
    if header is None:
        return _owned(source, items)
    if len(items) == 1:
        return _owned(source, [_with_id(items[0], header)])
    return _owned(source, [_with_id(item, f"{header}#{index}") for index, item in enumerate(items)])


def _from_cloudevents(source: Source, items: list[Any]) -> Mapped:
    natives: list[Any] = []
    faults: list[Mistake] = []
    for index, item in enumerate(items):
        try:
            natives.append(from_cloudevent(item))
        except InvalidEvent as invalid:
            faults += [mistake.under(f"[{index}]") for mistake in invalid.mistakes]
    mapped = _owned(source, natives)
    return replace(mapped, faults=(*faults, *mapped.faults))


def _owned(source: Source, items: list[Any]) -> Mapped:
    """Native events under the source's own name, since a source must not speak for another."""
    events, faults = native_events(items, default_source=source.name)
    allowed: list[NumberEvent] = []
    refused = list(faults)
    for event in events:
        if fault := _overreach(source, event):
            refused.append(fault)
        else:
            allowed.append(replace(event, source=source.name))
    return Mapped(events=tuple(allowed), faults=tuple(refused))


def _overreach(source: Source, event: NumberEvent) -> Mistake | None:
    """The mistake of an event that sets what its source may not choose, None without one."""
    if source.table.may_choose:
        return None
    if event.force:
        return Mistake("force", "is not taken from this source; may_choose = true in its section allows it")
    if source.table.profile not in (None, event.profile) and event.profile is not None:
        text = "is not the profile of this source's section; may_choose = true there allows it"
        return Mistake("profile", text)
    return None


def _with_id(item: Any, event_id: str) -> Any:
    """The item with this id unless it has one."""
    if not isinstance(item, Mapping) or item.get("event_id") is not None:
        return item
    return {**item, "event_id": event_id_of(event_id, item)}


def _check_sender(source: Source, body: Any) -> None:
    require = source.table.require
    if require is None:
        return
    try:
        allowed = require.search(body)
    except ExpressionFailed:
        allowed = False
    if allowed is not True:
        raise Unverified(Reason.bad_signature, "the body names a sender that is not among those that may send")


def _items(source: Source, body: Any) -> list[Any]:
    """The events of a body: those that `batch` finds, an array's items, or the body as the only one."""
    found = body
    if source.table.batch is not None:
        try:
            found = source.table.batch.search(body)
        except ExpressionFailed as error:
            raise Unreadable(str(error)) from error
        if found is None:
            raise Unreadable(f"there are no events at {source.table.batch.text}")
    if not isinstance(found, list):
        found = [found]
    return at_most(found)
