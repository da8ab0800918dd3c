"""The keys of a source: tables of the configuration, decoded for its scheme."""

from __future__ import annotations

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
    shown_variable,
)
from trunkline_producers.verify.key_decoding import DECODERS
from trunkline_producers.verify.scheme import Encoding, Key, KeyKind, Scheme

NO_KEYS: Final = 'must be a list of at least one key, such as [{ env = "NAME" }]'
_ASYMMETRIC: Final = {KeyKind.ed25519, KeyKind.standard}


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise fault("must have a time zone, such as 2026-01-31T00:00:00Z")
    return moment


def _public(value: object, info: ValidationInfo) -> str | Secret:
    if isinstance(value, str) and value:
        return value
    return read_secret(value, info)


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
        """Check that there is either `key` or `public`, and that the key ends after it begins."""
        if ("key" in raw) == ("public" in raw):
            yield (), 'must have either key = { env = "NAME" } or, for a public key, public = "…"'
        first, last = raw.get("not_before"), raw.get("not_after")
        if not isinstance(first, datetime) or not isinstance(last, datetime):
            return
        if first.tzinfo and last.tzinfo and last < first:
            yield ("not_after",), "is before not_before"


def read_keys(raw: object, scheme: Scheme, place: str, *, need_secrets: bool) -> tuple[tuple[Key, ...], list[Mistake]]:
    """The keys and every mistake, each under `place`. Raises nothing.

    An empty secret counts as not set: a mistake with `need_secrets`, else that key is left out.
    """
    if scheme.keys_are is KeyKind.none:
        return (), _no_key_is_used(raw, place)
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
            continue
        except ValueError as error:
            mistakes.append(Mistake(where, str(error)))
            continue
        if key and keys.setdefault(key.id, key) is not key:
            mistakes.append(Mistake(where, "has the id of another key; give it an id of its own"))
    return tuple(keys.values()), mistakes


def _no_key_is_used(raw: object, place: str) -> list[Mistake]:
    if not raw:
        return []
    return [Mistake(place, 'must not be there with scheme = "none"')]


def _as_table(item: object) -> object:
    if isinstance(item, str):
        raise ValueError(NOT_A_REFERENCE)  # noqa: TRY004 - a mistake in the file, not in the code
    if isinstance(item, Secret) or (isinstance(item, Mapping) and is_reference(item)):
        return {"key": item}
    return item


def _key(table: KeyTable, scheme: Scheme, fallback: str, *, need_secrets: bool) -> Key | None:
    """The key of a table, None if its secret is not set. Raises ValueError, which says what to do."""
    public = table.public is not None
    if public and scheme.keys_are not in _ASYMMETRIC:
        raise ValueError('must be a secret: this scheme has no public keys; write key = { env = "NAME" }')
    given = table.public or table.key
    if isinstance(given, Secret):
        text, identity = given.value.get_secret_value(), given.ref.partition(":")[2]
        if not text and need_secrets:
            raise ValueError(_unset(given))
    else:
        text, identity = _in_clear(str(given), scheme), fallback
    if not text:
        return None
    decoded, public = DECODERS[scheme.keys_are](text, table.encoding or scheme.keys_encoding, public=public)
    return Key(table.id or identity, decoded, _seconds(table.not_before), _seconds(table.not_after), public)


def _in_clear(text: str, scheme: Scheme) -> str:
    """The text of a public key that stands in the file. Raises ValueError if it may be a secret."""
    if scheme.keys_are is KeyKind.standard and not text.startswith("whpk_"):
        raise ValueError('must begin with whpk_, as public keys do here; a secret is { env = "NAME" }')
    return text


def _unset(secret: Secret) -> str:
    """The sentence that says what to set."""
    kind, _, name = secret.ref.partition(":")
    if kind == "file":
        return "the file of this key can't be read or is empty; write the key into it"
    return f"{shown_variable(name)} is not set; set it"


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return moment.timestamp()
