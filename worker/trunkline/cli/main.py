"""`trunkline`: puts the commands together. A command's module is loaded when the command is asked for: who asks what
became of a number does not wait for the receiver's or the demo's libraries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from trunkline import __version__

COMMANDS: Final = {  # name -> "module of this folder:function"
    "demo": "demo:demo",
    "up": "run:up",
    "worker": "run:worker",
    "serve": "serve:serve",
    "sandbox": "run:sandbox",
    "enqueue": "enqueue:enqueue",
    "import": "enqueue:import_file",
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
Command = Any  # click's; typer brings its own, or took the library's


class _Commands(MutableMapping[str, Command]):
    """A group's commands by name: those given, then those that are loaded once somebody looks at them."""

    def __init__(self, given: Mapping[str, Command], places: Mapping[str, str]) -> None:
        self._places = places
        self._loaded = dict(given)

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            module, _, function = self._places[name].partition(":")
            self._loaded[name] = _command(name, getattr(import_module(f"trunkline.cli.{module}"), function))
        return self._loaded[name]

    def __setitem__(self, name: str, command: Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self._places, *self._loaded))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _command(name: str, function: Any) -> Command:
    """The command of a function with typer's parameters."""
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(name)(function)
    return typer.main.get_command(alone)


def _group(places: Mapping[str, str], **how: Any) -> typer.Typer:
    """A group that loads its commands as they are asked for."""

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = _Commands(self.commands, places)

    return typer.Typer(
        cls=Group, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, **how
    )  # fmt: skip


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"trunkline {__version__}")
        raise typer.Exit


app = _group(
    COMMANDS,
    name="trunkline",
    help="Attaches phone numbers to Bland AI's SIP, and says what became of every number.",
    add_completion=False,
)


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """What comes before a command."""


for _name, (_help, _places) in GROUPS.items():
    app.add_typer(_group(_places, help=_help), name=_name)


def main() -> None:
    """The entry point of the `trunkline` command."""
    app()
