"""The `verify` tables of sources that sign: where the signature stands, over what, when, with which keys."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, PlainValidator

from trunkline.schema import Fault, Table, Text, fault
from trunkline_producers.verify.scheme import Encoding, Scheme
from trunkline_producers.verify.signatures import Digest, DigestName, Ed25519, Hmac, SignatureHeader
from trunkline_producers.verify.signed_message import Canonical, Message, Part, Parts, read_message
from trunkline_producers.verify.timestamps import DEFAULT_TOLERANCE_S, Timestamp, Unit, Window
from trunkline_producers.webhooks.expressions import ExpressionField

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)


def _header(text: str) -> str:
    if not _HEADER.fullmatch(text):
        raise fault("must be the name of a header, such as X-Signature")
    return text.lower()


def _message(value: object) -> Message:
    try:
        return read_message(value)
    except ValueError as error:
        raise fault(str(error)) from None


Header = Annotated[str, AfterValidator(_header)]
MessageField = Annotated[Parts | Canonical, PlainValidator(_message)]
Tolerance = Annotated[float, Field(ge=0, le=7 * 86400)]


class TimestampTable(Table):
    """Where the timestamp stands, in which unit, and how many seconds it may lie behind and ahead of now."""

    what: ClassVar[str] = "timestamp"
    header: Header | None = None
    tag: Text | None = None
    body: ExpressionField | None = None
    unit: Unit = "s"
    tolerance_s: Tolerance = DEFAULT_TOLERANCE_S
    future_s: Tolerance = DEFAULT_TOLERANCE_S

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """It stands in one place."""
        if sum(name in raw for name in ("header", "tag", "body")) != 1:
            yield (), 'must have one of header = "…", tag = "…" and body = "…"'

    def made(self) -> Timestamp:
        """The timestamp as it is looked for."""
        place = self.header or self.tag or self.body or ""
        return Timestamp(place, self.tag is not None, self.unit, Window(self.tolerance_s, self.future_s))


class SchemeTable(Table):
    """A verify table: `scheme` says which."""

    what: ClassVar[str] = "verify with this scheme"
    scheme: str

    @abstractmethod
    def made(self) -> Scheme:
        """The scheme."""


class SignedTable(SchemeTable):
    """Signatures in a header."""

    holds_key: ClassVar[bool] = False
    header: Header
    prefix: Text | None = None
    encoding: Literal["hex", "base64"] = "hex"
    separator: Literal[" ", ","] | None = None
    tag: Text | None = None
    tag_separator: Literal["=", ","] = "="
    signed: MessageField = Parts()
    timestamp: TimestampTable | None = None
    key_encoding: Encoding | None = None

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """Tags belong to lists; what is not signed protects nothing."""
        separator, timestamp = raw.get("separator"), raw.get("timestamp")
        if "tag" in raw and separator is None:
            yield ("tag",), 'needs a separator: "," or " " between the items of the header'
        if "tag_separator" in raw and raw["tag_separator"] == separator:
            yield ("tag_separator",), "must be another than separator"
        try:
            message = read_message(raw["signed"]) if "signed" in raw else cls.model_fields["signed"].default
        except ValueError:
            return  # the field says so itself
        if not message.holds("body", "body_md5_base64"):
            yield ("signed",), 'must hold "{body}": what is not signed anybody could change'
        if message.holds("key") is not cls.holds_key:
            yield ("signed",), 'must hold "{key}" with scheme = "digest", and with no other'
        yield from _stamped(message, timestamp, tagged="tag" in raw)

    def where(self) -> SignatureHeader:
        """The place of the signature."""
        return SignatureHeader(
            self.header, self.prefix or "", self.encoding, self.separator or "", self.tag or "", self.tag_separator
        )

    def stamp(self) -> Timestamp | None:
        """The timestamp, where there is one."""
        return self.timestamp.made() if self.timestamp else None


def _stamped(message: Message, timestamp: object, *, tagged: bool) -> Iterator[Fault]:
    """A timestamp in the signed message, and one wherever the message wants it."""
    if not isinstance(timestamp, Mapping):
        if timestamp is None and message.holds("timestamp"):
            yield ("timestamp",), 'is required, as "{timestamp}" is signed: write { header = "…" }'
        return
    if "tag" in timestamp and not tagged:
        yield ("timestamp", "tag"), "needs a tag for the signatures, too, in the same header"
    names = ["timestamp", *([f"header:{str(timestamp['header']).lower()}"] if "header" in timestamp else [])]
    if "body" not in timestamp and not message.holds(*names):
        yield ("timestamp",), 'is not signed, so anybody could change it; put "{timestamp}" among the signed parts'


class HmacTable(SignedTable):
    """HMAC."""

    scheme: Literal["hmac"] = "hmac"
    digest: DigestName = "sha256"

    def made(self) -> Scheme:
        """The scheme."""
        return Hmac(self.where(), self.signed, self.stamp(), self.key_encoding, self.digest)


class DigestTable(SignedTable):
    """A hash with the key in what is hashed."""

    holds_key: ClassVar[bool] = True
    scheme: Literal["digest"] = "digest"
    digest: DigestName = "sha256"
    signed: MessageField = Parts((Part("key"), Part("body")))

    def made(self) -> Scheme:
        """The scheme."""
        return Digest(self.where(), self.signed, self.stamp(), self.key_encoding, self.digest)


class Ed25519Table(SignedTable):
    """Ed25519; vendors write it in base64."""

    scheme: Literal["ed25519"] = "ed25519"
    encoding: Literal["hex", "base64"] = "base64"

    def made(self) -> Scheme:
        """The scheme."""
        return Ed25519(self.where(), self.signed, self.stamp(), self.key_encoding)
