"""`trunkline profile secret`: the register passwords of a profile."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import command, err, fail, print_json, warn
from trunkline.cli.session import session
from trunkline.operations.names import unknown_profile
from trunkline.operations.passwords import RegisterPasswords, register_passwords
from trunkline.store.vault import StoredPassword
from trunkline.timestamps import rfc3339


@command
def profile_secret(
    profile: Annotated[str, typer.Argument(metavar="PROFILE")],
    every: Annotated[bool, typer.Option("--all", help="Every password, with its time and its numbers.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Prints the register password that the API gave for a profile last, for your PBX.

    The API may give each call its own: --all prints every one, the oldest first, with the numbers it was said to.

    Example: trunkline profile secret support
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        found = register_passwords(opened.store, opened.settings, profile)
        if not found.kept:
            warn(unknown_profile(opened.store, opened.settings, profile))
    _tell_lost(found)
    if not found.kept:
        fail(f"no register password is kept for {profile}")
    if json:
        print_json(found.document(every=every))
    elif every:
        for each in found.kept:
            typer.echo(f"{each.password.get_secret_value()}  {rfc3339(each.at_ms)}  {_whose(each)}")
    else:
        for earlier in found.kept[:-1]:
            err().print(f"an earlier one is of {rfc3339(earlier.at_ms)}; --all prints it, with its numbers")
        typer.echo(found.kept[-1].password.get_secret_value())


def _tell_lost(found: RegisterPasswords) -> None:
    if found.lost_ms is not None:
        err().print(
            f"[yellow]an answer with a password was lost at {rfc3339(found.lost_ms)}[/]: if the PBX can't register, "
            "set the password anew (POST /v1/sip/update answers with it) or enqueue a number of the profile with "
            "--force"
        )


def _whose(kept: StoredPassword) -> str:
    if not kept.numbers:
        return "its numbers were not noted"
    count = f"{len(kept.numbers)} numbers"
    if len(kept.numbers) == 1:
        count = "1 number"
    return f"{count}: {' '.join(kept.numbers)}"
