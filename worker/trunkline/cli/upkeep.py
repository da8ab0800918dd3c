"""Commands that keep the store in order: audit and store migrate."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from trunkline.cli.session import (
    FAILED,
    ConfigOption,
    JsonOption,
    SandboxOption,
    command,
    err,
    out,
    print_json,
    session,
)
from trunkline.store import auditing, mending, migrating


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
        done = mending.repair(opened.store) if repair else mending.Repair((), auditing.audit(opened.store))
        older = migrating.is_older(opened.store)
    wrong = [str(each) for each in done.left.wrong]
    undecided = [*done.left.undecided, *([migrating.TO_MIGRATE] if older else [])]
    if json:
        document = {"wrong": wrong, "undecided": undecided}
        print_json({**document, "mended": list(done.mended)} if repair else document)
    else:
        for sentence in done.mended:
            out().print(f"mended: {sentence}", markup=False)
        for sentence in wrong or ["everything is where it belongs"]:
            out().print(sentence, style="red" if wrong else "green", markup=False)
        for sentence in undecided:
            err().print(sentence, style="yellow", markup=False)
    if wrong:
        raise typer.Exit(FAILED)


@command
def store_migrate(json: JsonOption = False, config: ConfigOption = None, sandbox: SandboxOption = False) -> None:
    """Brings what an earlier version wrote up to date, a little at a time, while everything goes on.

    Stop every process of version 0.1 first: they do not register, so an idle one is not seen. One that is at work is,
    and then this ends with a sentence and exit code 1; what was done stays done, and it may be run again at any time.

    Example: trunkline store migrate
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        done = migrating.migrate(opened.store)
    if json:
        print_json(dataclasses.asdict(done))
    else:
        out().print(
            f"{done.entries:,} entries looked at, {done.claims:,} claims added, "
            f"{done.claims_only:,} without an entry taken away, {done.ends:,} ends noted; "
            f"the store's data is of schema {done.schema}"
        )
