"""Rejections: what was delivered and could not be taken in, kept until the operator replays or drops it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from trunkline.store.client import Store
from trunkline.store.connection import translated
from trunkline.store.fields import RejectionField
from trunkline.store.model import StoreError
from trunkline.telemetry.logs import Log, logger
from trunkline.text import printable

NOT_FETCHED: Final = "not_fetched"  # the numbers of an event were to be asked of a carrier, and it did not give them
MAX_LISTED: Final = 1_000  # are listed, or dropped in one script
MAX_BYTES: Final = 256 * 1024 * 1024
RESERVE_PART: Final = 4  # of it, in addition for sources that never repeat
WARN_PERCENT: Final = 80
WARN: Final = 2
WAY_OUT: Final = "replay or drop some of them (`trunkline rejected list`), or raise server.max_kept_bytes"
MAX_MESSAGE: Final = 1_000  # characters
PAGE: Final = 50
IDS_PAGE: Final = 1_000


class RejectionsFull(StoreError):
    """There is no room to keep what could not be taken in; the sender should send it again later."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that was verified and then refused, with what it takes to read it again.

    `id` is 16 hex characters made from source and content, so that a redelivery is the same rejection; `code` is one
    of RefusalCode, or not_fetched; `message` a sentence; `headers` are only those that the reading of the body needs,
    never a secret.
    """

    id: str
    source: str
    code: str
    message: str
    method: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class StoredRejection(Rejection):
    """A rejection as the store has it: how long its body was (bytes), when it came first and last (ms), how often."""

    size: int = 0
    first_ms: int = 0
    at_ms: int = 0
    times: int = 1

    @property
    def whole(self) -> bool:
        """Tell if the request was kept; the first releases kept of large ones the reason alone."""
        return bool(self.method)


def keep(
    store: Store,
    rejection: Rejection,
    *,
    most_bytes: int = MAX_BYTES,
    comes_again: bool = True,
    counts: bool,
    renew: bool = True,
) -> None:
    """Keeps a rejection until somebody drops or replays it; returns when it is stored, on disk where a push would be.

    A known id takes the new contents and time, and counts its times. Where all that is kept would be more than
    `most_bytes`, it is not, and KeptFull says so: its sender must not be told that it is. `comes_again` False: its
    source never repeats it, so a quarter more is kept of what such sources send. `counts`: the event never reached a
    push, so it is counted as rejected here. `renew` False: it did not come again, it is only told of anew; its time,
    place and times stay, whatever is kept, and one that was let go of meanwhile is not kept.
    Raises StoreUnavailable and StoreError as every move does.
    """
    limit: int | str = most_bytes if comes_again else most_bytes + most_bytes // RESERVE_PART
    source, code, message, request, body = _parts(rejection)
    flags = ("1" if flag else "" for flag in (counts, renew))
    said = store.reject(
        limit if renew else "", warn_bytes(most_bytes), *flags,
        rejection.id, source, code, message, len(rejection.body), request, body,
    )  # fmt: skip
    if said == 0:
        raise RejectionsFull(
            f"{limit:,} bytes of what could not be taken in are kept already, and no more will be; {WAY_OUT}"
        )
    if said == WARN:
        logger().warning(Log.rejections_filling, most_bytes=most_bytes, hint=WAY_OUT)


def warn_bytes(most_bytes: int) -> int:
    """From how many bytes on the operator is told that the room for rejections runs out."""
    return most_bytes * WARN_PERCENT // 100


def bytes_kept(store: Store) -> int:
    """Return the bytes of all rejections that are kept."""
    with translated():
        return int(store._client.hget(f"{store.prefix}books", "rejected_bytes") or 0)


def filling(store: Store, most_bytes: int) -> str | None:
    """A sentence for the operator where the room for rejections runs out, else None."""
    kept = bytes_kept(store)
    if kept < warn_bytes(most_bytes):
        return None
    return (
        f"{kept:,} of {most_bytes:,} bytes for what could not be taken in are used (server.max_kept_bytes); "
        f"then deliveries that can't be taken in are answered 503: {WAY_OUT}"
    )


def listed(
    store: Store,
    *,
    source: str | None = None,
    code: str | None = None,
    most: int = MAX_LISTED,
    oldest_first: bool = False,
) -> list[StoredRejection]:
    """Return rejections, of this source and code where they are given, `most` at most, the last to come first."""
    return list(islice(walk(store, source=source, code=code, oldest_first=oldest_first), most))


def walk(
    store: Store, *, source: str | None = None, code: str | None = None, oldest_first: bool = False
) -> Iterator[StoredRejection]:
    """All that was kept of this source and code where they are given when this began, read a few at a time."""
    with translated():
        ids = [str(each) for each in store._client.zrange(f"{store.prefix}rejected", 0, -1, desc=not oldest_first)]
    for start in range(0, len(ids), PAGE):
        page = (
            _matching(store, ids[start : start + PAGE], source, code) if source or code else ids[start : start + PAGE]
        )
        yield from _each(store, page)


def ids_with(store: Store, code: str, since_ms: float = 0) -> list[str]:
    """The ids of what is kept with this code and came since then, the oldest first, without reading any body."""
    with translated():
        ids = [str(each) for each in store._client.zrange(f"{store.prefix}rejected", since_ms, math.inf, byscore=True)]
    pages = (ids[start : start + IDS_PAGE] for start in range(0, len(ids), IDS_PAGE))
    return [each for page in pages for each in _matching(store, page, None, code)]


def get(store: Store, ids: Iterable[str]) -> list[StoredRejection]:
    """The rejections with these ids, those that are there, in the order of the ids."""
    return list(_each(store, list(dict.fromkeys(ids))))


def drop(store: Store, ids: Iterable[str]) -> int:
    """Lets go of the rejections with these ids; how many there were."""
    wanted = list(dict.fromkeys(ids))
    return sum(store.forget(*wanted[start : start + MAX_LISTED]) for start in range(0, len(wanted), MAX_LISTED))


def _matching(store: Store, ids: Sequence[str], source: str | None, code: str | None) -> list[str]:
    """Those of these ids that are of this source and code, in their order."""
    with translated(), store._client.pipeline(transaction=False) as pipe:
        for each in ids:
            pipe.hmget(f"{store.prefix}rejected:{each}", RejectionField.source, RejectionField.code)
        replies: list[list[str | None]] = pipe.execute()
    asked = zip(ids, replies, strict=True)
    return [each for each, said in asked if source in (None, said[0]) and code in (None, said[1])]


def _parts(rejection: Rejection) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Source, code, message, request, body as bytes that can be stored.

    The client decodes every answer as UTF-8, so the body goes in as Latin-1: each byte is a character. That takes one
    byte a byte of ASCII, which webhooks mostly are, where base64 takes a third more, and it can be read in the store.
    """
    request = json.dumps([rejection.method, rejection.url, dict(rejection.headers)], separators=(",", ":"))
    texts = (rejection.source, rejection.code, printable(rejection.message, MAX_MESSAGE), request)
    source, code, message, asked = (text.encode() for text in texts)
    return source, code, message, asked, rejection.body.decode("latin-1").encode()


def _each(store: Store, ids: list[str]) -> Iterator[StoredRejection]:
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        with translated(), store._client.pipeline(transaction=False) as pipe:
            for each in page:
                pipe.hgetall(f"{store.prefix}rejected:{each}")
            replies: list[dict[str, str]] = pipe.execute()
        yield from (_kept(each, fields) for each, fields in zip(page, replies, strict=True) if fields)


def _kept(id: str, fields: Mapping[str, str]) -> StoredRejection:
    method, url, headers = (
        json.loads(fields[RejectionField.request]) if fields[RejectionField.request] else ("", "", {})
    )
    return StoredRejection(
        id=id,
        source=fields[RejectionField.source],
        code=fields[RejectionField.code],
        message=fields[RejectionField.message],
        method=method,
        url=url,
        headers=headers,
        body=fields[RejectionField.body].encode("latin-1"),
        size=int(fields[RejectionField.body_length]),
        first_ms=int(float(fields[RejectionField.first_at])),
        at_ms=int(float(fields[RejectionField.last_at])),
        times=int(fields[RejectionField.times]),
    )
