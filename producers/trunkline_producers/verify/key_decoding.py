"""Decoders from the text of a key to its bytes, one for each kind of keys. No error repeats the text."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Final

from trunkline_producers.verify.encoding import from_hex
from trunkline_producers.verify.scheme import Encoding, KeyKind

Decoded = tuple[bytes, bool]  # the bytes, and whether they are a public key

_SPKI_ED25519: Final = bytes.fromhex("302a300506032b6570032100")  # RFC 8410; the 32 bytes of the key follow
_NOT_ED25519: Final = "must be an Ed25519 public key: 32 bytes in base64 or hex, or PEM (-----BEGIN PUBLIC KEY-----)"
_PRIVATE: Final = "is a private key, which is the sender's alone; take the public one that belongs to it"


def shared(text: str, encoding: Encoding | None, *, public: bool = False) -> Decoded:
    """A key that both sides have: its text in UTF-8 unless told otherwise. Raises ValueError."""
    del public
    if "-----BEGIN " in text:
        raise ValueError("is a key in PEM, and this scheme wants a shared secret")
    match encoding:
        case "hex":
            decoded = from_hex(text.strip())
        case "base64":
            decoded = _base64(text)
        case _:
            decoded = text.encode("utf-8", "surrogatepass")
    if not decoded:
        raise ValueError(f"is not {encoding or 'text'}; look at the key and at its encoding")
    return decoded, False


def ed25519(text: str, encoding: Encoding | None, *, public: bool = True) -> Decoded:
    """A public key of 32 bytes in any of its usual forms. Raises ValueError."""
    del public
    if "PRIVATE KEY-----" in text:
        raise ValueError(_PRIVATE)
    packed = "".join(line.strip() for line in text.strip().splitlines() if not line.startswith("-----"))
    decode = _base64
    if encoding == "hex":
        decode = from_hex
    decoded = decode(packed)
    if decoded and decoded.startswith(_SPKI_ED25519):
        decoded = decoded.removeprefix(_SPKI_ED25519)
    if decoded is None or len(decoded) != 32:
        raise ValueError(_NOT_ED25519)
    return decoded, True


def standard(text: str, encoding: Encoding | None, *, public: bool = False) -> Decoded:
    """whsec_ and bare base64 are shared keys, whpk_ and PEM public ones. Raises ValueError."""
    text = text.strip()
    if text.startswith("whsk_"):
        raise ValueError(_PRIVATE)
    if public or text.startswith(("whpk_", "-----BEGIN ")):
        return ed25519(text.removeprefix("whpk_"), encoding)
    try:
        return shared(text.removeprefix("whsec_"), encoding or "base64")
    except ValueError:
        raise ValueError("must be whsec_ or whpk_ with base64 after it, as the sender shows it") from None


def _base64(text: str) -> bytes | None:
    """Decode base64 in either alphabet, with or without padding and line breaks; None for anything else."""
    packed = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except ValueError:
        return None


DECODERS: Final[Mapping[KeyKind, Callable[..., Decoded]]] = {
    KeyKind.shared: shared,
    KeyKind.ed25519: ed25519,
    KeyKind.standard: standard,
}
