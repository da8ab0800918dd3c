"""`trunkline audit` and `trunkline store migrate`: keep the store in order."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import FAILED, answer, command, out, print_json, warn
from trunkline.cli.session import session
from trunkline.operations import upkeep
from trunkline.operations.upkeep import Audited
from trunkline.store.migrating import migrate


@command
def audit(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be proved, and say what was mended.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Checks every entry against the store's invariants, a little at a time, while everything goes on.

    Example: trunkline audit --repair
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        audited = upkeep.audit(opened.store, repair=repair)
    if json:
        print_json(audited.document())
    else:
        _tell(audited)
    if audited.wrong:
        raise typer.Exit(FAILED)


def _tell(audited: Audited) -> None:
    for sentence in audited.mended or ():
        out().print(f"mended: {sentence}", markup=False)
    for sentence in audited.wrong:
        out().print(sentence, style="red", markup=False)
    if not audited.wrong:
        out().print("everything is where it belongs", style="green", markup=False)
    warn(*audited.undecided)


@command
def store_migrate(json: JsonOption = False, config: ConfigOption = None, sandbox: SandboxOption = False) -> None:
    """Brings what an earlier version wrote up to date, a little at a time, while everything goes on.

    Stop every process of version 0.1 first: they do not register, so an idle one is not seen. One that is at work is,
    and then this ends with a sentence and exit code 1; what was done stays done, and it may be run again at any time.

    Example: trunkline store migrate
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        done = migrate(opened.store)
    told = (
        f"{done.entries:,} entries looked at, {done.claims:,} claims added, "
        f"{done.claims_only:,} without an entry taken away, {done.ends:,} ends noted; "
        f"the store's data is of schema {done.schema}"
    )
    answer(dataclasses.asdict(done), told, json=json)
