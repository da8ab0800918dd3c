"""`trunkline number`: everything known of one number."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import FAILED, command, err, out, print_json
from trunkline.cli.render import entries_view
from trunkline.cli.session import session
from trunkline.operations.number import number as look_up


@command
def number(
    number: Annotated[str, typer.Argument(metavar="NUMBER")],
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Everything known of one number.

    Example: trunkline number +14155550100
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        answer = look_up(opened.store, opened.settings.numbers, number)
    if json:
        print_json(answer.document())
    elif answer.entries:
        out().print(entries_view(answer.entries, answer.books))
    else:
        err().print(f"nothing is known of {number}", markup=False)
    if not answer.entries:
        raise typer.Exit(FAILED)
