"""Signatures in a header over a message: HMAC, plain digests with the key inside, Ed25519."""

from __future__ import annotations

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from trunkline_producers.verify.encoding import from_base64, from_hex
from trunkline_producers.verify.scheme import Encoding, Key, KeyKind, Reason, Unverified, active
from trunkline_producers.verify.signed_message import Message
from trunkline_producers.verify.timestamps import Timestamp
from trunkline_producers.webhooks.request import WebhookRequest

DigestName = Literal["sha1", "sha256", "sha512"]

MAX_SIGNATURES: Final = 16  # what a header may make us compute


@dataclass(frozen=True, slots=True)
class SignatureHeader:
    """Where signatures stand: all of a header after `prefix`, or those items of a list that have the tag."""

    header: str
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"
    separator: str = ""
    tag: str = ""
    tag_separator: str = "="

    def items(self, request: WebhookRequest) -> list[tuple[str, str]]:
        """The items of the header, each with its tag ("" without). Raises Unverified for a missing header."""
        text = request.headers.get(self.header, "").strip(" \t")
        if not text:
            raise Unverified(Reason.missing_signature, f"the header {self.header} is missing")
        if not text.startswith(self.prefix):
            raise Unverified(Reason.malformed_signature, f"the header {self.header} does not begin with its prefix")
        texts = text[len(self.prefix) :].split(self.separator) if self.separator else [text[len(self.prefix) :]]
        return [self._tagged(each.strip(" \t")) for each in texts]

    def signatures(self, items: list[tuple[str, str]]) -> list[bytes]:
        """The signatures among the items, undecodable ones left out. Raises Unverified where none is left.

        Items of other tags don't count: a sender's older scheme beside the newer must not be what decides.
        """
        mine = [text for tag, text in items if tag == self.tag][:MAX_SIGNATURES]
        decode = from_hex if self.encoding == "hex" else from_base64
        decoded = [signature for text in mine if (signature := decode(text)) is not None]
        if not decoded:
            raise Unverified(Reason.malformed_signature, f"the header {self.header} holds no signature in its form")
        return decoded

    def _tagged(self, item: str) -> tuple[str, str]:
        if not self.tag:
            return "", item
        tag, _, value = item.partition(self.tag_separator)
        return tag, value


@dataclass(frozen=True, slots=True)
class _OverMessage(ABC):
    where: SignatureHeader
    message: Message
    timestamp: Timestamp | None = None
    key_encoding: Encoding | None = None
    challenge: ClassVar[str | None] = None
    keys_are: ClassVar[KeyKind] = KeyKind.shared

    @property
    def uses_url(self) -> bool:
        """Whether the message holds the URL."""
        return self.message.uses_url

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that a signature was made with. Raises Unverified."""
        items = self.where.items(request)
        signatures = self.where.signatures(items)
        stamp = self.timestamp.beside(request, items) if self.timestamp else None
        text = stamp.text if stamp else ""
        for key in active(keys, now):
            for message in self.message.candidates(request, text, key.secret):
                if self._made(signatures, message, key):
                    if self.timestamp:
                        self.timestamp.window.check((stamp or self.timestamp.within(request)).at, now)
                    return key
        raise Unverified(Reason.bad_signature, "no key made this signature over this request")

    @abstractmethod
    def _made(self, signatures: list[bytes], message: bytes, key: Key) -> bool:
        """Whether the key made one of the signatures over the message."""


@dataclass(frozen=True, slots=True)
class Hmac(_OverMessage):
    """HMAC with a shared key."""

    digest: DigestName = "sha256"

    def _made(self, signatures: list[bytes], message: bytes, key: Key) -> bool:
        return equals_one(hmac.digest(key.secret, message, self.digest), signatures)


@dataclass(frozen=True, slots=True)
class Digest(_OverMessage):
    """A plain hash of a message that holds the key: no MAC, for vendors who have nothing better."""

    digest: DigestName = "sha256"

    def _made(self, signatures: list[bytes], message: bytes, key: Key) -> bool:
        del key
        return equals_one(hashlib.new(self.digest, message).digest(), signatures)


@dataclass(frozen=True, slots=True)
class Ed25519(_OverMessage):
    """Ed25519 with the sender's public key."""

    keys_are: ClassVar[KeyKind] = KeyKind.ed25519

    def _made(self, signatures: list[bytes], message: bytes, key: Key) -> bool:
        return any(ed25519_made(signature, message, key.secret) for signature in signatures)


def equals_one(expected: bytes, signatures: list[bytes]) -> bool:
    """Whether one of the signatures is the expected one; the message is hashed once, however many were sent."""
    return any(hmac.compare_digest(expected, signature) for signature in signatures)


def ed25519_made(signature: bytes, message: bytes, public_key: bytes) -> bool:
    """Whether the holder of the key's other half made this signature; never raises for bytes of any length."""
    try:
        VerifyKey(public_key).verify(message, signature)
    except (CryptoError, ValueError):
        return False
    return True
