"""Importing: the rows of a file go into the store, each with what became of it, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from trunkline_producers.enqueue.enqueuer import Enqueuer, Summary
from trunkline_producers.files.rows import Row

ROWS_A_PUSH: Final = 500


def import_rows(enqueuer: Enqueuer, rows: Iterable[Row]) -> Iterator[tuple[Row, Summary]]:
    """Every row with its summary, once it is stored. A row that was refused as a row is among its own `rejected`.

    Raises what Enqueuer raises and BadFile; the rows that were given out by then are stored.
    """
    source = iter(rows)
    while part := list(islice(source, ROWS_A_PUSH)):
        stored = enqueuer.each(row.event for row in part if row.event is not None)
        for row in part:
            yield row, Summary(rejected=(row.refusal,)) if row.refusal else next(stored)
