"""Checkpoints of polling: the place where a source's last run ended, kept for a limited time."""

from __future__ import annotations

from typing import Final, Literal

from trunkline.store.client import Store
from trunkline.store.connection import translated

Mark = Literal["inventory", "purchases"]

HOUR_MS: Final = 3_600_000
KEEP_MS: Final = {
    "inventory": 24 * HOUR_MS,  # the page at which a run was interrupted
    "purchases": 30 * 24 * HOUR_MS,  # when purchases were last asked for; no audit log that is read goes back further
}


def read(store: Store, mark: Mark, source: str) -> str | None:
    """Return what was kept, None where nothing is or its time is over. Raises StoreUnavailable or StoreError."""
    with translated():
        kept = store._client.get(f"{store.prefix}{mark}:{source}")
    return None if kept is None else str(kept)


def keep(store: Store, mark: Mark, source: str, value: str | None) -> None:
    """Keep it in place of what was kept; None forgets it. Raises as `read`."""
    store.checkpoint(f"{mark}:{source}", value or "", KEEP_MS[mark])
