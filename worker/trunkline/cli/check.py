"""Looking at the configuration, and with `--online` at what it names."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from trunkline.bland.client import BlandApi, NotSent, Unanswered
from trunkline.bootstrap import examine_for_work, open_store
from trunkline.cli.render import pairs_table
from trunkline.cli.session import (
    FAILED,
    ConfigOption,
    SandboxOption,
    command,
    err,
    out,
    polled_of,
    settings_of,
    sources_of,
    tell_store,
)
from trunkline.config.sections import Account
from trunkline.config.settings import Settings
from trunkline.config.store_place import place_of
from trunkline.profiles.directions import Direction
from trunkline.store import Durability
from trunkline.store.examining import EARLY_WAITAOF, try_a_write
from trunkline_producers.verify.tokens import Unsigned

CHECK_S: Final = 10.0


@command
def check(
    online: Annotated[bool, typer.Option("--online", help="Also try the store and each account's key.")] = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Reads the configuration as the worker would and prints what it understood, secrets hidden.

    Example: trunkline check --online
    """
    settings = settings_of(config, sandbox=sandbox)
    tell_store(settings, quiet=True)  # the table names it
    out().print(pairs_table(_understood(settings)))
    for warning in settings.warnings:
        err().print(f"[yellow]warning:[/] {escape(str(warning))}")
    if not settings.profiles:
        err().print("[yellow]warning:[/] no profile is configured, so nothing can be attached")
    if online and not _check_online(settings):
        raise typer.Exit(FAILED)


def _understood(settings: Settings) -> list[tuple[str, Any]]:
    store, worker, numbers = settings.store, settings.worker, settings.numbers
    rows: list[tuple[str, Any]] = [
        ("file", settings.path or "none: defaults and the environment"),
        (
            "store",
            f"{place_of(settings)}; acknowledge {store.acknowledge}, attached kept {store.keep_attached_days} days",
        ),
        (
            "worker",
            f"{worker.processes} processes of {worker.threads} threads, "
            f"lease {worker.lease_s:g} s, grace {worker.grace_s:g} s",
        ),
        ("numbers", f"region {numbers.region or 'none'}, check {numbers.check}"),
    ]
    rows += [(f"account {name}", _account(account, settings)) for name, account in settings.accounts.items()]
    for name, profile in settings.profiles.items():
        directions = ", ".join(map(_direction, profile.directions))
        trunk = f", trunk {profile.trunk_id}" if profile.trunk_id else ""
        rows.append((f"profile {name}", f"account {profile.account}{trunk}: {directions}"))
    for name, source in sources_of(settings).items():
        keys = ", ".join(key.id for key in source.keys) or "none at hand"
        told = "NOT VERIFIED: whatever reaches it is taken" if source.scheme == Unsigned() else f"keys: {keys}"
        rows.append((f"source {name}", f"{source.type}, at /hooks/{name}, {told}"))
    rows += [(f"source {name}", f"{raw['type']}, only polled") for name, raw in polled_of(settings)]
    rows += [("route", f"{route.when} → {route.profile}") for route in settings.routes]
    return rows


def _direction(direction: Direction) -> str:
    to = f" to {direction.sip_endpoint}" if direction.sip_endpoint else ""
    return f"{direction.type}{to}{' (register)' if direction.auth_mode == 'register' else ''}"


def _account(account: Account, settings: Settings) -> str:
    api = "the stand-in API, which is not running" if settings.stand_in == "" else account.base_url
    key = f"key from {account.key.ref}" if account.key else "no key"
    return (
        f"{api}, {key}, {account.requests_per_second:g} requests a second, "
        f"{account.max_concurrency} at once, time-out {account.timeout_s:g} s"
    )


def _check_online(settings: Settings) -> bool:
    opened = open_store(settings)
    try:
        examine_for_work(opened)
        try_a_write(opened.store)
    finally:
        opened.close()
    out().print(f"[green]store[/]: takes writes; they are on disk by: {opened.store.durability}")
    if opened.store.durability is Durability.waitaof:
        err().print(f"[yellow]warning:[/] {EARLY_WAITAOF}")
    if settings.stand_in == "":
        err().print("[red]the sandbox's stand-in API is not running[/]; `trunkline up --sandbox` starts it")
        return False
    fine = True
    for name, account in settings.accounts.items():
        try:
            answer = BlandApi(account).me(deadline=time.monotonic() + CHECK_S, permit=lambda: None)
            good, text = answer.status < 400, f"GET /v1/me answers {answer.status}"
        except (NotSent, Unanswered) as error:
            good, text = False, error.message
        out().print(f"[{'green' if good else 'red'}]account {name}[/]: ", end="")
        out().print(text, markup=False)
        fine = fine and good
    return fine
