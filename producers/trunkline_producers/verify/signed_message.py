"""The message that is signed: parts one after the other, or a vendor's own form of URL and fields."""

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
_KNOWN: Final = ", ".join(f"{{{each}}}" for each in (*PLAIN, *(f"{each}:NAME" for each in NAMED)))
_HOLE: Final = re.compile(r"(\{[^{}]*\})")


class Message(Protocol):
    """A signed message, which may have several candidates if vendors differ about its form."""

    @property
    def uses_url(self) -> bool:
        """True if the URL is part of it."""

    def holds(self, *names: str) -> bool:
        """True if any of these parts is in it."""

    def candidates(self, request: WebhookRequest, stamp: str, key: bytes) -> Iterator[bytes]:
        """Yield the bytes that may have been signed. Raises Unverified if a part of them was not sent."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the message: literal text (`name` ""), or what `name` and its argument say."""

    name: str
    argument: str = ""

    @property
    def full_name(self) -> str:
        """The name of the piece, with its argument if it takes one."""
        if self.name in NAMED:
            return f"{self.name}:{self.argument}"
        return self.name

    def value(self, request: WebhookRequest, stamp: str, key: bytes) -> bytes:
        """The bytes of this piece. Raises Unverified if they were not sent."""
        if not self.name:
            return self.argument.encode("utf-8")
        if plain := PLAIN.get(self.name):
            return plain(request, stamp, key)
        found: bytes | None = None
        if self.name == "query":
            found = only(query_fields(request), self.argument)
        elif self.argument in request.headers:
            found = octets(request.headers[self.argument])
        if found is None:
            raise Unverified(Reason.missing_signature, f"the {self.name} {self.argument} is signed and was not sent")
        return found


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts one after the other, with nothing between them."""

    parts: tuple[Part, ...] = (Part("body"),)

    @property
    def uses_url(self) -> bool:
        """True if the whole URL is one of the parts."""
        return self.holds("url")

    def holds(self, *names: str) -> bool:
        """True if any of these is among the parts; a header or query field is `header:x-name`."""
        return any(part.full_name in names for part in self.parts)

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
        """True for the body and the URL, which every vendor's form covers as far as it can."""
        return not {"body", "url"}.isdisjoint(names)

    def candidates(self, request: WebhookRequest, stamp: str, key: bytes) -> Iterator[bytes]:
        """Yield the message with the URL in every form that the vendor is known to write."""
        del stamp, key
        yield from FORMS[self.name](request)


def read_message(value: object) -> Message:
    """Read the setting `signed`: a list of parts, or the name of a form. Raises ValueError with the mistake."""
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
    if name == "header" and argument:
        return Part(name, argument.lower())
    if name == "query" and argument:
        return Part(name, argument)
    if name in PLAIN and not colon:
        return Part(name)
    raise ValueError(f"has a part that does not exist; there are {_KNOWN}{did_you_mean(name, [*PLAIN, *NAMED])}")
