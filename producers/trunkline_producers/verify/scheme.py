"""What every way of verifying a webhook promises: keys in, the key that matched out, one error with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hmac import compare_digest
from typing import Literal, Protocol

from trunkline.errors import TrunklineError
from trunkline_producers.webhooks.request import WebhookRequest

Encoding = Literal["utf8", "hex", "base64"]


class Reason(StrEnum):
    """Why a request was not believed. Credentials and tokens count as signatures here."""

    missing_signature = "missing_signature"
    malformed_signature = "malformed_signature"
    bad_signature = "bad_signature"
    missing_timestamp = "missing_timestamp"
    malformed_timestamp = "malformed_timestamp"
    stale = "stale"
    from_future = "from_future"


class Unverified(TrunklineError):
    """A request that can't be shown to come from its source. The sentence never holds what was sent, nor a secret."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class KeyKind(StrEnum):
    """What the keys of a scheme are, and so how they are written in the configuration."""

    shared = "shared"  # both sides have it: text, hex or base64
    ed25519 = "ed25519"  # a public key: 32 bytes in base64 or hex, or SPKI in PEM or base64
    standard = "standard"  # Standard Webhooks: whsec_, whpk_ or bare base64
    none = "none"


@dataclass(frozen=True, slots=True)
class Key:
    """One key, decoded. `not_before` and `not_after` are unix seconds, both inclusive; `public`: an Ed25519 key."""

    id: str
    secret: bytes = field(repr=False)
    not_before: float | None = None
    not_after: float | None = None
    public: bool = False


class Scheme(Protocol):
    """One source's way of showing that a request is its own."""

    @property
    def challenge(self) -> str | None:
        """What WWW-Authenticate says in a 401, where the scheme has such a header."""

    @property
    def uses_url(self) -> bool:
        """Whether the sender signed the URL as it knows it, so that the public URL must be configured."""

    @property
    def keys_are(self) -> KeyKind:
        """What kind of keys `read_keys` is to decode."""

    @property
    def key_encoding(self) -> Encoding | None:
        """How the sender shows its keys, for keys that don't say it themselves."""

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that matched; `now` in unix seconds. Raises Unverified, and nothing else, whatever was sent."""


def active(keys: Iterable[Key], now: float) -> list[Key]:
    """The keys that count at `now`. Raises Unverified where there is none."""
    counting = [
        key
        for key in keys
        if (key.not_before is None or key.not_before <= now) and (key.not_after is None or now <= key.not_after)
    ]
    if not counting:
        raise Unverified(
            Reason.bad_signature,
            "no key of this source counts now: set their secrets, and look at not_before and not_after",
        )
    return counting


def matching(sent: bytes, keys: Iterable[Key], now: float, *, what: str) -> Key:
    """The key that is itself what was sent, as with tokens and passwords. Raises Unverified."""
    for key in active(keys, now):
        if compare_digest(sent, key.secret):
            return key
    raise Unverified(Reason.bad_signature, f"{what} matches no key")
