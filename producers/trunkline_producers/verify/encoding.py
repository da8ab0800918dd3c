"""Bytes as they were sent: of headers and URLs, which servers decode, of base64, hex and forms."""

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
        """The port of the URL's scheme."""
        if self.scheme.lower() == "https":
            return "443"
        return "80"


def octets(text: str) -> bytes:
    """The bytes of a header or a URL, which servers decode as latin-1; other text is taken as UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def cut(url: str) -> Url:
    """Cut a URL into its pieces; the path of a relative URL holds everything before the query."""
    found = _URL.fullmatch(url)
    if not found:
        path, mark, query = url.partition("?")
        return Url("", "", "", path, mark + query)
    host, port = found["authority"], ""
    if authority := _PORT.fullmatch(host):
        host, port = authority["host"], authority["port"] or ""
    return Url(found["scheme"], host, port, found["path"], found["rest"])


def from_base64(text: str) -> bytes | None:
    """The bytes of base64 with its padding, or None for anything else."""
    try:
        decoded = b64decode(text, validate=True)
    except ValueError:
        return None
    if not decoded or b64encode(decoded) != text.encode("ascii"):
        return None
    return decoded


def from_hex(text: str) -> bytes | None:
    """The bytes of hex in either case, or None for anything else."""
    if not _HEX.fullmatch(text):
        return None
    return bytes.fromhex(text)


def query_fields(request: WebhookRequest) -> Pairs:
    """The query's fields in their order, decoded. Raises Unverified for more than MAX_FIELDS."""
    return _pairs(request.query)


def form_fields(request: WebhookRequest) -> Pairs | None:
    """The fields of a form in their order, decoded; none of an empty body; None if the body is no form."""
    if request.media_type == FORM:
        return _pairs(request.body.decode("latin-1"))
    if request.body:
        return None
    return []


def only(pairs: Pairs, name: str) -> bytes | None:
    """The value of a field, None without it. Raises Unverified if it comes twice."""
    values = [value for key, value in pairs if key == name.encode("utf-8")]
    if len(values) > 1:
        raise Unverified(Reason.malformed_signature, f"the field {name} comes more than once")
    if not values:
        return None
    return values[0]


def _pairs(text: str) -> Pairs:
    """Decode fields; latin-1 both ways loses no byte, whatever their encoding."""
    try:
        read = parse_qsl(text, keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Unverified(Reason.malformed_signature, f"there are more than {MAX_FIELDS} fields") from None
    return [(octets(name), octets(value)) for name, value in read]
