"""The base of all verification schemes: a table of the configuration that verifies requests with keys."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hmac import compare_digest
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator

from trunkline.errors import TrunklineError
from trunkline.schema import Table, fault
from trunkline_producers.webhooks.request import WebhookRequest

Encoding = Literal["utf8", "hex", "base64"]

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)


def _header(text: str) -> str:
    if not _HEADER.fullmatch(text):
        raise fault("must be the name of a header, such as X-Signature")
    return text.lower()


Header = Annotated[str, AfterValidator(_header)]


class Reason(StrEnum):
    """The reason for not believing a request. Credentials and tokens count as signatures."""

    missing_signature = "missing_signature"
    malformed_signature = "malformed_signature"
    bad_signature = "bad_signature"
    missing_timestamp = "missing_timestamp"
    malformed_timestamp = "malformed_timestamp"
    stale = "stale"
    from_future = "from_future"


class Unverified(TrunklineError):
    """A request that was not verified. The sentence holds neither what was sent nor a secret."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class KeyKind(StrEnum):
    """The kind of a scheme's keys, which says how they are written in the configuration."""

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

    def counts_at(self, now: float) -> bool:
        """True within `not_before` and `not_after`."""
        begun = self.not_before is None or self.not_before <= now
        return begun and (self.not_after is None or now <= self.not_after)


class Scheme(Table):
    """One way of verifying requests: a table `verify`, whose field `scheme` names it."""

    what: ClassVar[str] = "verify with this scheme"
    challenge: ClassVar[str | None] = None  # WWW-Authenticate of a 401, None without one
    keys_are: ClassVar[KeyKind] = KeyKind.shared
    scheme: str

    @property
    def uses_url(self) -> bool:
        """True if the sender signs the URL as it knows it, so that the public URL must be configured."""
        return False

    @property
    def covers_query(self) -> bool:
        """True if the query is as trustworthy as the body: both are signed, or both came with the key."""
        return self.uses_url

    @property
    def keys_encoding(self) -> Encoding | None:
        """The encoding of keys that don't name their own."""
        return None

    @abstractmethod
    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that matched; `now` is in unix seconds. Raises Unverified and nothing else, whatever was sent."""


def active(keys: Iterable[Key], now: float) -> list[Key]:
    """The keys that count at `now`. Raises Unverified if there is none."""
    counting = [key for key in keys if key.counts_at(now)]
    if not counting:
        raise Unverified(
            Reason.bad_signature,
            "no key of this source counts now: set their secrets, and look at not_before and not_after",
        )
    return counting


def matching(sent: bytes, keys: Iterable[Key], now: float, *, what: str) -> Key:
    """The key that equals `sent`, a token or a password; `what` names it in the error. Raises Unverified."""
    for key in active(keys, now):
        if compare_digest(sent, key.secret):
            return key
    raise Unverified(Reason.bad_signature, f"{what} matches no key")
