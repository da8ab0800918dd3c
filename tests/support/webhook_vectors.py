"""Signatures that vendors published, or that follow from what they document, each with the configuration it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlencode

from pydantic import SecretStr

from trunkline.schema import Secret
from trunkline_producers.verify import Key, Scheme, read_keys, read_scheme
from trunkline_producers.webhooks.request import WebhookRequest, headers_of

Vector = dict[str, Any]

VECTORS: list[Vector] = json.loads(
    Path(__file__).parents[1].joinpath("data").joinpath("webhook-signatures.json").read_text("utf-8")
)["vectors"]
URL = "https://hooks.example.com/hooks/vector"  # for schemes that don't sign it
NOW = 1_790_000_000  # for schemes without a clock


class Configured(TypedDict):
    """A source's tables as they stand in the file, the environment they refer to, the URL the sender signed."""

    verify: dict[str, Any]
    keys: list[dict[str, Any]]
    env: dict[str, str]
    url: str | None


def _hmac(header: str, **rest: Any) -> dict[str, Any]:
    return {"scheme": "hmac", "header": header, **rest}


_TWILIO = {"digest": "sha1", "encoding": "base64", "signed": "twilio"}
_TELNYX = {
    "scheme": "ed25519",
    "header": "telnyx-signature-ed25519",
    "signed": ["{timestamp}", "|", "{body}"],
    "timestamp": {"header": "telnyx-timestamp"},
}
_SINCH_APPLICATION = _hmac(
    "Authorization",
    prefix="application 669E367E-6BBA-48AB-AF15-266871C28135:",
    encoding="base64",
    signed=[
        "{method}\n",
        "{body_md5_base64}\n",
        "{header:content-type}\n",
        "x-timestamp:{header:x-timestamp}\n",
        "{path}",
    ],
)
VERIFY: dict[str, dict[str, Any]] = {
    "twilio-sha1": _hmac("X-Twilio-Signature", **_TWILIO),
    "signalwire-sha1-hex": _hmac("X-SignalWire-Signature", digest="sha1", signed=["{url}", "{body}"]),
    "signalwire-sha256-hex": _hmac("X-Signalwire-SHA256-Signature", signed=["{url}", "{body}"]),
    "standard-webhooks": {"scheme": "standard-webhooks"},
    "hub-signature-256": _hmac("X-Hub-Signature-256", prefix="sha256="),
    "hubspot-v1": {"scheme": "digest", "header": "X-HubSpot-Signature"},
    "hubspot-v2": {
        "scheme": "digest",
        "header": "X-HubSpot-Signature",
        "signed": ["{key}", "{method}", "{url}", "{body}"],
    },
    "hubspot-v3": _hmac(
        "X-HubSpot-Signature-v3",
        encoding="base64",
        signed=["{method}", "{url}", "{body}", "{timestamp}"],
        timestamp={"header": "X-HubSpot-Request-Timestamp", "unit": "ms"},
    ),
    "didww-sha1": _hmac("X-DIDWW-Signature", digest="sha1", signed="didww"),
    "sinch-numbers-sha1": _hmac("X-Sinch-Signature", digest="sha1"),
    "sinch-application": _SINCH_APPLICATION,
    "plivo-v2": _hmac("X-Plivo-Signature-V2", encoding="base64", signed="plivo-v2"),
    "plivo-v3": _hmac("X-Plivo-Signature-V3", encoding="base64", separator=",", signed="plivo-v3"),
    "vonage-jwt-hs256": {"scheme": "jwt"},
    "airtable-mac": _hmac("X-Airtable-Content-MAC", prefix="hmac-sha256="),
    "stripe-t-v1": _hmac(
        "Stripe-Signature",
        separator=",",
        tag="v1",
        signed=["{timestamp}", ".", "{body}"],
        timestamp={"tag": "t"},
    ),
    "telnyx-ed25519": _TELNYX,
    "ghl-ed25519": {"scheme": "ed25519", "header": "x-ghl-signature"},
    "bland-hmac-sha256-hex": _hmac("X-Webhook-Signature"),
    "bandwidth-hmac-sha256-b64": _hmac("X-Bandwidth-Signature-SHA-256", encoding="base64"),
    "attio-hmac-sha256-hex": _hmac("Attio-Signature"),
    "close-hmac-sha256": _hmac(
        "close-sig-hash", signed=["{timestamp}", "{body}"], timestamp={"header": "close-sig-timestamp"}
    ),
}
ENCODED = {"sinch-application": "base64", "airtable-mac": "base64", "close-hmac-sha256": "hex"}


def configured(vector: Vector) -> Configured:
    """The configuration with which a receiver takes the vector in: key `HOOK_KEY`, public keys in clear."""
    verify = dict(VERIFY[vector["scheme"]])
    if vector["id"].startswith("signalwire-compat"):
        verify["header"] = "X-SignalWire-Signature"
    if vector["id"].startswith("vonage"):
        verify["require_payload_hash"] = vector["params"]["require_payload_hash"]
    secret = vector["secret"]
    public = secret.get("public_key") or secret.get("public_key_pem")
    text = next((secret[name] for name in secret if name != "application_key"), "")
    key: dict[str, Any] = {"public": public} if public else {"key": {"env": "HOOK_KEY"}}
    if encoding := ENCODED.get(vector["scheme"]):
        key["encoding"] = encoding
    return {"verify": verify, "keys": [key], "env": {} if public else {"HOOK_KEY": text}, "url": vector["url"]}


def request_of(vector: Vector) -> WebhookRequest:
    """The request of a vector, as a receiver has it."""
    fields: list[list[str]] | None = vector.get("form_params")
    form = fields is not None
    body = urlencode([(name, value) for name, value in fields or ()]) if form else vector["body"] or ""
    kind = ("Content-Type", "application/x-www-form-urlencoded" if form else "application/json")
    headers = headers_of([kind, *vector["headers"].items()])
    if "content-type" in {name.lower() for name in vector["headers"]}:
        headers = headers_of(vector["headers"].items())
    return WebhookRequest(vector["method"], vector["url"] or URL, body.encode("utf-8"), headers)


def now_of(vector: Vector) -> float:
    """The clock, in unix seconds, to verify a vector against."""
    return float(vector.get("now") or NOW)


def resolved(value: Any, env: Mapping[str, str]) -> Any:
    """A table with its `{ env = … }` made secrets, as the settings hand it on."""
    if isinstance(value, Mapping):
        if value.keys() == {"env"}:
            return Secret(f"env:{value['env']}", SecretStr(env.get(value["env"], "")))
        return {name: resolved(item, env) for name, item in value.items()}
    return [resolved(item, env) for item in value] if isinstance(value, list) else value


def scheme_of(verify: Mapping[str, Any]) -> Scheme:
    """The scheme of a verify table that has no mistakes."""
    scheme, mistakes = read_scheme(verify, "sources.test.verify")
    assert scheme is not None, mistakes
    return scheme


def keys_of(keys: Sequence[Any], scheme: Scheme, env: Mapping[str, str]) -> tuple[Key, ...]:
    """The keys of a list that has no mistakes."""
    read, mistakes = read_keys(resolved(list(keys), env), scheme, "sources.test.keys", need_secrets=True)
    assert mistakes == []
    return read
