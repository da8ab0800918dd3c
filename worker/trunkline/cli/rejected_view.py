"""Tables of rejections; foreign text is made fit for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from trunkline.cli.render import to_the_minute
from trunkline.store.rejections import StoredRejection
from trunkline.text import printable
from trunkline.timestamps import rfc3339


def rejected_table(found: Iterable[StoredRejection]) -> Table:
    """Return rejections without their requests, a line each."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("id", "source", "code"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", overflow="fold")
    table.add_column("last came", no_wrap=True)
    table.add_column("times", justify="right")
    table.add_column("bytes", justify="right")
    for kept in found:
        words = (kept.id, kept.source, kept.code, kept.message, to_the_minute(kept.at_ms))
        table.add_row(*map(Text, (*words, f"{kept.times:,}", f"{kept.size:,}")))
    return table


def rejection_rows(kept: StoredRejection) -> Iterator[tuple[str, object]]:
    """Yield names and values of one rejection, its request included."""
    yield "id", kept.id
    yield "source", kept.source
    yield "why", f"{kept.code}: {kept.message}"
    yield "came", f"{kept.times:,} times, first {rfc3339(kept.first_ms)}, last {rfc3339(kept.at_ms)}"
    if not kept.whole:
        yield "body", f"not kept: it was {kept.size:,} bytes"
        return
    yield "request", printable(f"{kept.method} {kept.url}", len(kept.method) + len(kept.url) + 1)
    for name, value in kept.headers.items():
        yield printable(name), printable(value, len(value))
    lines = kept.body.decode("utf-8", "replace").expandtabs(4).splitlines()
    yield "body", "\n".join(printable(line, len(line)) for line in lines)
