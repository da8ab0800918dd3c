"""Whether a server takes what will be asked of it: a write now, every move, every right its user needs."""

from __future__ import annotations

from typing import Final

from trunkline.store.client import Store
from trunkline.store.connect import translated

TRACE_MS: Final = 60_000


def try_a_write(store: Store) -> None:
    """Writes a byte beside the numbers, which goes by itself, as a server takes it that would take an event.

    Raises StoreUnavailable or StoreError for one that is away, full, read-only or lets this user do nothing.
    """
    with translated():
        store.client.set(f"{store.prefix}ready", "1", px=TRACE_MS)
