"""Commands that ask: status, number, workers, check, and a profile's register password."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.markup import escape

from trunkline.bland import BlandApi, NotSent, Unanswered
from trunkline.cli.session import (
    FAILED,
    ConfigOption,
    JsonOption,
    SandboxOption,
    command,
    err,
    fail,
    out,
    polled_of,
    print_json,
    session,
    settings_of,
    sources_of,
    spellings,
    tell_store,
)
from trunkline.cli.tables import books_table, entries_view, pairs_table, workers_table
from trunkline.directions import Direction
from trunkline.documents import number_document, status_document, workers_document
from trunkline.moments import rfc3339
from trunkline.opening import examine_for_work, open_store
from trunkline.settings import Account, Settings
from trunkline.store import Durability, reading, rejections
from trunkline.store.examining import EARLY_WAITAOF, refuse_newer, try_a_write
from trunkline.store.migrating import TO_MIGRATE, is_older
from trunkline.store.scripts import SCHEMA
from trunkline.store_place import place_of
from trunkline.vault import KeptPassword, Vault
from trunkline_producers.verify.tokens import Unsigned

CHECK_S = 10.0


@command
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing, once a second, until Ctrl-C.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """The books: per profile and in all.

    Example: trunkline status --watch
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        if json:
            schema = refuse_newer(opened.store) or SCHEMA
            print_json(status_document(reading.books(opened.store), place_of(opened.settings), schema))
        elif watch:
            with (
                suppress(KeyboardInterrupt),
                Live(books_table(reading.books(opened.store)), console=out(), refresh_per_second=4) as live,
            ):
                while True:
                    time.sleep(1)
                    live.update(books_table(reading.books(opened.store)))
        else:
            out().print(books_table(reading.books(opened.store)))
            if is_older(opened.store):
                out().print(TO_MIGRATE, style="yellow", markup=False)
            if filling := rejections.filling(opened.store, opened.settings.server.max_kept_bytes):
                out().print(filling, style="yellow", markup=False)


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
        found = [e for text in spellings(opened.settings, number) for e in reading.entries_of(opened.store, text)]
        books = reading.books(opened.store)
    if json:
        print_json(number_document(found, books))
    elif found:
        out().print(entries_view(found, books))
    else:
        err().print(f"nothing is known of {number}", markup=False)
    if not found:
        raise typer.Exit(FAILED)


@command
def workers(json: JsonOption = False, config: ConfigOption = None, sandbox: SandboxOption = False) -> None:
    """The worker processes that live, on whichever host, and how busy each is.

    Example: trunkline workers
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        books = reading.books(opened.store)
    if json:
        print_json(workers_document(books))
    elif books.workers:
        out().print(workers_table(books))
    else:
        out().print("no worker lives; `trunkline up` or `trunkline worker` starts one")


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


@command
def profile_secret(
    profile: Annotated[str, typer.Argument(metavar="PROFILE")],
    every: Annotated[bool, typer.Option("--all", help="Every password, with its time and its numbers.")] = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Prints the register password that the API gave for a profile last, for your PBX.

    The API may give each call its own: --all prints every one, the oldest first, with the numbers it was said to.

    Example: trunkline profile secret support
    """
    with session(config, sandbox=sandbox) as opened:
        kept, lost_ms = Vault(opened.store, opened.settings.secret_key).passwords(profile)
    if lost_ms is not None:
        err().print(
            f"[yellow]an answer with a password was lost at {rfc3339(lost_ms)}[/]: if the PBX can't register, set the "
            "password anew (POST /v1/sip/update answers with it) or enqueue a number of the profile with --force"
        )
    if not kept:
        fail(f"no register password is kept for {profile}")
    if every:
        for each in kept:
            typer.echo(f"{each.password.get_secret_value()}  {rfc3339(each.at_ms)}  {_whose(each)}")
        return
    for earlier in kept[:-1]:
        err().print(f"an earlier one is of {rfc3339(earlier.at_ms)}; --all prints it, with its numbers")
    typer.echo(kept[-1].password.get_secret_value())


def _whose(kept: KeptPassword) -> str:
    if not kept.numbers:
        return "its numbers were not noted"
    count = "1 number" if len(kept.numbers) == 1 else f"{len(kept.numbers)} numbers"
    return f"{count}: {' '.join(kept.numbers)}"


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
