"""How a carrier's API is reached: the table `[sources.NAME.api]`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, ValidationError

from trunkline.errors import Mistake
from trunkline.schema import Resolve, SecretField, Table, Text, fault, mistakes_of, refuse_secrets

CARRIERS: Final = MappingProxyType(  # a source's type -> whose API it is
    {"telnyx": "telnyx", "twilio": "twilio", "bandwidth": "bandwidth", "bandwidth-v2": "bandwidth", "didww": "didww"}
)
INVENTORIES: Final = ("telnyx", "twilio", "bandwidth")  # carriers that list what an account owns
TWILIO_AUDIT_LOG: Final = "https://monitor.twilio.com"

_URLS: Final = MappingProxyType(
    {
        "telnyx": "https://api.telnyx.com/v2",
        "twilio": "https://api.twilio.com",
        "bandwidth": "https://api.bandwidth.com/api",
        "didww": "https://api.didww.com/v3",
    }
)
_NEEDED: Final = MappingProxyType(
    {
        "twilio": {"account": 'is required: the account SID, "AC…"'},
        "bandwidth": {"account": "is required: the account's number", "user": "is required: the client id"},
    }
)
_MAX_PAGE_SIZE: Final = MappingProxyType({"telnyx": 250, "twilio": 1000, "bandwidth": 2500, "didww": 100})
_HOW: Final = '; write key = { env = "NAME" }'


def carrier_url(text: str) -> str:
    """A base URL without its last slash. It carries a key, so it is https unless it stays on this machine."""
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise fault("must be a URL such as https://api.example.com")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise fault("must not hold a user, a password, or a part after ? or #")
    if parts.scheme == "http" and not _on_loopback(parts.hostname):
        raise fault("is http, so the key would travel in clear; use https")
    return text.rstrip("/")


class ApiTable(Table):
    """A carrier's API: where, with which key, how long to wait for an answer, how many numbers a page.

    `user` is Twilio's API key SID (default: the account's own SID) or Bandwidth's client id, `account` Twilio's account
    SID or Bandwidth's account number. `auth` and `audit_url` are Bandwidth's and Twilio's alone.
    """

    what: ClassVar[str] = "a carrier's API"
    url: Annotated[str, AfterValidator(carrier_url)]
    key: SecretField
    user: Text | None = None
    account: Annotated[Text, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    timeout_s: float = Field(default=20.0, gt=0, le=600)
    page_size: int = Field(default=250, ge=1, le=2500)
    auth: Literal["oauth2", "basic"] = "oauth2"
    audit_url: Annotated[str, AfterValidator(carrier_url)] = TWILIO_AUDIT_LOG


def read_api(
    source: Mapping[str, object], place: str, *, resolve: Resolve = refuse_secrets
) -> tuple[ApiTable | None, list[Mistake]]:
    """The API of a source as it was written; None where it has no table `api`, or one with mistakes.

    `place` is the source's own (`sources.telnyx`). Secrets are Secret already, or references that `resolve` takes.
    """
    raw, place = source.get("api"), f"{place}.api"
    carrier = CARRIERS.get(str(source.get("type")))
    if raw is None:
        return None, []
    if not isinstance(raw, Mapping):
        return None, [Mistake(place, "must be a table")]
    if carrier is None:
        return None, [Mistake(place, f"is of no use here: only {', '.join(CARRIERS)} have an API that is asked")]
    mistakes = [Mistake(f"{place}.{name}", text) for name, text in _NEEDED.get(carrier, {}).items() if name not in raw]
    if "key" not in raw:
        mistakes.append(Mistake(f"{place}.key", f"is required{_HOW}"))
        raw = {**raw, "key": {"env": "missing"}}
    try:
        most = _MAX_PAGE_SIZE[carrier]
        given = {"url": _URLS[carrier], "page_size": most, **raw}
        table = ApiTable.model_validate(given, context={"resolve": resolve})
    except ValidationError as error:
        found = [mistake for mistake in mistakes_of(error, place) if mistake.place not in {m.place for m in mistakes}]
        return None, [*mistakes, *found]
    mistakes += _wrong(table, most, place)
    return (None, mistakes) if mistakes else (table, [])


def _wrong(table: ApiTable, most: int, place: str) -> list[Mistake]:
    mistakes = []
    if table.page_size > most:
        mistakes.append(Mistake(f"{place}.page_size", f"must be at most {most}"))
    if not table.key.value.get_secret_value().strip():
        mistakes.append(Mistake(f"{place}.key", f"is empty ({table.key.ref}); set it"))
    return mistakes


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return None if any(char.isspace() or not char.isprintable() for char in text) else parts


def _on_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")
