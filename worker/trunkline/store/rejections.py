"""Rejections: what was delivered and could not be taken in, kept for the operator within bounds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from trunkline.contract import RefusalCode
from trunkline.store.client import PREFIX, Store
from trunkline.store.connect import translated
from trunkline.words import printable

NOT_FETCHED: Final = "not_fetched"  # the numbers of an event were to be asked of a carrier, and it did not give them
CODES: Final = (*(code.value for code in RefusalCode), NOT_FETCHED)
MOST: Final = 1_000
MOST_BYTES: Final = 64 * 1024 * 1024
MAX_MESSAGE: Final = 1_000  # characters
PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that was verified and then refused, with what it takes to read it again.

    `id` is 16 hex characters made from source and content, so that a redelivery is the same rejection; `code` is one
    of CODES; `message` a sentence; `headers` are only those that the reading of the body needs, never a secret.
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
class Kept(Rejection):
    """A rejection as the store has it: how long its body was (bytes), when it came first and last (ms), how often."""

    size: int = 0
    first_ms: int = 0
    at_ms: int = 0
    times: int = 1

    @property
    def whole(self) -> bool:
        """Whether the request was kept; of one that is larger than all that may be kept, only the reason is."""
        return bool(self.method)


def keep(
    store: Store,
    rejection: Rejection,
    *,
    most: int = MOST,
    most_bytes: int = MOST_BYTES,
    counts: bool,
    renew: bool = True,
) -> None:
    """Keeps a rejection and returns when it is stored, on disk where a push would be.

    A known id takes the new contents and time, and counts its times. While there are more than `most` or more bytes
    than `most_bytes`, the source that holds most of that lets go of its oldest, and those are counted. `counts`: the
    event never reached a push, so it is counted as rejected here. `renew` False: it did not come again, it is only told
    of anew; its time, place and times stay, and one that was let go of meanwhile is not kept. Raises StoreUnavailable
    and StoreError as every move does.
    """
    parts = _parts(rejection)
    if sum(map(len, parts)) > most_bytes:
        parts = (*parts[:3], b"", b"")
    *reason, request, body = parts
    flags = ("1" if flag else "" for flag in (counts, renew))
    store.reject("keep", most, most_bytes, *flags, rejection.id, *reason, len(rejection.body), request, body)


def listed(
    store: Store, *, source: str | None = None, code: str | None = None, most: int = MOST, oldest_first: bool = False
) -> list[Kept]:
    """What is kept of this source and code where they are given, `most` at most, by when it last came: newest first."""
    ids = _ids(store, source, newest_first=not oldest_first)
    found = (kept for kept in _each(store, ids) if source in (None, kept.source) and code in (None, kept.code))
    return list(islice(found, most))


def ids_with(store: Store, code: str) -> list[str]:
    """The ids of what is kept with this code, the oldest first, without reading any body."""
    ids = _ids(store, None, newest_first=False)
    with translated(), store.client.pipeline(transaction=False) as pipe:
        for each in ids:
            pipe.hget(f"{PREFIX}rejected:{each}", "c")
        return [each for each, said in zip(ids, pipe.execute(), strict=True) if said == code]


def get(store: Store, ids: Iterable[str]) -> list[Kept]:
    """The rejections with these ids, those that are there, in the order of the ids."""
    return list(_each(store, list(dict.fromkeys(ids))))


def drop(store: Store, ids: Iterable[str]) -> int:
    """Lets go of the rejections with these ids; how many there were."""
    wanted = list(dict.fromkeys(ids))
    return sum(int(store.reject("drop", *wanted[start : start + MOST])) for start in range(0, len(wanted), MOST))


def let_go(store: Store) -> int:
    """How many were let go to keep within the bounds, ever."""
    with translated():
        return int(store.client.hget(f"{PREFIX}books", "rejections_let_go") or 0)


def _ids(store: Store, source: str | None, *, newest_first: bool) -> list[str]:
    index = f"{PREFIX}rejected" if source is None else f"{PREFIX}rejected_of:{source}"
    with translated():
        return [str(each) for each in store.client.zrange(index, 0, -1, desc=newest_first)]


def _parts(rejection: Rejection) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Source, code, message, request, body as bytes that can be stored.

    The client decodes every answer as UTF-8, so the body goes in as Latin-1: each byte is a character. That takes one
    byte a byte of ASCII, which webhooks mostly are, where base64 takes a third more, and it can be read in the store.
    """
    request = json.dumps([rejection.method, rejection.url, dict(rejection.headers)], separators=(",", ":"))
    texts = (rejection.source, rejection.code, printable(rejection.message, MAX_MESSAGE), request)
    source, code, message, asked = (text.encode() for text in texts)
    return source, code, message, asked, rejection.body.decode("latin-1").encode()


def _each(store: Store, ids: list[str]) -> Iterator[Kept]:
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        with translated(), store.client.pipeline(transaction=False) as pipe:
            for each in page:
                pipe.hgetall(f"{PREFIX}rejected:{each}")
            replies: list[dict[str, str]] = pipe.execute()
        yield from (_kept(each, fields) for each, fields in zip(page, replies, strict=True) if fields)


def _kept(id: str, fields: Mapping[str, str]) -> Kept:
    method, url, headers = json.loads(fields["r"]) if fields["r"] else ("", "", {})
    return Kept(
        id=id,
        source=fields["s"],
        code=fields["c"],
        message=fields["m"],
        method=method,
        url=url,
        headers=headers,
        body=fields["b"].encode("latin-1"),
        size=int(fields["y"]),
        first_ms=int(float(fields["f"])),
        at_ms=int(float(fields["l"])),
        times=int(fields["n"]),
    )
