"""The keys of a source: tables of the configuration, decoded as the scheme wants them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, PlainValidator, ValidationError, ValidationInfo

from trunkline.errors import Mistake
from trunkline.schema import (
    NOT_A_REFERENCE,
    Fault,
    Secret,
    SecretField,
    Table,
    Text,
    fault,
    is_reference,
    mistakes_of,
    read_secret,
)
from trunkline_producers.verify.key_decoding import DECODERS
from trunkline_producers.verify.scheme import Encoding, Key, KeyKind, Scheme

NO_KEYS: Final = 'must be a list of at least one key, such as [{ env = "NAME" }]'
_SURELY_A_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_ASYMMETRIC: Final = {KeyKind.ed25519, KeyKind.standard}


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise fault("must have a time zone, such as 2026-01-31T00:00:00Z")
    return moment


def _public(value: object, info: ValidationInfo) -> str | Secret:
    return value if isinstance(value, str) and value else read_secret(value, info)


class KeyTable(Table):
    """One key. `public` may stand in clear, as only public keys may; everything else is a secret's reference."""

    what: ClassVar[str] = "a key"
    key: SecretField | None = None
    public: Annotated[str | Secret, PlainValidator(_public)] | None = None
    id: Text | None = None
    encoding: Encoding | None = None
    not_before: Annotated[datetime, AfterValidator(_zoned)] | None = None
    not_after: Annotated[datetime, AfterValidator(_zoned)] | None = None

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """Either `key` or `public`, and an end after the beginning."""
        if ("key" in raw) == ("public" in raw):
            yield (), 'must have either key = { env = "NAME" } or, for a public key, public = "…"'
        first, last = raw.get("not_before"), raw.get("not_after")
        if isinstance(first, datetime) and isinstance(last, datetime) and _zones(first, last) and last < first:
            yield ("not_after",), "is before not_before"


def read_keys(raw: object, scheme: Scheme, place: str, *, need_secrets: bool) -> tuple[tuple[Key, ...], list[Mistake]]:
    """The keys and every mistake, each under `place`; raises nothing.

    A secret whose value is empty is not set: a mistake with `need_secrets`, else that key is left out.
    """
    if scheme.keys_are is KeyKind.none:
        return (), [Mistake(place, 'must not be there with scheme = "none"')] if raw else []
    if not isinstance(raw, list | tuple) or not raw:
        return (), [Mistake(place, NO_KEYS)]
    keys: dict[str, Key] = {}
    mistakes: list[Mistake] = []
    for index, item in enumerate(raw):
        where = f"{place}[{index}]"
        try:
            table = KeyTable.model_validate(_as_table(item))
            key = _key(table, scheme, f"keys[{index}]", need_secrets=need_secrets)
        except ValidationError as error:
            mistakes += mistakes_of(error, where)
        except ValueError as error:
            mistakes.append(Mistake(where, str(error)))
        else:
            if key and key.id in keys:
                mistakes.append(Mistake(where, "has the id of another key; give it an id of its own"))
            elif key:
                keys[key.id] = key
    return tuple(keys.values()), mistakes


def _as_table(item: object) -> object:
    if isinstance(item, str):
        raise ValueError(NOT_A_REFERENCE)  # noqa: TRY004 - a mistake in the file, not in the code
    bare = isinstance(item, Secret) or (isinstance(item, Mapping) and is_reference(item))
    return {"key": item} if bare else item


def _key(table: KeyTable, scheme: Scheme, fallback: str, *, need_secrets: bool) -> Key | None:
    """The key of a table, None where its secret is not set. Raises ValueError, which says what to do."""
    given = table.key if table.public is None else table.public
    public = table.public is not None
    if public and scheme.keys_are not in _ASYMMETRIC:
        raise ValueError('must be a secret: this scheme has no public keys; write key = { env = "NAME" }')
    text = given.value.get_secret_value() if isinstance(given, Secret) else given or ""
    if isinstance(given, Secret) and not text:
        if need_secrets:
            raise ValueError(_unset(given))
        return None
    if isinstance(table.public, str) and scheme.keys_are is KeyKind.standard and not text.startswith("whpk_"):
        raise ValueError('must begin with whpk_, as public keys do here; a secret is { env = "NAME" }')
    decoded, public = DECODERS[scheme.keys_are](text, table.encoding or scheme.keys_encoding, public=public)
    identity = table.id or (given.ref.partition(":")[2] if isinstance(given, Secret) else fallback)
    return Key(identity, decoded, _seconds(table.not_before), _seconds(table.not_after), public)


def _unset(secret: Secret) -> str:
    """What to set. Where somebody wrote the secret itself in place of its name, it is not repeated."""
    kind, _, name = secret.ref.partition(":")
    if kind == "file":
        return "the file of this key can't be read or is empty; write the key into it"
    named = (
        f"the environment variable {name}" if _SURELY_A_NAME.fullmatch(name) else "the environment variable named here"
    )
    return f"{named} is not set; set it"


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _zones(*moments: datetime) -> bool:
    return all(moment.tzinfo for moment in moments)
