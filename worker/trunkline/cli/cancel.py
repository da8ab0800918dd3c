"""`trunkline cancel`: takes waiting numbers back out."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.options import (
    ConfigOption,
    JsonOption,
    NumbersArgument,
    ProfileOption,
    SandboxOption,
    SourceOption,
)
from trunkline.cli.output import answer, command, err, require_some, warn
from trunkline.cli.render import given_back
from trunkline.cli.session import session
from trunkline.operations.cancel import Cancellation, Preview
from trunkline.operations.names import spellings_of_each, unknown_profile, unknown_source
from trunkline.operations.selection import Selection
from trunkline.store.model import Dropped


@command
def cancel(
    numbers: NumbersArgument = None,
    profile: ProfileOption = None,
    source: SourceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Takes waiting numbers back out, after a wrong import say; shows how many first.

    Example: trunkline cancel --profile support --source import
    """
    require_some(numbers, profile, source, say="NUMBER..., --profile P or --source S")
    with session(config, sandbox=sandbox, json=json) as opened:
        settings = opened.settings
        warn(unknown_profile(opened.store, settings, profile), unknown_source(settings, source))
        texts = spellings_of_each(settings.numbers, numbers or ())
        cancellation = Cancellation(opened.store, Selection(texts, profile, source=source))
        if not yes:
            _ask(cancellation.preview())
        done = cancellation.run()
    document = {
        "cancelled": done.dropped,
        "under_way": done.under_way,
        "in_doubt": done.in_doubt,
        "given_back": done.given_back,
    }
    answer(document, _sentence(done), json=json, fine=done.dropped + done.under_way > 0)


def _ask(preview: Preview) -> None:
    """Tell the count, if there is any number, and ask. Raises typer.Abort unless the answer is yes."""
    if preview.count:
        err().print(f"{preview.count:,} waiting numbers would be taken out, {preview.first} the first.", markup=False)
        typer.confirm("Take them out?", abort=True, err=True)


def _sentence(done: Dropped) -> str:
    told = f"{done.dropped:,} cancelled"
    if done.in_doubt:
        told += f", {done.in_doubt:,} of them in doubt: an earlier call may have attached them"
    if done.under_way:
        told += f", {done.under_way:,} under way (dropped unless that call attaches them)"
    return told + given_back(done)
