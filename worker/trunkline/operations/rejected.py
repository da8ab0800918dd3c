"""Rejections: list, show, replay and drop what was delivered and could not be taken in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trunkline.config.settings import Settings
from trunkline.operations.names import NotThere
from trunkline.operations.selection import rejected, require_some
from trunkline.store import Store, rejections
from trunkline.store.rejections import StoredRejection
from trunkline.timestamps import rfc3339


@dataclass(frozen=True, slots=True)
class RejectedList:
    """The newest rejections; `capped`: there may be more of them; `filling`: a sentence where their room runs out."""

    found: tuple[StoredRejection, ...]
    capped: bool
    filling: str | None

    def document(self) -> list[dict[str, Any]]:
        """Return the document of `rejected list --json`."""
        return [_summary(kept) for kept in self.found]


def listed(store: Store, settings: Settings, *, source: str | None = None, code: str | None = None) -> RejectedList:
    """List what is kept of this source and code, the newest first. Raises StoreUnavailable and StoreError."""
    found = rejections.listed(store, source=source, code=code)
    filling = rejections.filling(store, settings.server.max_kept_bytes)
    return RejectedList(tuple(found), len(found) == rejections.MAX_LISTED, filling)


def shown(store: Store, id: str) -> StoredRejection:
    """Return the rejection with this id, its request included. Raises NotThere, StoreUnavailable and StoreError."""
    found = rejections.get(store, [id])
    if not found:
        raise NotThere(f"there is no rejection {id}; `trunkline rejected list` lists what there is")
    return found[0]


def body_of(store: Store, id: str) -> bytes:
    """Return the body of a rejection, byte by byte. Raises NotThere, also where only the reason was kept."""
    kept = shown(store, id)
    if not kept.whole:
        raise NotThere(f"of rejection {id} only the reason was kept: its body was {kept.size:,} bytes")
    return kept.body


def dropped(store: Store, ids: Iterable[str], *, source: str | None = None, every: bool = False) -> int:
    """Let go of the rejections with these ids, or of this source, or of all; return how many there were.

    Raises WrongUse where neither ids nor a source are given and `every` does not say that all are meant.
    """
    ids = list(ids)
    require_some(ids, source, every)
    wanted = []
    for kept in rejected(store, ids, source=source):
        wanted.append(kept.id)
    return rejections.drop(store, wanted)


def rejection_document(kept: StoredRejection) -> dict[str, Any]:
    """Return the document of `rejected show --json`; `body` is null where it is not kept, or not UTF-8."""
    return {
        **_summary(kept),
        "first_at": rfc3339(kept.first_ms),
        "method": kept.method,
        "url": kept.url,
        "headers": dict(kept.headers),
        "body": _body(kept),
    }


def _summary(kept: StoredRejection) -> dict[str, Any]:
    """Describe a rejection without its request; `bytes` is the length of the body as it came."""
    return {
        "id": kept.id,
        "source": kept.source,
        "code": kept.code,
        "message": kept.message,
        "at": rfc3339(kept.at_ms),
        "times": kept.times,
        "bytes": kept.size,
    }


def _body(kept: StoredRejection) -> str | None:
    if not kept.whole:
        return None
    try:
        return kept.body.decode("utf-8")
    except UnicodeDecodeError:
        return None
