"""Checks of configured URLs and of loopback addresses. No mistake repeats a URL, since it may hold a password."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from trunkline.schema import fault

_REDIS_SCHEMES: Final = {"redis", "rediss", "unix"}
_NOT_A_REDIS_URL: Final = (
    "must be a URL such as redis://127.0.0.1:6379/0, rediss://host:6379/0 or unix:///run/redis.sock"
)


def redis_url(text: str) -> SecretStr:
    """The URL of a Redis server, which may hold a password. Raises a mistake."""
    parts = _split(text)
    if parts is None or parts.scheme not in _REDIS_SCHEMES or not (parts.hostname or parts.scheme == "unix"):
        raise fault(_NOT_A_REDIS_URL)
    return SecretStr(text)


def http_url(text: str) -> str:
    """A base URL without its last slash. Raises a mistake."""
    return absolute_url(text).rstrip("/")


def absolute_url(text: str, *, may_hold_password: bool = False) -> str:
    """An absolute http or https URL without a query, unchanged. Raises a mistake."""
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise fault("must be a URL such as https://api.example.com")
    if "@" in parts.netloc and not may_hold_password:
        raise fault("must not hold a user or a password")
    if "?" in text or "#" in text:
        raise fault("must not have a part after ? or #")
    return text


def api_url(text: str) -> str:
    """The base URL of Bland's API. A `/v1` at its end is dropped, since it belongs to the paths. Raises a mistake."""
    return http_url(text).removesuffix("/v1").rstrip("/")


def on_loopback(url: str) -> bool:
    """True for a URL whose host is `localhost` or a loopback address."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or is_loopback(host)


def is_loopback(address: str) -> bool:
    """True for an address in 127.0.0.0/8 and for ::1; False for any other address and for what is no address."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    if any(char.isspace() or not char.isprintable() for char in text):
        return None
    return parts
