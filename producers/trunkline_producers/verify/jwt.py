"""Bearer tokens that are JWTs signed with a shared key (HS256, HS384, HS512), such as Vonage's signed webhooks."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, ClassVar, Final, Literal, cast

from pydantic import Field, PlainValidator

from trunkline.schema import fault
from trunkline_producers.verify.encoding import octets
from trunkline_producers.verify.scheme import Encoding, Key, Reason, Scheme, Unverified, active
from trunkline_producers.verify.timestamps import DEFAULT_TOLERANCE_S, Tolerance, check_window
from trunkline_producers.verify.tokens import bearer_token
from trunkline_producers.webhooks.request import WebhookRequest

DIGESTS: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def _algorithms(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(item in list(DIGESTS) for item in value):
        raise fault(f"must be a list of {', '.join(DIGESTS)}")
    return tuple(value)


class Jwt(Scheme):
    """RFC 7519 with shared keys alone, so that no public key can pass for one; the algorithm `none` is not known.

    With `require_payload_hash` the claim payload_hash must be the body's SHA-256: without it a token says nothing about
    the body. `max_age_s` is the greatest age of `iat` in seconds, for vendors that set no `exp`.
    """

    challenge: ClassVar[str | None] = "Bearer"
    scheme: Literal["jwt"] = "jwt"
    algorithms: Annotated[tuple[str, ...], PlainValidator(_algorithms)] = ("HS256",)
    require_payload_hash: bool = True
    tolerance_s: Tolerance = DEFAULT_TOLERANCE_S
    max_age_s: Annotated[float, Field(gt=0, le=366 * 86400)] | None = None
    key_encoding: Encoding | None = None

    @property
    def keys_encoding(self) -> Encoding | None:
        """The encoding of keys that don't name their own."""
        return self.key_encoding

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that the token was signed with. Raises Unverified."""
        signing_input, _, last = bearer_token(request).rpartition(".")
        head, _, body = signing_input.partition(".")
        header, signature = _table(head), _from_base64url(last)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self.algorithms or "crit" in header:
            raise Unverified(Reason.malformed_signature, "the token's algorithm is not among the allowed ones")
        for key in active(keys, now):
            if hmac.compare_digest(hmac.digest(key.secret, octets(signing_input), DIGESTS[algorithm]), signature):
                self._check(_table(body), request, now)
                return key
        raise Unverified(Reason.bad_signature, "no key signed this token")

    def _check(self, claims: Mapping[str, object], request: WebhookRequest, now: float) -> None:
        self._check_times(claims, now)
        if self.require_payload_hash:
            claimed = claims.get("payload_hash")
            if not isinstance(claimed, str):
                raise Unverified(Reason.missing_signature, "the token has no payload_hash")
            if not hmac.compare_digest(octets(claimed.lower()), octets(sha256(request.body).hexdigest())):
                raise Unverified(Reason.bad_signature, "the token was made for another body")

    def _check_times(self, claims: Mapping[str, object], now: float) -> None:
        expires, begins, issued = (_seconds(claims, name) for name in ("exp", "nbf", "iat"))
        for moment in (begins, issued):
            if moment is not None:
                check_window(moment, now, future_s=self.tolerance_s)
        if expires is not None and now - expires > self.tolerance_s:
            raise Unverified(Reason.stale, "the token has expired")
        if self.max_age_s is not None:
            if issued is None:
                raise Unverified(Reason.missing_timestamp, "the token does not say when it was issued")
            check_window(issued, now, tolerance_s=self.max_age_s)


def _table(segment: str) -> Mapping[str, object]:
    try:
        table = json.loads(_from_base64url(segment))
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise Unverified(Reason.malformed_signature, "the token is no JWT")
    return cast("dict[str, object]", table)


def _from_base64url(segment: str) -> bytes:
    try:
        decoded = urlsafe_b64decode(segment.encode("ascii") + b"=" * (-len(segment) % 4))
        canonical = urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii") == segment
    except ValueError:
        canonical = False
    if not canonical:
        raise Unverified(Reason.malformed_signature, "the token is no JWT")
    return decoded


def _seconds(claims: Mapping[str, object], name: str) -> float | None:
    """A claim's unix seconds, None without the claim. Raises Unverified."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise Unverified(Reason.malformed_timestamp, f"the token's {name} is no time")
    return float(value)
