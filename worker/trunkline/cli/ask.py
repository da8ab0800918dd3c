"""Commands that ask: status, number, workers, and a profile's register password."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated

import typer
from rich.live import Live

from trunkline.cli.render import books_table, entries_view, workers_table
from trunkline.cli.session import (
    FAILED,
    ConfigOption,
    JsonOption,
    SandboxOption,
    command,
    err,
    fail,
    out,
    print_json,
    session,
    spellings,
)
from trunkline.config.store_place import place_of
from trunkline.operations.documents import number_document, status_document, workers_document
from trunkline.store import queries, rejections
from trunkline.store.examining import refuse_newer
from trunkline.store.migrating import TO_MIGRATE, is_older
from trunkline.store.scripts import SCHEMA
from trunkline.store.vault import StoredPassword, Vault
from trunkline.timestamps import rfc3339

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
            print_json(status_document(queries.books(opened.store), place_of(opened.settings), schema))
        elif watch:
            with (
                suppress(KeyboardInterrupt),
                Live(books_table(queries.books(opened.store)), console=out(), refresh_per_second=4) as live,
            ):
                while True:
                    time.sleep(1)
                    live.update(books_table(queries.books(opened.store)))
        else:
            out().print(books_table(queries.books(opened.store)))
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
        found = [e for text in spellings(opened.settings, number) for e in queries.entries_of(opened.store, text)]
        books = queries.books(opened.store)
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
        books = queries.books(opened.store)
    if json:
        print_json(workers_document(books))
    elif books.workers:
        out().print(workers_table(books))
    else:
        out().print("no worker lives; `trunkline up` or `trunkline worker` starts one")


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


def _whose(kept: StoredPassword) -> str:
    if not kept.numbers:
        return "its numbers were not noted"
    count = "1 number" if len(kept.numbers) == 1 else f"{len(kept.numbers)} numbers"
    return f"{count}: {' '.join(kept.numbers)}"
