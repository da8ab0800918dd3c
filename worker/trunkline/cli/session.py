"""Session of a command: the settings, the logs, the opened store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.markup import escape

from trunkline.bootstrap import open_store, policies_of
from trunkline.cli.output import err
from trunkline.config.running_sandbox import running_sandbox
from trunkline.config.sandbox import load_settings, sandbox_folder
from trunkline.config.settings import Settings
from trunkline.config.store_place import near, place_of
from trunkline.errors import Mistake
from trunkline.redaction import make_scrubber
from trunkline.store import Store
from trunkline.telemetry import logs

if TYPE_CHECKING:
    from trunkline_producers.sources import Source


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
    """Read the settings of a command, and set up logs that show none of their secrets. Raises ConfigError.

    `receives`: the secrets of the sources have to be set. `sandbox`: the sandbox's settings, which need no secrets.
    """

    def also(settings: Settings) -> list[Mistake]:
        mistakes = _read_sources(settings, need_secrets=receives)[1]
        token = settings.server.token
        if receives and token and not token.value.get_secret_value():
            mistakes.append(Mistake("server.token", f"is not there ({token.ref}); set it, or take the line out"))
        return mistakes

    settings = load_settings(config, os.environ, secrets=secrets, also=also, sandbox=sandbox)
    logs.configure(scrub=make_scrubber(settings.secret_values()))
    return settings


def tell_store(settings: Settings, *, quiet: bool = False) -> None:
    """Name the store that a command speaks to, on stderr; if `quiet` only where another one may be meant."""
    place, folder = place_of(settings), sandbox_folder(settings)
    if settings.stand_in is None and running_sandbox(folder):
        warning = f"a sandbox is running in {near(folder)}, but this command speaks to the real store ({place}); "
        err().print(warning + "type --sandbox to speak to the sandbox's", style="yellow", markup=False)
        return
    if quiet:
        return
    idle = ""
    if settings.stand_in == "":
        idle = "; its stand-in API is not running (`trunkline up --sandbox` starts it)"
    err().print(f"store: {place}{idle}", style="dim", markup=False)


def sources_of(settings: Settings) -> dict[str, Source]:
    """Return the configured sources of webhooks.

    A source with a mistake or without its key is left out with a warning; only the sandbox's settings can have one.
    """
    sources, mistakes = _read_sources(settings, need_secrets=False)
    for mistake in dict.fromkeys(mistakes):
        err().print(f"[yellow]left out:[/] {escape(str(mistake))}")
    return sources


@contextmanager
def session(config: Path | None, *, sandbox: bool, json: bool = False, publish: bool = False) -> Iterator[Session]:
    """Open the store for one command, and name it on stderr unless the answer is JSON.

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


def _read_sources(settings: Settings, *, need_secrets: bool) -> tuple[dict[str, Source], list[Mistake]]:
    """Read the sources of the settings, with every mistake; loads nothing of the producers where there is none."""
    if not settings.sources:
        return {}, []
    from trunkline_producers.sources import read_sources  # noqa: PLC0415  # a command without sources starts faster

    return read_sources(settings.sources, settings.server, need_secrets=need_secrets)
