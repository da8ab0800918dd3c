"""Bytes as the sender sent them: out of headers and URLs as servers decode them, base64, hex and forms."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from trunkline_producers.verify.scheme import Reason, Unverified
from trunkline_producers.webhooks.request import WebhookRequest

Pairs = list[tuple[bytes, bytes]]

MAX_FIELDS: Final = 10_000
FORM: Final = "application/x-www-form-urlencoded"
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.S
)
_PORT: Final = re.compile(r"(?P<host>.*?)(?::(?P<port>[0-9]+))?", re.S)
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+", re.ASCII)


class Url(NamedTuple):
    """A URL cut without changing a character; `host` has the user before it, `port` is "" where none is written."""

    scheme: str
    host: str
    port: str
    path: str
    rest: str  # the query with its question mark

    def with_port(self, port: str) -> str:
        """The URL with this port, or without any for ""."""
        return f"{self.scheme}://{self.host}{port and ':'}{port}{self.path}{self.rest}"

    @property
    def default_port(self) -> str:
        """The port that the URL's scheme has where none is written."""
        return "443" if self.scheme.lower() == "https" else "80"


def octets(text: str) -> bytes:
    """The bytes of a header or a URL, which servers decode as latin-1; text that can't be that is taken as UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def cut(url: str) -> Url:
    """A URL in its pieces; what is no absolute URL has everything in its path."""
    found = _URL.fullmatch(url)
    if not found:
        path, mark, query = url.partition("?")
        return Url("", "", "", path, mark + query)
    authority = _PORT.fullmatch(found["authority"])
    host, port = (authority["host"], authority["port"] or "") if authority else (found["authority"], "")
    return Url(found["scheme"], host, port, found["path"], found["rest"])


def from_base64(text: str) -> bytes | None:
    """The bytes of base64 with its padding, or None for anything else."""
    try:
        decoded = b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded if decoded and b64encode(decoded) == text.encode("ascii") else None


def from_hex(text: str) -> bytes | None:
    """The bytes of hex in either case, or None for anything else."""
    return bytes.fromhex(text) if _HEX.fullmatch(text) else None


def query_fields(request: WebhookRequest) -> Pairs:
    """The query's fields in their order, decoded. Raises Unverified for far too many of them."""
    return _pairs(request.query)


def form_fields(request: WebhookRequest) -> Pairs | None:
    """The fields of a form in their order, decoded; none of an empty body; None where the body is no form."""
    if request.media_type == FORM:
        return _pairs(request.body.decode("latin-1"))
    return None if request.body else []


def only(pairs: Pairs, name: str) -> bytes | None:
    """The value of a field; None where it is not there. Raises Unverified where it comes twice."""
    values = [value for key, value in pairs if key == name.encode("utf-8")]
    if len(values) > 1:
        raise Unverified(Reason.malformed_signature, f"the field {name} comes more than once")
    return values[0] if values else None


def _pairs(text: str) -> Pairs:
    """latin-1 on both ways loses no byte, however the fields are encoded."""
    try:
        read = parse_qsl(text, keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Unverified(Reason.malformed_signature, f"there are more than {MAX_FIELDS} fields") from None
    return [(octets(name), octets(value)) for name, value in read]
