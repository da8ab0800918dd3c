"""Groups of commands whose modules are loaded when a command is asked for.

`trunkline number` does not wait for the libraries of the receiver or of the demo, `trunkline --help` for none of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from typing import Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup

# Classes of click's: typer brings its own copy, or took the library's.
Command = Any
UsageError: Final[type[Exception]] = typer.BadParameter.__mro__[1]


class _Commands(MutableMapping[str, Command]):
    """Commands of a group by name: those given, and those that are loaded when somebody looks at them."""

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


@dataclass(frozen=True, slots=True)
class _Completion:
    """A name that a shell completes, with the attributes of click's CompletionItem."""

    value: str
    help: str | None = None
    type: str = "plain"


class _Command(TyperCommand):
    """A command that answers a misspelt option with the one that was meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _guess_at_options():
            return super().parse_args(ctx, args)


class _Group(TyperGroup):
    """A group whose commands are loaded one by one, and not at all to complete their names."""

    places: ClassVar[Mapping[str, str]]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands(self.commands, self.places)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _guess_at_options():
            return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the group with the docstrings of its commands, none of which is loaded for it."""
        whole = self.commands
        self.commands = {name: _described(name, self.places) or whole[name] for name in whole}
        try:
            super().format_help(ctx, formatter)
        finally:
            self.commands = whole

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return the names of commands that begin so, else what click completes: options."""
        names = filter(lambda name: name.startswith(incomplete), self.commands)
        return [_Completion(name) for name in names] or super().shell_complete(ctx, incomplete)


@contextmanager
def _guess_at_options() -> Iterator[None]:
    """Say of an option that is not there which one may be meant, in the words that typer has for commands."""
    try:
        yield
    except UsageError as error:
        near = getattr(error, "possibilities", None)
        if near:
            error.message = f"{error.message}. Did you mean {near[0]}?"  # type: ignore[attr-defined]  # click's
            error.possibilities = None  # type: ignore[attr-defined]  # told
        raise


def _described(name: str, places: Mapping[str, str]) -> Command | None:
    """Return a command that has but a name and a docstring, read from its module's source; None without a source."""
    if name not in places:
        return None
    module, _, function = places[name].partition(":")
    spec = find_spec(f"trunkline.cli.{module}")
    if spec is None or not isinstance(spec.loader, InspectLoader):
        return None
    for node in ast.parse(spec.loader.get_source(spec.name) or "").body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return _Command(name, help=ast.get_docstring(node))
    return None


def _command(name: str, function: Any) -> Command:
    """Make the command of a function with typer's parameters."""
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(name, cls=_Command)(function)
    return typer.main.get_command(alone)


def lazy_group(commands: Mapping[str, str], **how: Any) -> typer.Typer:
    """Make a group of commands, each by its name as "module of this folder:function"; `how` is what typer takes."""

    class Group(_Group):
        places = commands

    return typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, **how)
