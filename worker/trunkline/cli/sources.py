"""Commands about sources of webhooks: which there are, and what a payload would become without sending it anywhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from trunkline.cli.session import (
    FAILED,
    USAGE,
    ConfigOption,
    JsonOption,
    SandboxOption,
    command,
    fail,
    out,
    polled_of,
    print_json,
    settings_of,
    sources_of,
)
from trunkline.config.settings import Settings
from trunkline.events.event import NumberEvent, to_wire
from trunkline.events.intake import ProfileRule, take_in
from trunkline.lifecycle import Refusal
from trunkline_producers.deliveries.delivery import understood
from trunkline_producers.sources import Source, presets
from trunkline_producers.verify import Key, Unverified
from trunkline_producers.webhooks.mapping import Mapped
from trunkline_producers.webhooks.request import WebhookRequest, headers_of


@command
def sources_list(json: JsonOption = False, config: ConfigOption = None, sandbox: SandboxOption = False) -> None:
    """The sources that are configured, and the types of sources that are known by name.

    Example: trunkline sources list
    """
    settings = settings_of(config, secrets="optional", sandbox=sandbox)
    sources = sources_of(settings)
    configured = [
        *(_about(name, source.type, f"/hooks/{name}", settings, source.keys) for name, source in sources.items()),
        *(_about(name, raw["type"], None, settings, ()) for name, raw in polled_of(settings)),
    ]
    if json:
        known = [{"type": name, "title": preset.get("title", "")} for name, preset in presets().items()]
        print_json({"sources": configured, "types": known})
        return
    if configured:
        rows = (
            (row["source"], row["type"], row["path"] or "only polled", row["profile"], ", ".join(row["keys"]) or "-")
            for row in configured
        )
        out().print(_table(("source", "type", "path", "profile", "keys"), rows))
    else:
        out().print("no source is configured; add [sources.NAME] with one of these types:\n", markup=False)
    titles = ((name, str(preset.get("title", ""))) for name, preset in presets().items())
    out().print(_table(("type", "what"), titles))


@command
def sources_test(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The NAME of [sources.NAME].")],
    body: Annotated[Path, typer.Option("--body", metavar="FILE", help="The payload; - reads it from stdin.")],
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="NAME:VALUE", help="A header; may come several times.")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="The request's method.")] = "POST",
    query: Annotated[str, typer.Option("--query", metavar="A=B", help="The query after the source's URL.")] = "",
    at: Annotated[float | None, typer.Option("--at", metavar="UNIX", help="Verify as if it were this time.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """What a payload would become: is its signature good, which events and numbers are in it, where would they go?

    Nothing is stored and nothing is sent. Without a header that signs it, only the signature is reported as bad.

    Example: trunkline sources test hubspot --body payload.json -H 'Content-Type: application/json'
    """
    settings = settings_of(config, secrets="optional", sandbox=sandbox)
    sources = sources_of(settings)
    if source not in sources:
        fail(f'there is no source "{source}" in the configuration; `trunkline sources list` shows them', USAGE)
    found = sources[source]
    request = _request(found, settings, body, header or [], method, query)
    verified = _verified(found, request, time.time() if at is None else at)
    try:
        mapped = understood(found, request)
    except Unverified as error:
        mapped = Refusal("", error.reason, str(error))  # type: ignore[arg-type]  # shown, not stored
    document = {"source": source, "verified": verified, **_mapped(mapped, settings)}
    if json:
        print_json(document)
    else:
        _show(document)
    if not verified["ok"] or document["faults"] or any(number["refused"] for number in document["numbers"]):
        raise typer.Exit(FAILED)


def _request(
    source: Source, settings: Settings, body: Path, header: list[str], method: str, query: str
) -> WebhookRequest:
    pairs = []
    for text in header:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            fail(f"{text!r} is no header; write NAME: VALUE", USAGE)
        pairs.append((name.strip(), value.strip()))
    try:
        content = sys.stdin.buffer.read() if str(body) == "-" else body.read_bytes()
    except OSError as error:
        fail(f"{body} can't be read: {error.strerror or error}", USAGE)
    base = source.table.url or f"{settings.server.public_url or ''}/hooks/{source.name}"
    return WebhookRequest(method.upper(), f"{base}?{query}" if query else base, content, headers_of(pairs))


def _verified(source: Source, request: WebhookRequest, now: float) -> dict[str, Any]:
    try:
        return {"ok": True, "key": source.scheme.verify(request, source.keys, now).id, "reason": None, "message": None}
    except Unverified as error:
        return {"ok": False, "key": None, "reason": error.reason.value, "message": str(error)}


def _mapped(mapped: Mapped | Refusal, settings: Settings) -> dict[str, Any]:
    """What the payload says, as JSON; each number with its profile or the reason of its refusal."""
    if isinstance(mapped, Refusal):
        return {"events": [], "numbers": [], "orders": [], "leaving": [], "ignored": 0, "faults": [mapped.message]}
    return {
        "events": [to_wire(event) for event in mapped.events],
        "numbers": [number for event in mapped.events for number in _numbers(event, settings)],
        "orders": [thin.order for thin in mapped.thin],
        "leaving": list(mapped.leaving),
        "ignored": mapped.ignored,
        "faults": [str(fault) for fault in mapped.faults],
    }


def _numbers(event: NumberEvent, settings: Settings) -> Iterable[dict[str, Any]]:
    rules = {name: ProfileRule(name, profile.trunk_id is not None) for name, profile in settings.profiles.items()}
    taken = take_in(event, rules=settings.numbers, profiles=rules, routes=settings.routes, sources=settings.sources)
    for profile, number in taken.numbers:
        yield {"number": number, "profile": profile, "refused": None}
    for refusal in taken.refused:
        yield {"number": refusal.number, "profile": None, "refused": f"{refusal.code.value}: {refusal.message}"}


def _show(document: dict[str, Any]) -> None:
    verified = document["verified"]
    said = (
        f"verified with the key {verified['key']}" if verified["ok"] else f"{verified['reason']}: {verified['message']}"
    )
    out().print(f"signature: {said}", markup=False)
    for number in document["numbers"]:
        out().print(f"{number['number']} → {number['profile'] or number['refused']}", markup=False)
    for event in document["events"]:
        out().print(f"event {event['event_id']} {dumps(event.get('metadata', {}), ensure_ascii=False)}", markup=False)
    for name, sentence in (("orders", "numbers would be fetched of order"), ("leaving", "is leaving, only noticed:")):
        for text in document[name]:
            out().print(f"{sentence} {text}", markup=False)
    for fault in document["faults"]:
        out().print(f"can't be understood: {fault}", markup=False)
    if document["ignored"]:
        out().print(f"{document['ignored']} ignored: no event of this source matches")


def _about(name: str, kind: str, path: str | None, settings: Settings, keys: Iterable[Key]) -> dict[str, Any]:
    profile = settings.sources[name].get("profile") or "by the routes"
    return {"source": name, "type": kind, "path": path, "profile": profile, "keys": [key.id for key in keys]}


def _table(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
