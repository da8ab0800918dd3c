"""Shared keys that are sent themselves: passwords, bearer tokens, API keys, tokens in the body or in the URL."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, Literal
from urllib.parse import unquote_to_bytes

from trunkline.schema import Fault, Text
from trunkline_producers.verify.encoding import FORM, cut, from_base64, octets, only, query_fields
from trunkline_producers.verify.scheme import Header, Key, KeyKind, Reason, Scheme, Unverified, active, matching
from trunkline_producers.webhooks.bodies import Unreadable, read_form, read_json
from trunkline_producers.webhooks.expressions import ExpressionFailed, ExpressionField
from trunkline_producers.webhooks.request import WebhookRequest

UNVERIFIED_KEY: Final = Key("none", b"")


class TokenScheme(Scheme):
    """The sender sends the key itself, for the whole request."""

    @property
    def covers_query(self) -> bool:
        """Always true: the query came with the key."""
        return True


class Basic(TokenScheme):
    """A user and a password (RFC 7617), in UTF-8; the keys are the passwords."""

    challenge: ClassVar[str | None] = 'Basic realm="trunkline"'
    scheme: Literal["basic"] = "basic"
    username: Text

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """Check that the user holds no colon."""
        if ":" in str(raw.get("username", "")):
            yield ("username",), "must not hold a colon, which HTTP has between user and password"

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


class Bearer(TokenScheme):
    """`Authorization: Bearer …` (RFC 6750)."""

    challenge: ClassVar[str | None] = "Bearer"
    scheme: Literal["bearer"] = "bearer"

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that was sent. Raises Unverified."""
        return matching(octets(bearer_token(request)), keys, now, what="the bearer token")


class HeaderKey(TokenScheme):
    """A header that holds the key, after `prefix`."""

    scheme: Literal["header-key"] = "header-key"
    header: Header
    prefix: Text = ""

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that was sent. Raises Unverified."""
        text = request.headers.get(self.header, "").strip(" \t")
        if not text:
            raise Unverified(Reason.missing_signature, f"the header {self.header} is missing")
        if not text.startswith(self.prefix):
            raise Unverified(Reason.malformed_signature, f"the header {self.header} does not begin with its prefix")
        return matching(octets(text.removeprefix(self.prefix)), keys, now, what=f"the header {self.header}")


class BodyToken(TokenScheme):
    """A field of the body, JSON or a form, that holds the key. XML takes too long to read before it is verified."""

    scheme: Literal["body-token"] = "body-token"
    token: ExpressionField

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that was sent. Raises Unverified."""
        value = None
        if request.body:
            with suppress(Unreadable, ExpressionFailed):
                value = self.token.search(_fields(request))
        if value is None or value == "":
            raise Unverified(Reason.missing_signature, f"the body has no {self.token.text}")
        if not isinstance(value, str):
            raise Unverified(Reason.malformed_signature, f"the body's {self.token.text} is not text")
        return matching(value.encode("utf-8", "surrogatepass"), keys, now, what=f"the body's {self.token.text}")


class PathToken(TokenScheme):
    """The key follows /hooks/{source}/ at the end of the path."""

    scheme: Literal["path-token"] = "path-token"

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that was sent. Raises Unverified."""
        return _url_key(_last_segment(request), keys, now)


class QueryToken(TokenScheme):
    """A field of the query that holds the key."""

    scheme: Literal["query-token"] = "query-token"
    parameter: Text = "token"

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """The key that was sent. Raises Unverified."""
        return _url_key(only(query_fields(request), self.parameter), keys, now)


class Unsigned(TokenScheme):
    """No verification at all, for sources behind something else that verifies."""

    keys_are: ClassVar[KeyKind] = KeyKind.none
    scheme: Literal["none"] = "none"

    def verify(self, request: WebhookRequest, keys: Sequence[Key], now: float) -> Key:
        """Always the same key, whose id is "none"."""
        del request, keys, now
        return UNVERIFIED_KEY


def bearer_token(request: WebhookRequest) -> str:
    """The credentials after `Bearer`. Raises Unverified."""
    return _credentials(request, "bearer")


def _credentials(request: WebhookRequest, scheme: Literal["basic", "bearer"]) -> str:
    said, _, credentials = request.headers.get("authorization", "").strip(" \t").partition(" ")
    if said.lower() != scheme or not credentials.strip(" "):
        raise Unverified(Reason.missing_signature, f"there are no {scheme.capitalize()} credentials")
    return credentials.strip(" ")


def _fields(request: WebhookRequest) -> Any:
    if request.media_type == FORM:
        return read_form(request.body)
    return read_json(request.body)


def _url_key(sent: bytes | None, keys: Sequence[Key], now: float) -> Key:
    if not sent:
        raise Unverified(Reason.missing_signature, "the URL has no token")
    return matching(sent, keys, now, what="the URL's token")


def _last_segment(request: WebhookRequest) -> bytes | None:
    segments = cut(request.url).path.split("/")
    if len(segments) < 3 or segments[-3] != "hooks":
        return None
    return unquote_to_bytes(octets(segments[-1]))
