"""The bytes that a signature is made over: parts put together, or a vendor's own form of URL and fields."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5
from typing import Final, Protocol

from trunkline.text import did_you_mean
from trunkline_producers.verify.encoding import cut, octets, only, query_fields
from trunkline_producers.verify.scheme import Reason, Unverified
from trunkline_producers.verify.vendor_forms import FORMS
from trunkline_producers.webhooks.request import WebhookRequest

PLAIN: Final[Mapping[str, Callable[[WebhookRequest, str, bytes], bytes]]] = {
    "body": lambda request, _stamp, _key: request.body,
    "timestamp": lambda _request, stamp, _key: octets(stamp),
    "method": lambda request, _stamp, _key: octets(request.method),
    "url": lambda request, _stamp, _key: octets(request.url),
    "path": lambda request, _stamp, _key: octets(cut(request.url).path),
    "body_md5_base64": lambda request, _stamp, _key: b64encode(md5(request.body, usedforsecurity=False).digest()),
    "key": lambda _request, _stamp, key: key,
}
NAMED: Final = ("header", "query")
_HOLE: Final = re.compile(r"(\{[^{}]*\})")


class Message(Protocol):
    """What was signed, which may be one of several things where vendors differ about it."""

    @property
    def uses_url(self) -> bool:
        """Whether the URL is part of it."""

    def holds(self, *names: str) -> bool:
        """Whether any of these parts is in it."""

    def candidates(self, request: WebhookRequest, stamp: str, key: bytes) -> Iterator[bytes]:
        """What may have been signed. Raises Unverified where a part of it was not sent."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the message: literal text (`name` ""), or what `name` and its argument say."""

    name: str
    argument: str = ""

    def value(self, request: WebhookRequest, stamp: str, key: bytes) -> bytes:
        """The bytes of this piece. Raises Unverified where they were not sent."""
        if not self.name:
            return self.argument.encode("utf-8")
        if plain := PLAIN.get(self.name):
            return plain(request, stamp, key)
        if self.name == "header":
            text = request.headers.get(self.argument)
            found = None if text is None else octets(text)
        else:
            found = only(query_fields(request), self.argument)
        if found is None:
            raise Unverified(Reason.missing_signature, f"the {self.name} {self.argument} is signed and was not sent")
        return found


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts one after the other, with nothing between them."""

    parts: tuple[Part, ...] = (Part("body"),)

    @property
    def uses_url(self) -> bool:
        """Whether the whole URL is one of the parts."""
        return self.holds("url")

    def holds(self, *names: str) -> bool:
        """Whether any of these is among the parts; a header or query field is `header:x-name`."""
        mine = {f"{part.name}:{part.argument}" if part.name in NAMED else part.name for part in self.parts}
        return not mine.isdisjoint(names)

    def candidates(self, request: WebhookRequest, stamp: str, key: bytes) -> Iterator[bytes]:
        """The one message that these parts make."""
        yield b"".join(part.value(request, stamp, key) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Canonical:
    """A vendor's own form, by its name."""

    name: str

    @property
    def uses_url(self) -> bool:
        """All of these forms begin with the URL."""
        return True

    def holds(self, *names: str) -> bool:
        """Body and URL, as far as the vendor signs them."""
        return not {"body", "url"}.isdisjoint(names)

    def candidates(self, request: WebhookRequest, stamp: str, key: bytes) -> Iterator[bytes]:
        """Every way in which the vendor is known to write the URL."""
        del stamp, key
        yield from FORMS[self.name](request)


def read_message(value: object) -> Message:
    """`signed` as it is configured: a list of parts, or the name of a form. Raises ValueError with what is wrong."""
    if isinstance(value, str):
        if value in FORMS:
            return Canonical(value)
        raise ValueError(f"must be a list of parts or one of {', '.join(FORMS)}{did_you_mean(value, FORMS)}")
    if not isinstance(value, list | tuple) or not value or not all(isinstance(item, str) for item in value):
        raise ValueError('must be a list of parts, each text in quotes, such as ["{timestamp}", ".", "{body}"]')
    return Parts(tuple(_part(piece) for item in value for piece in _HOLE.split(item) if piece))


def _part(piece: str) -> Part:
    if not _HOLE.fullmatch(piece):
        if "{" in piece or "}" in piece:
            raise ValueError("has a brace without its fellow")
        return Part("", piece)
    name, colon, argument = piece[1:-1].partition(":")
    if name in NAMED and argument:
        return Part(name, argument.lower() if name == "header" else argument)
    if name in PLAIN and not colon:
        return Part(name)
    known = [*PLAIN, *(f"{each}:NAME" for each in NAMED)]
    raise ValueError(
        f"has a part that does not exist; there are {', '.join(f'{{{each}}}' for each in known)}"
        f"{did_you_mean(name, [*PLAIN, *NAMED])}"
    )
