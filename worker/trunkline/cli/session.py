"""What every command needs: the settings, the store, errors as exit codes, answers as JSON or for people."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from trunkline.bootstrap import open_store, policies_of
from trunkline.config.running_sandbox import running_sandbox
from trunkline.config.sandbox import load_settings, sandbox_folder
from trunkline.config.settings import ConfigError, Settings
from trunkline.config.store_place import near, place_of
from trunkline.errors import Mistake, TrunklineError
from trunkline.events.phone import NumberRefused, identity, normalise
from trunkline.redaction import make_scrubber
from trunkline.store import Store
from trunkline.telemetry import logs
from trunkline_producers.sources import Source, only_polled, read_sources

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="The configuration; default: $TRUNKLINE_CONFIG, else ./trunkline.toml."
    ),
]
SandboxOption = Annotated[
    bool, typer.Option("--sandbox", help="The sandbox's own store and stand-in API, not the configured ones.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]


@functools.cache
def out() -> Console:
    """Where answers go: stdout."""
    return Console(highlight=False, soft_wrap=True, emoji=False)


@functools.cache
def err() -> Console:
    """Where everything else goes: stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Session:
    """An opened store and the settings it was opened with."""

    settings: Settings
    store: Store


def settings_of(
    config: Path | None,
    *,
    secrets: Literal["required", "optional"] = "required",
    receives: bool = False,
    sandbox: bool = False,
) -> Settings:
    """The settings a command works with, and logs set up so that no secret of theirs is shown. Raises ConfigError.

    `receives`: the secrets of the sources have to be there. `sandbox`: the sandbox's settings, which need no secrets.
    """

    def also(settings: Settings) -> list[Mistake]:
        mistakes = read_sources(settings.sources, settings.server, need_secrets=receives)[1]
        token = settings.server.token
        if receives and token and not token.value.get_secret_value():
            mistakes.append(Mistake("server.token", f"is not there ({token.ref}); set it, or take the line out"))
        return mistakes

    settings = load_settings(config, os.environ, secrets=secrets, also=also, sandbox=sandbox)
    logs.configure(scrub=make_scrubber(settings.secret_values()))
    return settings


def tell_store(settings: Settings, *, quiet: bool = False) -> None:
    """Names the store that a command speaks to, on stderr; if `quiet` only where another one may be meant."""
    place, folder = place_of(settings), sandbox_folder(settings)
    if settings.stand_in is None and running_sandbox(folder):
        warning = f"a sandbox is running in {near(folder)}, but this command speaks to the real store ({place}); "
        err().print(warning + "type --sandbox to speak to the sandbox's", style="yellow", markup=False)
    elif not quiet:
        idle = "; its stand-in API is not running (`trunkline up --sandbox` starts it)"
        err().print(f"store: {place}{idle if settings.stand_in == '' else ''}", style="dim", markup=False)


def sources_of(settings: Settings) -> dict[str, Source]:
    """The configured sources of webhooks. For the stand-in one with a mistake, or without its key, may be among them:
    it is left out with a warning."""
    sources, mistakes = read_sources(settings.sources, settings.server, need_secrets=False)
    for mistake in dict.fromkeys(mistakes):
        err().print(f"[yellow]left out:[/] {_plain(str(mistake))}")
    return sources


def polled_of(settings: Settings) -> list[tuple[str, Mapping[str, Any]]]:
    """The sections of sources that nobody posts to and that are only asked (trunkline reconcile)."""
    return [(name, raw) for name, raw in settings.sources.items() if only_polled(raw)]


@contextmanager
def session(config: Path | None, *, sandbox: bool, json: bool = False, publish: bool = False) -> Iterator[Session]:
    """Opens the store for one command, and names it on stderr unless the answer is JSON.

    `publish`: make the profiles known if no worker did so yet.
    """
    settings = settings_of(config, secrets="optional", sandbox=sandbox)  # only workers call the API
    tell_store(settings, quiet=json)
    opened = open_store(settings)
    try:
        if publish:
            opened.store.publish(policies_of(settings))
        yield Session(settings, opened.store)
    finally:
        opened.close()


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def print_json_list(documents: Iterable[Any]) -> None:
    """One JSON list on stdout, however long, as print_json has it; nothing of it is held."""
    empty = True
    for document in documents:
        indented = json.dumps(document, ensure_ascii=False, indent=1).replace("\n", "\n ")
        sys.stdout.write(f"{'[' if empty else ','}\n {indented}")
        empty = False
    sys.stdout.write("[]\n" if empty else "\n]\n")


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Ends the command with a sentence on stderr."""
    err().print(f"[bold red]trunkline:[/] {_plain(message)}")
    raise typer.Exit(code)


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Errors as exit codes: 2 for the configuration, 1 for everything else that has a sentence."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ConfigError as error:
            fail(str(error), USAGE)
        except TrunklineError as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail("interrupted", 130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has had enough
            raise typer.Exit(FAILED) from None

    return run


def spellings(settings: Settings, raw: str) -> tuple[str, ...]:
    """The ways a number that somebody typed may stand in the store: as E.164, and verbatim where a trunk takes DIDs."""
    rules = settings.numbers
    found: dict[str, None] = {}
    for read in (normalise, identity):
        try:
            found[read(raw, region=rules.region, check="possible")] = None
        except NumberRefused:
            continue
    if not found:
        fail(f"{raw} is neither a phone number nor an identity that a trunk could have")
    return tuple(found)


def _plain(text: str) -> str:
    return escape(text)
