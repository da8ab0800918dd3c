"""`trunkline workers`: the worker processes that live."""

from __future__ import annotations

from rich.console import RenderableType

from trunkline.cli.books_view import workers_table
from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import answer, command
from trunkline.cli.session import session
from trunkline.operations.documents import workers_document
from trunkline.store.queries import books as read_books


@command
def workers(json: JsonOption = False, config: ConfigOption = None, sandbox: SandboxOption = False) -> None:
    """The worker processes that live, on whichever host, and how busy each is.

    Example: trunkline workers
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        books = read_books(opened.store)
    shown: RenderableType = "no worker lives; `trunkline up` or `trunkline worker` starts one"
    if books.workers:
        shown = workers_table(books)
    answer(workers_document(books), shown, json=json)
