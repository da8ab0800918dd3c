"""`trunkline rejected`: what was delivered and could not be taken in."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption, SourceOption
from trunkline.cli.output import answer, command, counted, err, out, print_json, require_some, warn
from trunkline.cli.rejected_view import rejected_table, rejection_rows
from trunkline.cli.render import pairs_table
from trunkline.cli.session import session, sources_of
from trunkline.operations import rejected
from trunkline.operations.names import unknown_source
from trunkline.operations.rejected import RejectedList, rejection_document
from trunkline.operations.replay import Replay
from trunkline.store.rejections import MAX_LISTED

NONE_SUCH: Final = "no such rejection"
IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="[ID...]")]
CodeOption = Annotated[str | None, typer.Option("--code", metavar="C", help="Only with this code.")]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that is kept.")]


@command
def rejected_list(
    source: SourceOption = None,
    code: CodeOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """What could not be taken in, the newest first.

    Example: trunkline rejected list --source telnyx
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        listed = rejected.listed(opened.store, opened.settings, source=source, code=code)
        warn(unknown_source(opened.settings, source))
    if json:
        print_json(listed.document())
    else:
        _print(listed)


def _print(listed: RejectedList) -> None:
    if listed.found:
        out().print(rejected_table(listed.found))
    else:
        out().print("nothing that was rejected is kept")
    if listed.capped:
        out().print(f"these are the newest {MAX_LISTED:,}; --source and --code show others")
    if listed.filling:
        out().print(listed.filling, style="yellow", markup=False)


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
        if body:
            sys.stdout.buffer.write(rejected.body_of(opened.store, id))
            return
        kept = rejected.shown(opened.store, id)
    answer(rejection_document(kept), pairs_table(rejection_rows(kept)), json=json)


@command
def rejected_replay(
    ids: IdsArgument = None,
    source: SourceOption = None,
    code: CodeOption = None,
    every: AllOption = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Reads what could not be taken in once more, after a route, a mapping or a profile was mended.

    Example: trunkline rejected replay --source hubspot
    """
    require_some(ids, source, code, every, say="ID..., --source S, --code C or --all")
    with session(config, sandbox=sandbox, json=json, publish=True) as opened:
        warn(unknown_source(opened.settings, source))
        result = Replay(opened.store, opened.settings, sources_of(opened.settings), ids or (), source=source, code=code)
        for still in result.run():
            if not json:
                told = f"{still.id} ({still.source}) is kept: {still.reason}"
                err().print(told, style="red", markup=False)
    told = NONE_SUCH
    if result.replayed or result.kept:
        told = f"{result.replayed:,} replayed, {result.summary.accepted:,} numbers accepted"
    answer(result.document(), told, json=json, fine=result.replayed > 0 and not result.kept)


@command
def rejected_drop(
    ids: IdsArgument = None,
    source: SourceOption = None,
    every: AllOption = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Lets go of what could not be taken in.

    Example: trunkline rejected drop --source telnyx
    """
    require_some(ids, source, every, say="ID..., --source S or --all")
    with session(config, sandbox=sandbox, json=json) as opened:
        warn(unknown_source(opened.settings, source))
        dropped = rejected.dropped(opened.store, ids or (), source=source, every=every)
    answer({"dropped": dropped}, counted(dropped, "dropped", NONE_SUCH), json=json, fine=dropped > 0)
