"""Commands about what was delivered and could not be taken in: look at it, let go of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import closing
from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from trunkline.cli.render import pairs_table
from trunkline.cli.session import (
    FAILED,
    USAGE,
    ConfigOption,
    JsonOption,
    SandboxOption,
    command,
    err,
    fail,
    out,
    print_json,
    session,
    sources_of,
)
from trunkline.operations.documents import rejected_document, rejection_document
from trunkline.redaction import make_scrubber
from trunkline.store import Store, rejections
from trunkline.store.rejections import StoredRejection
from trunkline.text import printable
from trunkline.timestamps import rfc3339
from trunkline_producers import Enqueuer, Summary
from trunkline_producers.deliveries.order_lookup import Fetcher
from trunkline_producers.deliveries.replay import Replayer

FETCH_S: Final = 20.0  # how long a carrier may take for one order
SourceOption = Annotated[str | None, typer.Option("--source", metavar="S", help="Only from this source.")]


@command
def rejected_list(
    source: SourceOption = None,
    code: Annotated[str | None, typer.Option("--code", metavar="C", help="Only with this code.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """What could not be taken in, the newest first.

    Example: trunkline rejected list --source telnyx
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        found = rejections.listed(opened.store, source=source, code=code)
        filling = rejections.filling(opened.store, opened.settings.server.max_kept_bytes)
    if json:
        print_json(rejected_document(found))
        return
    out().print(_table(found) if found else "nothing that was rejected is kept")
    if len(found) == rejections.MAX_LISTED:
        out().print(f"these are the newest {rejections.MAX_LISTED:,}; --source and --code show others")
    if filling:
        out().print(filling, style="yellow", markup=False)


@command
def rejected_show(
    id: Annotated[str, typer.Argument(metavar="ID")],
    body: Annotated[bool, typer.Option("--body", help="Only the body, byte by byte.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """One request that could not be taken in, as it came.

    Example: trunkline rejected show 9f86d081884c7d65 --body
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        found = rejections.get(opened.store, [id])
    if not found:
        fail(f"there is no rejection {id}; `trunkline rejected list` lists what there is")
    (kept,) = found
    if body and not kept.whole:
        fail(f"of rejection {id} only the reason was kept: its body was {kept.size:,} bytes")
    if body:
        sys.stdout.buffer.write(kept.body)
    elif json:
        print_json(rejection_document(kept))
    else:
        out().print(pairs_table(_pairs(kept)))


@command
def rejected_replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]")] = None,
    source: SourceOption = None,
    code: Annotated[str | None, typer.Option("--code", metavar="C", help="Only with this code.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that is kept.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Reads what could not be taken in once more, after a route, a mapping or a profile was mended.

    Example: trunkline rejected replay --source hubspot
    """
    if not (ids or source or code or every):
        fail("say which: ID..., --source S, --code C or --all", USAGE)
    with (
        session(config, sandbox=sandbox, json=json, publish=True) as opened,
        closing(Fetcher(budget_s=FETCH_S)) as fetch,
    ):
        scrub = make_scrubber(opened.settings.secret_values())
        enqueuer = Enqueuer.from_settings(opened.store, opened.settings)
        replayer = Replayer(enqueuer, sources_of(opened.settings), fetch, scrub)
        summary, replayed, still = Summary(), 0, []
        for kept in _chosen(opened.store, ids, source, code):
            taken = replayer.replay(kept)
            summary += taken.summary
            if not (taken.kept or taken.full):
                replayed += 1
                continue
            still.append(kept.id)
            if not json:
                reasons = [*taken.unfetched, *(refusal.message for refusal in taken.summary.rejected)]
                why = printable("; ".join(dict.fromkeys(reasons)), 500)
                err().print(f"{kept.id} ({kept.source}) is kept: {why}", style="red", markup=False)
    if json:
        print_json({"replayed": replayed, "kept": still, **summary.as_json()})
    else:
        told = f"{replayed:,} replayed, {summary.accepted:,} numbers accepted"
        out().print(told if replayed or still else "no such rejection")
    if still or not replayed:
        raise typer.Exit(FAILED)


@command
def rejected_drop(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]")] = None,
    source: SourceOption = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that is kept.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Lets go of what could not be taken in.

    Example: trunkline rejected drop --source telnyx
    """
    if not (ids or source or every):
        fail("say which: ID..., --source S or --all", USAGE)
    with session(config, sandbox=sandbox, json=json) as opened:
        dropped = rejections.drop(opened.store, [kept.id for kept in _chosen(opened.store, ids, source, None)])
    if json:
        print_json({"dropped": dropped})
    else:
        out().print(f"{dropped:,} dropped" if dropped else "no such rejection")
    if not dropped:
        raise typer.Exit(FAILED)


def _chosen(store: Store, ids: list[str] | None, source: str | None, code: str | None) -> Iterable[StoredRejection]:
    """Those with these ids, or all of them, that are of this source and code, the oldest first."""
    if not ids:
        return rejections.walk(store, source=source, code=code, oldest_first=True)
    found = rejections.get(store, ids)
    return [kept for kept in reversed(found) if source in (None, kept.source) and code in (None, kept.code)]


def _table(found: Iterable[StoredRejection]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("id", "source", "code"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", overflow="fold")
    table.add_column("last came", no_wrap=True)
    table.add_column("times", justify="right")
    table.add_column("bytes", justify="right")
    for kept in found:
        at = (rfc3339(kept.at_ms) or "")[:16].replace("T", " ")
        words = (kept.id, kept.source, kept.code, kept.message, at, f"{kept.times:,}", f"{kept.size:,}")
        table.add_row(*map(Text, words))
    return table


def _pairs(kept: StoredRejection) -> Iterable[tuple[str, object]]:
    """What a person wants to see of it; foreign text is made fit for a terminal."""
    yield "id", kept.id
    yield "source", kept.source
    yield "why", f"{kept.code}: {kept.message}"
    yield "came", f"{kept.times:,} times, first {rfc3339(kept.first_ms)}, last {rfc3339(kept.at_ms)}"
    if not kept.whole:
        yield "body", f"not kept: it was {kept.size:,} bytes"
        return
    yield "request", printable(f"{kept.method} {kept.url}", len(kept.method) + len(kept.url) + 1)
    for name, value in kept.headers.items():
        yield printable(name), printable(value, len(value))
    lines = kept.body.decode("utf-8", "replace").expandtabs(4).splitlines()
    yield "body", "\n".join(printable(line, len(line)) for line in lines)
