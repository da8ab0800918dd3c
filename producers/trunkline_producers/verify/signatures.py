"""Signatures in a header over a message: HMAC, plain digests with the key inside, Ed25519."""

from __future__ import annotations

import hashlib
import hmac
from typing import ClassVar, Literal

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from trunkline_producers.verify.scheme import Key, KeyKind
from trunkline_producers.verify.signed import MessageField, SignedScheme
from trunkline_producers.verify.signed_message import Part, Parts

DigestName = Literal["sha1", "sha256", "sha512"]


class Hmac(SignedScheme):
    """HMAC with a shared key."""

    scheme: Literal["hmac"] = "hmac"
    digest: DigestName = "sha256"

    def _made(self, signatures: list[bytes], message: bytes, key: Key) -> bool:
        return equals_one(hmac.digest(key.secret, message, self.digest), signatures)


class Digest(SignedScheme):
    """A plain hash of a message that holds the key: no MAC, for vendors who have nothing better."""

    holds_key: ClassVar[bool] = True
    scheme: Literal["digest"] = "digest"
    digest: DigestName = "sha256"
    signed: MessageField = Parts((Part("key"), Part("body")))

    def _made(self, signatures: list[bytes], message: bytes, key: Key) -> bool:
        del key
        return equals_one(hashlib.new(self.digest, message).digest(), signatures)


class Ed25519(SignedScheme):
    """Ed25519 with the sender's public key; vendors write the signature in base64."""

    keys_are: ClassVar[KeyKind] = KeyKind.ed25519
    scheme: Literal["ed25519"] = "ed25519"
    encoding: Literal["hex", "base64"] = "base64"

    def _made(self, signatures: list[bytes], message: bytes, key: Key) -> bool:
        return any(ed25519_made(signature, message, key.secret) for signature in signatures)


def equals_one(expected: bytes, signatures: list[bytes]) -> bool:
    """True if one of the signatures is the expected one; the message is hashed once, however many were sent."""
    return any(hmac.compare_digest(expected, signature) for signature in signatures)


def ed25519_made(signature: bytes, message: bytes, public_key: bytes) -> bool:
    """True if the private key of `public_key` made the signature; raises nothing, whatever the lengths."""
    try:
        VerifyKey(public_key).verify(message, signature)
    except (CryptoError, ValueError):
        return False
    return True
