"""Reading of a source's table `verify` as the scheme that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from trunkline.errors import Mistake
from trunkline.schema import mistakes_of
from trunkline.text import did_you_mean
from trunkline_producers.verify.jwt import Jwt
from trunkline_producers.verify.scheme import Scheme
from trunkline_producers.verify.signatures import Digest, Ed25519, Hmac
from trunkline_producers.verify.standard_webhooks import StandardWebhooks
from trunkline_producers.verify.tokens import Basic, Bearer, BodyToken, HeaderKey, PathToken, QueryToken, Unsigned

SCHEMES: Final[Mapping[str, type[Scheme]]] = {
    "hmac": Hmac,
    "ed25519": Ed25519,
    "standard-webhooks": StandardWebhooks,
    "digest": Digest,
    "jwt": Jwt,
    "basic": Basic,
    "bearer": Bearer,
    "header-key": HeaderKey,
    "body-token": BodyToken,
    "path-token": PathToken,
    "query-token": QueryToken,
    "none": Unsigned,
}


def read_scheme(raw: object, place: str) -> tuple[Scheme | None, list[Mistake]]:
    """The scheme of a table `verify`, or None with every mistake, each under `place`. Raises nothing."""
    if not isinstance(raw, Mapping):
        return None, [Mistake(place, 'must be a table: { scheme = "…" }')]
    name = raw.get("scheme")
    if not isinstance(name, str) or name not in SCHEMES:
        close = ""
        if isinstance(name, str):
            close = did_you_mean(name, SCHEMES)
        return None, [Mistake(f"{place}.scheme", f"must be one of {', '.join(SCHEMES)}{close}")]
    try:
        return SCHEMES[name].model_validate(raw), []
    except ValidationError as error:
        return None, mistakes_of(error, place)
