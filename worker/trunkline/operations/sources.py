"""Sources of webhooks: which there are, and what a payload would become without storing or sending anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from trunkline.config.settings import Settings
from trunkline.events.event import NumberEvent, to_wire
from trunkline.events.intake import ProfileRule, take_in
from trunkline.lifecycle import Refusal
from trunkline.operations.configuration import polled
from trunkline.operations.names import WrongUse
from trunkline.text import did_you_mean
from trunkline_producers.deliveries.delivery import understood
from trunkline_producers.sources import Source, presets
from trunkline_producers.verify import Key, Unverified
from trunkline_producers.webhooks.mapping import Mapped
from trunkline_producers.webhooks.request import WebhookRequest, headers_of


def configured(settings: Settings, sources: Mapping[str, Source]) -> list[dict[str, Any]]:
    """Return each configured source as `sources list --json` has it; `path` is null for one that is only polled."""
    found = []
    for name, source in sources.items():
        found.append(_about(name, source.type, f"/hooks/{name}", settings, source.keys))
    for name, raw in polled(settings):
        found.append(_about(name, str(raw["type"]), None, settings, ()))
    return found


def known_types() -> list[dict[str, Any]]:
    """Return the types of sources that are known by name, as `sources list --json` has them."""
    return [{"type": name, "title": preset.get("title", "")} for name, preset in presets().items()]


def source_named(sources: Mapping[str, Source], name: str) -> Source:
    """Return a source by its name. Raises WrongUse where there is none."""
    if name not in sources:
        meant = did_you_mean(name, sources) or ";"
        raise WrongUse(f'there is no source "{name}" in the configuration{meant} `trunkline sources list` shows them')
    return sources[name]


def request_to(
    source: Source, settings: Settings, *, method: str, query: str, headers: Iterable[tuple[str, str]], body: bytes
) -> WebhookRequest:
    """Return the request that a payload would be: to the source's own URL, or the receiver's public one."""
    url = source.table.url or f"{settings.server.public_url or ''}/hooks/{source.name}"
    if query:
        url = f"{url}?{query}"
    return WebhookRequest(method.upper(), url, body, headers_of(headers))


def tested(source: Source, request: WebhookRequest, settings: Settings, now: float) -> dict[str, Any]:
    """Return the document of `sources test --json`: the signature at `now` (Unix seconds), the events, the numbers."""
    try:
        mapped: Mapped | Refusal | str = understood(source, request)
    except Unverified as error:
        mapped = str(error)
    return {"source": source.name, "verified": _verified(source, request, now), **_mapped(mapped, settings)}


def is_fine(document: Mapping[str, Any]) -> bool:
    """Return whether a document of `tested` has a good signature, no fault and no refused number."""
    if not document["verified"]["ok"] or document["faults"]:
        return False
    return not any(number["refused"] for number in document["numbers"])


def _about(name: str, kind: str, path: str | None, settings: Settings, keys: Iterable[Key]) -> dict[str, Any]:
    profile = settings.sources[name].get("profile") or "by the routes"
    return {"source": name, "type": kind, "path": path, "profile": profile, "keys": [key.id for key in keys]}


def _verified(source: Source, request: WebhookRequest, now: float) -> dict[str, Any]:
    try:
        key = source.scheme.verify(request, source.keys, now)
    except Unverified as error:
        return {"ok": False, "key": None, "reason": error.reason.value, "message": str(error)}
    return {"ok": True, "key": key.id, "reason": None, "message": None}


def _mapped(mapped: Mapped | Refusal | str, settings: Settings) -> dict[str, Any]:
    """Return the events of a payload, each number with its profile or its refusal; a fault where it has none."""
    if isinstance(mapped, Refusal):
        mapped = mapped.message
    if isinstance(mapped, str):
        return {"events": [], "numbers": [], "orders": [], "leaving": [], "ignored": 0, "faults": [mapped]}
    numbers: list[dict[str, Any]] = []
    for event in mapped.events:
        numbers += _numbers(event, settings)
    return {
        "events": [to_wire(event) for event in mapped.events],
        "numbers": numbers,
        "orders": [thin.order for thin in mapped.thin],
        "leaving": list(mapped.leaving),
        "ignored": mapped.ignored,
        "faults": [str(fault) for fault in mapped.faults],
    }


def _numbers(event: NumberEvent, settings: Settings) -> Iterator[dict[str, Any]]:
    rules = {name: ProfileRule(name, profile.trunk_id is not None) for name, profile in settings.profiles.items()}
    taken = take_in(event, rules=settings.numbers, profiles=rules, routes=settings.routes, sources=settings.sources)
    for profile, number in taken.numbers:
        yield {"number": number, "profile": profile, "refused": None}
    for refusal in taken.refused:
        yield {"number": refusal.number, "profile": None, "refused": f"{refusal.code.value}: {refusal.message}"}
