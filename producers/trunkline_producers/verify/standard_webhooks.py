"""Standard Webhooks and Svix: v1 (HMAC) and v1a (Ed25519), several signatures and both families of headers."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import ClassVar, Final, Literal

from trunkline_producers.verify.encoding import from_base64, octets
from trunkline_producers.verify.scheme import Key, KeyKind, Reason, Scheme, Unverified, active
from trunkline_producers.verify.signatures import ed25519_made, equals_one
from trunkline_producers.verify.signed import MAX_SIGNATURES
from trunkline_producers.verify.timestamps import DEFAULT_TOLERANCE_S, Tolerance, check_window, read_stamp
from trunkline_producers.webhooks.request import WebhookRequest

FAMILIES: Final = ("webhook", "svix")


class StandardWebhooks(Scheme):
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""

    keys_are: ClassVar[KeyKind] = KeyKind.standard
    scheme: Literal["standard-webhooks"] = "standard-webhooks"
    tolerance_s: Tolerance = DEFAULT_TOLERANCE_S
    future_s: Tolerance = DEFAULT_TOLERANCE_S

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that one of the signatures was made with. Raises Unverified."""
        identity, sent_at, signature = _headers(request)
        signatures = _by_version(signature)
        stamp = read_stamp(sent_at, "s")
        message = octets(identity) + b"." + octets(stamp.text) + b"." + request.body
        for key in active(keys, now):
            if _made(signatures, message, key):
                check_window(stamp.at, now, tolerance_s=self.tolerance_s, future_s=self.future_s)
                return key
        raise Unverified(Reason.bad_signature, "no key made any of these signatures over this request")

    @staticmethod
    def id_header(request: WebhookRequest) -> str:
        """The header whose id is signed."""
        return f"{_family(request)}-id"


def _family(request: WebhookRequest) -> str:
    return next((each for each in FAMILIES if request.headers.get(f"{each}-signature")), FAMILIES[0])


def _headers(request: WebhookRequest) -> tuple[str, str, str]:
    """Id, timestamp and signature, all of one family. Raises Unverified for a missing one."""
    family = _family(request)
    identity, sent_at, signature = (
        request.headers.get(f"{family}-{name}", "").strip(" \t") for name in ("id", "timestamp", "signature")
    )
    if not identity or not signature:
        raise Unverified(Reason.missing_signature, f"the headers {family}-id and {family}-signature are not both there")
    return identity, sent_at, signature


def _by_version(header: str) -> dict[str, list[bytes]]:
    """The signatures by version, v1 and v1a. Raises Unverified if there is none of either."""
    found: dict[str, list[bytes]] = {"v1": [], "v1a": []}
    for item in header.split(" ")[:MAX_SIGNATURES]:
        version, _, text = item.rstrip(",").partition(",")  # a header that came twice has a comma between
        decoded = from_base64(text)
        if version in found and decoded is not None:
            found[version].append(decoded)
    if not any(found.values()):
        raise Unverified(Reason.malformed_signature, "there is no signature such as v1,<base64> or v1a,<base64>")
    return found


def _made(signatures: dict[str, list[bytes]], message: bytes, key: Key) -> bool:
    if key.public:
        return any(ed25519_made(signature, message, key.secret) for signature in signatures["v1a"])
    return equals_one(hmac.digest(key.secret, message, "sha256"), signatures["v1"])
