"""SIP endpoints as the attach page takes them: `sip:host`, and for inbound also the bare host."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

_SHAPE: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?!\d+(?:;|$)))?"
    r"(?:(?P<user>[^@]*)@)?"
    r"(?P<host>\[[^\]]*\]|[^\[\]:;?@]*)"
    r"(?::(?P<port>[^;?]*))?"
    r"(?P<params>;[^?]*)?"
    r"(?P<query>\?.*)?"
)
_USER: Final = re.compile(r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_PARAMS: Final = re.compile(
    r"(?:;(?:[\w.!~*'()\[\]/:&+$-]|%[0-9A-Fa-f]{2})+(?:=(?:[\w.!~*'()\[\]/:&+$-]|%[0-9A-Fa-f]{2})+)?)+", re.ASCII
)
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)


def endpoint_fault(text: str, *, bare_host: bool) -> str | None:
    """What is wrong with a SIP endpoint as a sentence, or None. The sentence never repeats the text.

    `bare_host` allows `host` or `host:port` without a scheme, as the page does for inbound.
    """
    if re.search(r"[\s\x00-\x20\x7f]", text):
        return "must not contain spaces or control characters"
    found = _SHAPE.fullmatch(text)
    if found is None:
        return _expected(bare_host)
    scheme, user = found["scheme"], found["user"]
    if scheme is None and not bare_host:
        return "must begin with sip: or sips:, as in sip:your.provider.com"
    if scheme is not None and scheme.lower() not in {"sip", "sips"}:
        return f"must be a SIP URI: {_expected(bare_host)}"
    if found["query"]:
        return "must not have a part after a question mark"
    return (
        _user_fault(user)
        or _host_fault(found["host"])
        or _port_fault(found["port"])
        or ("has parameters that are not ;name or ;name=value" if _bad(_PARAMS, found["params"]) else None)
    )


def endpoint_port(text: str) -> int | None:
    """The port that a valid endpoint names, if it does."""
    found = _SHAPE.fullmatch(text)
    return int(found["port"]) if found and found["port"] else None


def _expected(bare_host: bool) -> str:
    return "write sip:host or host" if bare_host else "write sip:host, as in sip:your.provider.com"


def _bad(shape: re.Pattern[str], text: str | None) -> bool:
    return text is not None and shape.fullmatch(text) is None


def _user_fault(user: str | None) -> str | None:
    if user is not None and ":" in user:
        return "must not hold a password; put it into options.sip_password as a secret"
    return "has a malformed user part before the @" if _bad(_USER, user) else None


def _host_fault(host: str) -> str | None:
    if not host:
        return "has no host"
    try:
        if host.startswith("["):
            IPv6Address(host[1:-1])
            return None
        labels = host.removesuffix(".").split(".")
        if labels[-1].isdigit():
            IPv4Address(host)
            return None
    except AddressValueError:
        return "has a malformed IP address as its host"
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return "has a malformed host name; only letters, digits, dashes and dots are allowed"
    return None


def _port_fault(port: str | None) -> str | None:
    if port is None or (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        return None
    return "has a port that is not 1 to 65535"
