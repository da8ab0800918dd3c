"""The `verify` table of a source, read into its scheme."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, PlainValidator, ValidationError

from trunkline.errors import Mistake
from trunkline.schema import Fault, Text, fault, mistakes_of
from trunkline.text import did_you_mean
from trunkline_producers.verify.jwt import DIGESTS, Jwt
from trunkline_producers.verify.scheme import Encoding, Scheme
from trunkline_producers.verify.signature_config import (
    DigestTable,
    Ed25519Table,
    Header,
    HmacTable,
    SchemeTable,
    Tolerance,
)
from trunkline_producers.verify.standard_webhooks import StandardWebhooks
from trunkline_producers.verify.timestamps import DEFAULT_TOLERANCE_S, Window
from trunkline_producers.verify.tokens import Basic, Bearer, BodyToken, HeaderKey, Unsigned, UrlToken
from trunkline_producers.webhooks.expressions import ExpressionField


class StandardTable(SchemeTable):
    """Standard Webhooks."""

    scheme: Literal["standard-webhooks"] = "standard-webhooks"
    tolerance_s: Tolerance = DEFAULT_TOLERANCE_S
    future_s: Tolerance = DEFAULT_TOLERANCE_S

    def made(self) -> Scheme:
        """The scheme."""
        return StandardWebhooks(Window(self.tolerance_s, self.future_s))


def _algorithms(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(item in list(DIGESTS) for item in value):
        raise fault(f"must be a list of {', '.join(DIGESTS)}")
    return tuple(value)


class JwtTable(SchemeTable):
    """JWT by a shared key."""

    scheme: Literal["jwt"] = "jwt"
    algorithms: Annotated[tuple[str, ...], PlainValidator(_algorithms)] = ("HS256",)
    require_payload_hash: bool = True
    tolerance_s: Tolerance = DEFAULT_TOLERANCE_S
    max_age_s: Annotated[float, Field(gt=0, le=366 * 86400)] | None = None
    key_encoding: Encoding | None = None

    def made(self) -> Scheme:
        """The scheme."""
        return Jwt(self.algorithms, self.require_payload_hash, self.tolerance_s, self.max_age_s, self.key_encoding)


class BasicTable(SchemeTable):
    """User and password."""

    scheme: Literal["basic"] = "basic"
    username: Text

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """The colon ends the user."""
        if ":" in str(raw.get("username", "")):
            yield ("username",), "must not hold a colon, which HTTP has between user and password"

    def made(self) -> Scheme:
        """The scheme."""
        return Basic(self.username)


class BearerTable(SchemeTable):
    """A bearer token."""

    scheme: Literal["bearer"] = "bearer"

    def made(self) -> Scheme:
        """The scheme."""
        return Bearer()


class HeaderKeyTable(SchemeTable):
    """A key in a header."""

    scheme: Literal["header-key"] = "header-key"
    header: Header
    prefix: Text | None = None

    def made(self) -> Scheme:
        """The scheme."""
        return HeaderKey(self.header, self.prefix or "")


class BodyTokenTable(SchemeTable):
    """A token in the body."""

    scheme: Literal["body-token"] = "body-token"
    token: ExpressionField

    def made(self) -> Scheme:
        """The scheme."""
        return BodyToken(self.token)


class PathTokenTable(SchemeTable):
    """A token at the end of the path."""

    scheme: Literal["path-token"] = "path-token"

    def made(self) -> Scheme:
        """The scheme."""
        return UrlToken()


class QueryTokenTable(SchemeTable):
    """A token in the query."""

    scheme: Literal["query-token"] = "query-token"
    parameter: Text = "token"

    def made(self) -> Scheme:
        """The scheme."""
        return UrlToken(self.parameter)


class NoneTable(SchemeTable):
    """Nothing is verified."""

    scheme: Literal["none"] = "none"

    def made(self) -> Scheme:
        """The scheme."""
        return Unsigned()


TABLES: Final[Mapping[str, type[SchemeTable]]] = {
    "hmac": HmacTable,
    "ed25519": Ed25519Table,
    "standard-webhooks": StandardTable,
    "digest": DigestTable,
    "jwt": JwtTable,
    "basic": BasicTable,
    "bearer": BearerTable,
    "header-key": HeaderKeyTable,
    "body-token": BodyTokenTable,
    "path-token": PathTokenTable,
    "query-token": QueryTokenTable,
    "none": NoneTable,
}


def read_scheme(raw: object, place: str) -> tuple[Scheme | None, list[Mistake]]:
    """The scheme of a verify table, or None with every mistake, each under `place`; raises nothing."""
    if not isinstance(raw, Mapping):
        return None, [Mistake(place, 'must be a table: { scheme = "…" }')]
    name = raw.get("scheme")
    if not isinstance(name, str) or name not in TABLES:
        close = did_you_mean(name, TABLES) if isinstance(name, str) else ""
        return None, [Mistake(f"{place}.scheme", f"must be one of {', '.join(TABLES)}{close}")]
    try:
        return TABLES[name].model_validate(raw).made(), []
    except ValidationError as error:
        return None, mistakes_of(error, place)
