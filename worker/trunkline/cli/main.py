"""`trunkline`: the commands together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Final

import typer

from trunkline.cli.lazy import lazy_group

COMMANDS: Final = {  # name -> "module of this folder:function"
    "demo": "demo:demo",
    "init": "init:init",
    "up": "run:up",
    "worker": "run:worker",
    "serve": "serve:serve",
    "sandbox": "sandbox:sandbox",
    "enqueue": "enqueue:enqueue",
    "import": "import_file:import_file",
    "reconcile": "reconcile:reconcile",
    "status": "status:status",
    "number": "number:number",
    "workers": "workers:workers",
    "cancel": "cancel:cancel",
    "pause": "pause:pause",
    "resume": "pause:resume",
    "check": "check:check",
    "audit": "upkeep:audit",
}
GROUPS: Final = {  # name -> what it is for, and its commands
    "dead": (
        "Dead letters: numbers that are not tried again until somebody replays them.",
        {"list": "dead:dead_list", "replay": "dead:dead_replay", "drop": "dead:dead_drop"},
    ),
    "rejected": (
        "What was delivered and could not be taken in.",
        {
            "list": "rejected:rejected_list",
            "show": "rejected:rejected_show",
            "replay": "rejected:rejected_replay",
            "drop": "rejected:rejected_drop",
        },
    ),
    "sources": ("Where webhooks come from.", {"list": "sources:sources_list", "test": "sources:sources_test"}),
    "store": ("The store as a whole.", {"migrate": "upkeep:store_migrate"}),
    "profile": ("What belongs to one profile.", {"secret": "profile:profile_secret"}),
}
NAMES_OF_HELP: Final = {"help_option_names": ["--help", "-h"]}


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"trunkline {version('trunkline')}")
        raise typer.Exit


app = lazy_group(
    COMMANDS,
    name="trunkline",
    help="Attaches phone numbers to Bland AI's SIP, and says what became of every number.",
    context_settings=NAMES_OF_HELP,
)


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Print the version and exit.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    """Take the options that come before a command."""


for _name, (_help, _places) in GROUPS.items():
    app.add_typer(lazy_group(_places, help=_help), name=_name)


def main() -> None:
    """Run the `trunkline` command."""
    app()
