"""Where polling goes on: what a source's last run left behind in the store, for a limited time."""

from __future__ import annotations

from typing import Final, Literal

from trunkline.store import Store
from trunkline.store.client import PREFIX
from trunkline.store.connection import translated

Mark = Literal["inventory", "purchases"]

KEEP_S: Final = {
    "inventory": 24 * 3600,  # the page at which a run was interrupted
    "purchases": 30 * 24 * 3600,  # when purchases were last asked for; no audit log that is read goes back further
}


def read(store: Store, mark: Mark, source: str) -> str | None:
    """What was kept, None where nothing is or its time is over. Raises StoreUnavailable or StoreError."""
    with translated():
        kept = store.client.get(_key(mark, source))
    return None if kept is None else str(kept)


def keep(store: Store, mark: Mark, source: str, value: str | None) -> None:
    """Keeps it in place of what was kept; None forgets it. Raises as `read`."""
    with translated():
        if value is None:
            store.client.delete(_key(mark, source))
        else:
            store.client.set(_key(mark, source), value, ex=KEEP_S[mark])


def _key(mark: Mark, source: str) -> str:
    return f"{PREFIX}{mark}:{source}"
