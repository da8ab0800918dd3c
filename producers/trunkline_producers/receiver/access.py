"""Access to /v1: by the token, or without one from this machine alone."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from trunkline.http.urls import is_loopback
from trunkline_producers.receiver.responses import Reply, problem

_PROXIED: Final = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "cf-connecting-ip",
)  # fmt: skip
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_BEARER: Final = "bearer "


def refusal(token: str | None, peer: str | None, headers: Mapping[str, str], *, public: bool = False) -> Reply | None:
    """The reply that refuses a request, None if it is allowed. `peer` is the client's address, None on a Unix socket.

    Without a token only this machine is allowed, by a local name, not through a proxy and not from another site's page:
    behind a proxy, and in a browser, every request comes from this machine. With `public` nothing is allowed without a
    token, since a proxy need not announce itself.
    """
    if token is not None:
        if _presents(token, headers.get("authorization", "")):
            return None
        reply = problem(401, "unauthorized", "A bearer token is needed", "Send it as Authorization: Bearer …")
        return reply.with_headers(("www-authenticate", "Bearer"))
    if not public and (peer is None or is_loopback(peer)) and _asks_locally(headers):
        return None
    detail = "Without a token this answers on loopback only, and not with a public_url; set token under [server]."
    return problem(403, "loopback_only", "Not from here", detail)


def _presents(token: str, authorization: str) -> bool:
    presented = ""
    if authorization.lower().startswith(_BEARER):
        presented = authorization[len(_BEARER) :].strip()
    return bool(token) and hmac.compare_digest(presented.encode("utf-8", "surrogateescape"), token.encode())


def _asks_locally(headers: Mapping[str, str]) -> bool:
    """True for a request by a local name, not through a proxy and not from a page of another site."""
    host = headers.get("host", "").lower()
    named = host in _LOCAL_NAMES or host.rpartition(":")[0] in _LOCAL_NAMES
    return named and "origin" not in headers and not any(name in headers for name in _PROXIED)
