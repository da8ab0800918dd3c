"""A section for every type of source that there is: what it asks for, and no more."""

from __future__ import annotations

from typing import Any

from support.receivers import secret

OPEN = {"verify": {"scheme": "none"}}
KEYED: dict[str, Any] = {
    "generic": {"verify": {"scheme": "bearer"}, "number": "number"},
    "native": {"verify": {"scheme": "bearer"}},
    "cloudevents": {"verify": {"scheme": "bearer"}},
    "bandwidth": {"verify": {"username": "bandwidth"}},
    "pipedrive": {"verify": {"username": "pipedrive"}, "field": "phones"},
    "hubspot": {"property": "phone"},
    "salesforce": {"field": "Phone", "organization_ids": ["00Dxx0000000000EAA"]},
    "close": {"field": "phones"},
    "attio": {"field": "phone"},
    "didww": {"api": {"key": secret("k")}},
    **{
        name: {"number": "number"}
        for name in ("github-style", "stripe-style", "signalwire", "vonage", "plivo", "bland")
    },
}
PUBLIC = "MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg="
KEYS: dict[str, Any] = {
    "telnyx": [{"public": PUBLIC}],
    "close": [secret("00" * 32)],
    "standard-webhooks": [secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
    "svix": [secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
}


def table(kind: str, **more: Any) -> dict[str, Any]:
    """A section of a type that has no mistakes."""
    keys = {} if kind == "gohighlevel" else {"keys": KEYS.get(kind, [secret("k")])}
    return {"type": kind, **keys, **KEYED.get(kind, {}), **more}


def opened(kind: str) -> dict[str, Any]:
    """A section of a type that verifies nothing."""
    return {key: value for key, value in table(kind).items() if key != "keys"} | OPEN
