"""Shared keys that are sent themselves: passwords, bearer tokens, API keys, tokens in the body or in the URL."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal
from urllib.parse import unquote_to_bytes

from trunkline_producers.verify.encoding import FORM, cut, from_base64, octets, only, query_fields
from trunkline_producers.verify.scheme import Encoding, Key, KeyKind, Reason, Scheme, Unverified, active, matching
from trunkline_producers.webhooks.bodies import Unreadable, read_form, read_json
from trunkline_producers.webhooks.expressions import Expression, ExpressionFailed
from trunkline_producers.webhooks.request import WebhookRequest

UNVERIFIED_KEY: Final = Key("none", b"")


@dataclass(frozen=True, slots=True)
class _Token:
    """What these schemes have in common."""

    challenge: ClassVar[str | None] = None
    uses_url: ClassVar[bool] = False
    key_encoding: ClassVar[Encoding | None] = None
    keys_are: ClassVar[KeyKind] = KeyKind.shared


@dataclass(frozen=True, slots=True)
class Basic(_Token):
    """A user and a password (RFC 7617), in UTF-8; the keys are the passwords."""

    username: str
    challenge: ClassVar[str | None] = 'Basic realm="trunkline"'

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that is the password. Raises Unverified."""
        decoded = from_base64(_credentials(request, "basic"))
        if decoded is None or b":" not in decoded:
            raise Unverified(Reason.malformed_signature, "the Basic credentials are not base64 of user:password")
        user, _, password = decoded.partition(b":")
        known = hmac.compare_digest(user, self.username.encode("utf-8"))
        found = [key for key in active(keys, now) if hmac.compare_digest(password, key.secret)]
        if not known or not found:
            raise Unverified(Reason.bad_signature, "the user and the password match no key")
        return found[0]


@dataclass(frozen=True, slots=True)
class Bearer(_Token):
    """`Authorization: Bearer …` (RFC 6750)."""

    challenge: ClassVar[str | None] = "Bearer"

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that was sent. Raises Unverified."""
        return matching(octets(bearer_token(request)), keys, now, what="the bearer token")


@dataclass(frozen=True, slots=True)
class HeaderKey(_Token):
    """A header that holds the key, after `prefix`."""

    header: str
    prefix: str = ""

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that was sent. Raises Unverified."""
        text = request.headers.get(self.header, "").strip(" \t")
        if not text:
            raise Unverified(Reason.missing_signature, f"the header {self.header} is missing")
        if not text.startswith(self.prefix):
            raise Unverified(Reason.malformed_signature, f"the header {self.header} does not begin with its prefix")
        return matching(octets(text[len(self.prefix) :]), keys, now, what=f"the header {self.header}")


@dataclass(frozen=True, slots=True)
class BodyToken(_Token):
    """A field of the body, JSON or a form, that holds the key. (XML takes longer than strangers may ask for.)"""

    token: Expression

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that was sent. Raises Unverified."""
        try:
            value = self.token.search(_fields(request)) if request.body else None
        except (Unreadable, ExpressionFailed):
            value = None
        if value is None or value == "":
            raise Unverified(Reason.missing_signature, f"the body has no {self.token.text}")
        if not isinstance(value, str):
            raise Unverified(Reason.malformed_signature, f"the body's {self.token.text} is not text")
        return matching(value.encode("utf-8", "surrogatepass"), keys, now, what=f"the body's {self.token.text}")


@dataclass(frozen=True, slots=True)
class UrlToken(_Token):
    """A query field that holds the key, or, with no `parameter`, what follows /hooks/{source}/ in the path."""

    parameter: str = ""

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that was sent. Raises Unverified."""
        sent = only(query_fields(request), self.parameter) if self.parameter else _last_segment(request)
        if not sent:
            raise Unverified(Reason.missing_signature, "the URL has no token")
        return matching(sent, keys, now, what="the URL's token")


@dataclass(frozen=True, slots=True)
class Unsigned:
    """No verification at all, for sources behind something else that verifies."""

    challenge: ClassVar[str | None] = None
    uses_url: ClassVar[bool] = False
    key_encoding: ClassVar[Encoding | None] = None
    keys_are: ClassVar[KeyKind] = KeyKind.none

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """Always the same key, whose id is "none"."""
        del request, keys, now
        return UNVERIFIED_KEY


def covers_query(scheme: Scheme) -> bool:
    """Whether the query is to be believed as the body is: both are signed, or both came with the key."""
    return scheme.uses_url or isinstance(scheme, _Token | Unsigned)


def bearer_token(request: WebhookRequest) -> str:
    """What follows `Bearer`. Raises Unverified."""
    return _credentials(request, "bearer")


def _credentials(request: WebhookRequest, scheme: Literal["basic", "bearer"]) -> str:
    said, _, credentials = request.headers.get("authorization", "").strip(" \t").partition(" ")
    if said.lower() != scheme or not credentials.strip(" "):
        raise Unverified(Reason.missing_signature, f"there are no {scheme.capitalize()} credentials")
    return credentials.strip(" ")


def _fields(request: WebhookRequest) -> Any:
    return read_form(request.body) if request.media_type == FORM else read_json(request.body)


def _last_segment(request: WebhookRequest) -> bytes | None:
    segments = cut(request.url).path.split("/")
    return unquote_to_bytes(octets(segments[-1])) if len(segments) > 2 and segments[-3] == "hooks" else None
