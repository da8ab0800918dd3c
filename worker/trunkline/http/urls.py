"""Checks of URLs that stand in a configuration; no mistake repeats one, since it may hold a password."""

from typing import Final
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from trunkline.schema import fault

_REDIS_SCHEMES: Final = {"redis", "rediss", "unix"}


_NOT_A_REDIS_URL: Final = (
    "must be a URL such as redis://127.0.0.1:6379/0, rediss://host:6379/0 or unix:///run/redis.sock"
)


def redis_url(text: str) -> SecretStr:
    """The URL of a Redis, which may hold a password. Raises a mistake that never repeats it."""
    parts = _split(text)
    if parts is None or parts.scheme not in _REDIS_SCHEMES or not (parts.hostname or parts.scheme == "unix"):
        raise fault(_NOT_A_REDIS_URL)
    return SecretStr(text)


def http_url(text: str) -> str:
    """A base URL without its last slash. Raises a mistake that never repeats it."""
    return absolute_url(text).rstrip("/")


def absolute_url(text: str, *, may_hold_password: bool = False) -> str:
    """A whole URL, as it is, without a query. Raises a mistake that never repeats it."""
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise fault("must be a URL such as https://api.example.com")
    if not may_hold_password and (parts.username is not None or parts.password is not None):
        raise fault("must not hold a user or a password")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise fault("must not have a part after ? or #")
    return text


def api_url(text: str) -> str:
    """The base URL of the API; `/v1` belongs to the paths, so at the end of it it is left out."""
    return http_url(text).removesuffix("/v1").rstrip("/")


def on_loopback(url: str) -> bool:
    """Whether a URL stays on this machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return None if any(char.isspace() or not char.isprintable() for char in text) else parts
