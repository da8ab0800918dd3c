"""Who may use /v1: whoever has the token; without one, programs of this very machine."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from trunkline_producers.receiver.responses import Reply, problem

_PROXIED: Final = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "cf-connecting-ip",
)  # fmt: skip
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_BEARER: Final = "bearer "


def refusal(token: str | None, peer: str | None, headers: Mapping[str, str], *, public: bool = False) -> Reply | None:
    """The reply to whoever may not, None for whoever may. `peer` is the address of the other end, if it has one.

    Without a token only this machine may, and only by a local name and not through a proxy or another site's page:
    behind a proxy, and in a browser, everybody comes from this machine. So nobody may where the receiver is `public`,
    as a proxy need not say that it is one.
    """
    if token is not None:
        given = headers.get("authorization", "")
        presented = given[len(_BEARER) :].strip() if given.lower().startswith(_BEARER) else ""
        if token and hmac.compare_digest(presented.encode("utf-8", "surrogateescape"), token.encode()):
            return None
        reply = problem(401, "unauthorized", "A bearer token is needed", "Send it as Authorization: Bearer …")
        return reply.with_headers(("www-authenticate", "Bearer"))
    local = not public and _is_loopback(peer) and not any(name in headers for name in _PROXIED)
    host = headers.get("host", "")
    named = host.lower() in _LOCAL_NAMES or host.rpartition(":")[0].lower() in _LOCAL_NAMES
    if local and named and "origin" not in headers:
        return None
    detail = "Without a token this answers on loopback only, and not with a public_url; set token under [server]."
    return problem(403, "loopback_only", "Not from here", detail)


def _is_loopback(peer: str | None) -> bool:
    if peer is None:
        return True  # a Unix socket
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False
