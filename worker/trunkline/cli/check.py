"""`trunkline check`: the configuration as it was understood, and with `--online` a trial of what it names."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import FAILED, command, err, out, print_json
from trunkline.cli.render import pairs_table
from trunkline.cli.session import settings_of, sources_of, tell_store
from trunkline.config.settings import Settings
from trunkline.operations.configuration import Row, understood
from trunkline.operations.trial import AccountTrial, StoreTrial, try_accounts, try_store

NO_PROFILE: Final = "no profile is configured, so nothing can be attached"
NO_STAND_IN: Final = "the sandbox's stand-in API is not running"


@command
def check(
    online: Annotated[bool, typer.Option("--online", help="Also try the store and each account's key.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Reads the configuration as the worker would and prints what it understood, secrets hidden.

    Example: trunkline check --online
    """
    settings = settings_of(config, sandbox=sandbox)
    tell_store(settings, quiet=True)  # the table names it
    rows = list(understood(settings, sources_of(settings)))
    warnings = [str(warning) for warning in settings.warnings]
    if not settings.profiles:
        warnings.append(NO_PROFILE)
    if json:
        fine = _answer_json(settings, rows, warnings, online=online)
    else:
        out().print(pairs_table(rows))
        for warning in warnings:
            err().print(f"[yellow]warning:[/] {escape(warning)}")
        fine = not online or _try(settings)
    if not fine:
        raise typer.Exit(FAILED)


def _try(settings: Settings) -> bool:
    """Try the store and each account, and print each result as it comes in; return whether all is well."""
    _tell_store_trial(try_store(settings))
    if settings.stand_in == "":
        err().print(f"[red]{NO_STAND_IN}[/]; `trunkline up --sandbox` starts it")
        return False
    fine = True
    for trial in try_accounts(settings):
        _tell_account_trial(trial)
        fine = fine and trial.ok
    return fine


def _tell_store_trial(trial: StoreTrial) -> None:
    out().print(f"[green]store[/]: takes writes; they are on disk by: {trial.durability}")
    if trial.warning:
        err().print(f"[yellow]warning:[/] {trial.warning}")


def _tell_account_trial(trial: AccountTrial) -> None:
    colour = "red"
    if trial.ok:
        colour = "green"
    out().print(f"[{colour}]account {trial.account}[/]: ", end="")
    out().print(trial.message, markup=False)


def _answer_json(settings: Settings, rows: list[Row], warnings: list[str], *, online: bool) -> bool:
    """Print the document of `check --json`; return whether all that was tried is well."""
    document: dict[str, Any] = {
        "understood": [{"name": name, "value": value} for name, value in rows],
        "warnings": warnings,
        "store": None,
        "accounts": [],
    }
    if not online:
        print_json(document)
        return True
    document["store"] = asdict(try_store(settings))
    if settings.stand_in == "":
        warnings.append(NO_STAND_IN)
    else:
        document["accounts"] = [asdict(trial) for trial in try_accounts(settings)]
    print_json(document)
    return settings.stand_in != "" and all(trial["ok"] for trial in document["accounts"])
