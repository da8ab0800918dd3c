"""Dead letters: list them by page, replay them, drop them."""

from __future__ import annotations

from trunkline.operations.names import WrongUse
from trunkline.operations.paging import Page
from trunkline.operations.selection import Selection, dead, names
from trunkline.store import Store, queries
from trunkline.store.model import Dropped, Entry


def dead_letters(
    store: Store,
    *,
    profile: str | None = None,
    code: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Page[Entry]:
    """Return a page of dead letters, oldest first, read as they are asked for.

    `code` is trunkline's or the API's. `cursor` is the `next_cursor` of the page before.
    Raises WrongUse for a text that is no cursor; StoreUnavailable and StoreError while it is read, too.
    """
    try:
        letters = queries.dead_letters(store, profile=profile, code=code, after=cursor)
    except ValueError as error:
        raise WrongUse(str(error)) from error
    return Page(letters, limit, queries.cursor_after)


def replay(store: Store, selection: Selection) -> int:
    """Put the selected dead letters back into the queue, with all their attempts; return how many there were.

    Raises WrongUse for an empty selection.
    """
    selection.require_some()
    return store.replay(names(dead(store, selection)))


def drop(store: Store, selection: Selection) -> Dropped:
    """End the selected dead letters for good; they stay counted as dropped. Return what was done.

    Raises WrongUse for an empty selection.
    """
    selection.require_some()
    return store.drop_dead(names(dead(store, selection)))
