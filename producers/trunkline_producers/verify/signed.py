"""The base of the schemes that sign: a signature in a header over a message, with or without a timestamp."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

from pydantic import PlainValidator

from trunkline.schema import Fault, Text, fault
from trunkline_producers.verify.encoding import from_base64, from_hex
from trunkline_producers.verify.scheme import Encoding, Header, Key, Reason, Scheme, Unverified, active
from trunkline_producers.verify.signed_message import Canonical, Message, Parts, read_message
from trunkline_producers.verify.timestamps import Stamp, Timestamp
from trunkline_producers.webhooks.request import WebhookRequest

MAX_SIGNATURES: Final = 16  # of one header that are compared

_DECODERS: Final = {"hex": from_hex, "base64": from_base64}

Tagged = list[tuple[str, str]]  # the items of a header, each with its tag ("" without)


def _message(value: object) -> Message:
    try:
        return read_message(value)
    except ValueError as error:
        raise fault(str(error)) from None


MessageField = Annotated[Parts | Canonical, PlainValidator(_message)]


class SignedScheme(Scheme):
    """A signature is all of `header` after `prefix`, or each item of a list that has the tag."""

    holds_key: ClassVar[bool] = False  # whether the key is a part of the message
    header: Header
    prefix: Text = ""
    encoding: Literal["hex", "base64"] = "hex"
    separator: Literal[" ", ","] | None = None
    tag: Text = ""
    tag_separator: Literal["=", ","] = "="
    signed: MessageField = Parts()
    timestamp: Timestamp | None = None
    key_encoding: Encoding | None = None

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """Check that tags come with lists, and that body, key and timestamp are signed as the scheme demands."""
        separator, timestamp = raw.get("separator"), raw.get("timestamp")
        if "tag" in raw and separator is None:
            yield ("tag",), 'needs a separator: "," or " " between the items of the header'
        if "tag_separator" in raw and raw["tag_separator"] == separator:
            yield ("tag_separator",), "must be another than separator"
        message: Message = cls.model_fields["signed"].default
        if "signed" in raw:
            try:
                message = read_message(raw["signed"])
            except ValueError:
                return  # the field's own validator reports it
        if not message.holds("body", "body_md5_base64"):
            yield ("signed",), 'must hold "{body}": what is not signed anybody could change'
        if message.holds("key") is not cls.holds_key:
            yield ("signed",), 'must hold "{key}" with scheme = "digest", and with no other'
        yield from _timestamp_faults(message, timestamp, tagged="tag" in raw)

    @property
    def uses_url(self) -> bool:
        """True if the message holds the URL."""
        return self.signed.uses_url

    @property
    def keys_encoding(self) -> Encoding | None:
        """The encoding of keys that don't name their own."""
        return self.key_encoding

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that a signature was made with. Raises Unverified."""
        items = self._items(request)
        signatures = self._signatures(items)
        stamp: Stamp | None = None
        text = ""
        if self.timestamp and (stamp := self.timestamp.beside(request, items)):
            text = stamp.text
        for key in active(keys, now):
            for message in self.signed.candidates(request, text, key.secret):
                if self._made(signatures, message, key):
                    if self.timestamp:
                        self.timestamp.check(stamp or self.timestamp.within(request), now)
                    return key
        raise Unverified(Reason.bad_signature, "no key made this signature over this request")

    @abstractmethod
    def _made(self, signatures: list[bytes], message: bytes, key: Key) -> bool:
        """True if the key made one of the signatures over the message."""

    def _items(self, request: WebhookRequest) -> Tagged:
        """The items of the header. Raises Unverified for a missing header."""
        text = request.headers.get(self.header, "").strip(" \t")
        if not text:
            raise Unverified(Reason.missing_signature, f"the header {self.header} is missing")
        if not text.startswith(self.prefix):
            raise Unverified(Reason.malformed_signature, f"the header {self.header} does not begin with its prefix")
        texts = [text.removeprefix(self.prefix)]
        if self.separator:
            texts = texts[0].split(self.separator)
        return [self._tagged(each.strip(" \t")) for each in texts]

    def _tagged(self, item: str) -> tuple[str, str]:
        if not self.tag:
            return "", item
        tag, _, value = item.partition(self.tag_separator)
        return tag, value

    def _signatures(self, items: Tagged) -> list[bytes]:
        """The signatures among the items, without those that can't be decoded. Raises Unverified if none is left.

        Items of other tags don't count: a sender's older scheme beside the newer one must not decide.
        """
        mine = [text for tag, text in items if tag == self.tag][:MAX_SIGNATURES]
        decode = _DECODERS[self.encoding]
        decoded = [signature for text in mine if (signature := decode(text)) is not None]
        if not decoded:
            raise Unverified(Reason.malformed_signature, f"the header {self.header} holds no signature in its form")
        return decoded


def _timestamp_faults(message: Message, timestamp: object, *, tagged: bool) -> Iterator[Fault]:
    """Check that a timestamp is signed, and that there is one if the message holds it."""
    if not isinstance(timestamp, Mapping):
        if timestamp is None and message.holds("timestamp"):
            yield ("timestamp",), 'is required, as "{timestamp}" is signed: write { header = "…" }'
        return
    if "tag" in timestamp and not tagged:
        yield ("timestamp", "tag"), "needs a tag for the signatures, too, in the same header"
    names = ["timestamp"]
    if "header" in timestamp:
        names.append(f"header:{str(timestamp['header']).lower()}")
    if "body" not in timestamp and not message.holds(*names):
        yield ("timestamp",), 'is not signed, so anybody could change it; put "{timestamp}" among the signed parts'
