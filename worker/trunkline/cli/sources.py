"""`trunkline sources`: the sources of webhooks, and a trial of a payload."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import FAILED, command, out, print_json
from trunkline.cli.render import lines_table
from trunkline.cli.session import settings_of, sources_of
from trunkline.operations import sources as asked
from trunkline.operations.names import WrongUse


@command
def sources_list(json: JsonOption = False, config: ConfigOption = None, sandbox: SandboxOption = False) -> None:
    """The sources that are configured, and the types of sources that are known by name.

    Example: trunkline sources list
    """
    settings = settings_of(config, secrets="optional", sandbox=sandbox)
    configured = asked.configured(settings, sources_of(settings))
    types = asked.known_types()
    if json:
        print_json({"sources": configured, "types": types})
        return
    if configured:
        out().print(lines_table(("source", "type", "path", "profile", "keys"), map(_line, configured)))
    else:
        out().print("no source is configured; add [sources.NAME] with one of these types:\n", markup=False)
    titles = ((known["type"], str(known["title"])) for known in types)
    out().print(lines_table(("type", "what"), titles))


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
    found = asked.source_named(sources_of(settings), source)
    headers = list(_headers(header or ()))
    request = asked.request_to(found, settings, method=method, query=query, headers=headers, body=_read(body))
    if at is None:
        at = time.time()
    document = asked.tested(found, request, settings, at)
    if json:
        print_json(document)
    else:
        for line in _lines(document):
            out().print(line, markup=False)
    if not asked.is_fine(document):
        raise typer.Exit(FAILED)


def _headers(written: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Read headers as they are typed. Raises WrongUse."""
    for text in written:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise WrongUse(f"{text!r} is no header; write NAME: VALUE")
        yield name.strip(), value.strip()


def _read(file: Path) -> bytes:
    """Read a payload, from stdin for `-`. Raises WrongUse."""
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read()
        return file.read_bytes()
    except OSError as error:
        raise WrongUse(f"{file} can't be read: {error.strerror or error}") from error


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    keys = ", ".join(row["keys"]) or "-"
    return row["source"], row["type"], row["path"] or "only polled", row["profile"], keys


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a payload would become, a line for each thing."""
    verified = document["verified"]
    if verified["ok"]:
        yield f"signature: verified with the key {verified['key']}"
    else:
        yield f"signature: {verified['reason']}: {verified['message']}"
    for number in document["numbers"]:
        yield f"{number['number']} → {number['profile'] or number['refused']}"
    for event in document["events"]:
        yield f"event {event['event_id']} {dumps(event.get('metadata', {}), ensure_ascii=False)}"
    for order in document["orders"]:
        yield f"numbers would be fetched of order {order}"
    for number in document["leaving"]:
        yield f"is leaving, only noticed: {number}"
    for fault in document["faults"]:
        yield f"can't be understood: {fault}"
    if document["ignored"]:
        yield f"{document['ignored']} ignored: no event of this source matches"
