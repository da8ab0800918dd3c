"""`trunkline status`: the books."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated

import typer
from rich.live import Live

from trunkline.cli.books_view import books_table
from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import command, out, print_json
from trunkline.cli.session import session
from trunkline.operations.status import status as read_status
from trunkline.store import Store
from trunkline.store.queries import books


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
        if watch and not json:
            _watch(opened.store)
            return
        answer = read_status(opened.store, opened.settings)
    if json:
        print_json(answer.document())
        return
    out().print(books_table(answer.books))
    for sentence in answer.about_store:
        out().print(sentence, style="yellow", markup=False)


def _watch(store: Store) -> None:
    """Show the books once a second until Ctrl-C."""
    with (
        suppress(KeyboardInterrupt),
        Live(books_table(books(store)), console=out(), refresh_per_second=4) as live,
    ):
        while True:
            time.sleep(1)
            live.update(books_table(books(store)))
