"""A sender for every scheme: what it is configured as, and how it would sign a request."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nacl.signing import SigningKey

from trunkline_producers.webhooks.request import WebhookRequest, headers_of

URL = "https://hooks.example.com/hooks/acme?tenant=7"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
Headers = dict[str, str]


@dataclass(frozen=True)
class Sender:
    """One scheme. `sign` takes the secret, the body and the time in unix seconds, and gives what goes on the wire."""

    name: str
    verify: dict[str, Any]
    sign: Callable[[str, bytes, int], Headers]
    where: str = ""  # the header with the signature, "" for tokens elsewhere
    dated: bool = False
    binds_body: bool = True
    body: bytes = b'{"id": "evt_1", "number": "+14155550100"}'
    public: Callable[[str], str] | None = None
    keys: dict[str, str] | None = None  # further fields of a key's table
    media_type: str = JSON
    request: Callable[[str, bytes], tuple[str, bytes]] = lambda _secret, body: (URL, body)

    def key(self, secret: str) -> dict[str, Any]:
        """The key's table; the environment has each secret under its own name in upper case."""
        if self.public:
            return {"public": self.public(secret)}
        return {"key": {"env": secret.upper()}, **(self.keys or {})}

    def sent(self, secret: str, at: int) -> WebhookRequest:
        """The request, as a receiver has it."""
        url, body = self.request(secret, self.body)
        headers = {"Content-Type": self.media_type, **self.sign(secret, body, at)}
        return WebhookRequest("POST", url, body, headers_of(headers.items()))


def mac(secret: str, message: bytes, digest: str = "sha256") -> bytes:
    return hmac.digest(secret.encode(), message, digest)


def base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def signing_key(secret: str) -> SigningKey:
    return SigningKey(hashlib.sha256(secret.encode()).digest())


def public_key(secret: str) -> str:
    return base64(bytes(signing_key(secret).verify_key))


def pem(secret: str) -> str:
    spki = bytes.fromhex("302a300506032b6570032100") + bytes(signing_key(secret).verify_key)
    return f"-----BEGIN PUBLIC KEY-----\n{base64(spki)}\n-----END PUBLIC KEY-----\n"


def _text(at: int) -> bytes:
    return str(at).encode()


def _stripe(secret: str, body: bytes, at: int) -> Headers:
    return {"Stripe-Signature": f"t={at},v1={mac(secret, _text(at) + b'.' + body).hex()},v0=00"}


def _rfc3339(secret: str, body: bytes, at: int) -> Headers:
    text = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"X-Sig": mac(secret, text.encode() + body).hex(), "X-Timestamp": text}


def _everything(secret: str, body: bytes, at: int) -> Headers:
    digest = base64(hashlib.md5(body, usedforsecurity=False).digest())
    message = f"POST\n{URL}\n/hooks/acme\n7\nabc\n{digest}"
    return {"X-Sig": "sha512=" + base64(mac(secret, message.encode(), "sha512")), "X-Nonce": "abc"}


def _telnyx(secret: str, body: bytes, at: int) -> Headers:
    signature = signing_key(secret).sign(_text(at) + b"|" + body).signature
    return {"telnyx-signature-ed25519": base64(signature), "telnyx-timestamp": str(at)}


def _standard(family: str, version: str) -> Callable[[str, bytes, int], Headers]:
    def sign(secret: str, body: bytes, at: int) -> Headers:
        message = b"msg_1." + _text(at) + b"." + body
        raw = mac(secret, message) if version == "v1" else signing_key(secret).sign(message).signature
        text = f"{version},{base64(raw)}"
        return {f"{family}-id": "msg_1", f"{family}-timestamp": str(at), f"{family}-signature": text}

    return sign


def token(secret: str, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    """A JWT by HS256, whatever its header says."""
    segments = (json.dumps(each).encode() for each in (header or {"alg": "HS256", "typ": "JWT"}, claims))
    text = b".".join(urlsafe_b64encode(each).rstrip(b"=") for each in segments)
    return (text + b"." + urlsafe_b64encode(mac(secret, text)).rstrip(b"=")).decode()


def _jwt(secret: str, body: bytes, at: int) -> Headers:
    claims = {"iat": at, "exp": at + 1, "nbf": at, "payload_hash": hashlib.sha256(body).hexdigest()}
    return {"Authorization": f"Bearer {token(secret, claims)}"}


def _twilio(secret: str, _body: bytes, _at: int) -> Headers:
    return {"X-Twilio-Signature": base64(mac(secret, URL.encode() + b"DigitsFrom+14155550100", "sha1"))}


def _nothing(_secret: str, _body: bytes, _at: int) -> Headers:
    return {}


def _hmac(**fields: Any) -> dict[str, Any]:
    return {"scheme": "hmac", **fields}


SENDERS = (
    Sender(
        "hmac in hex",
        _hmac(header="X-Sig", prefix="sha256="),
        lambda secret, body, _at: {"X-Sig": "sha256=" + mac(secret, body).hex()},
        where="x-sig",
    ),
    Sender(
        "hmac of everything there is",
        _hmac(
            header="X-Sig",
            prefix="sha512=",
            digest="sha512",
            encoding="base64",
            signed=["{method}\n{url}\n{path}\n", "{query:tenant}", "\n{header:X-Nonce}\n{body_md5_base64}"],
        ),
        _everything,
        where="x-sig",
    ),
    Sender(
        "hmac in a list with a timestamp",
        _hmac(
            header="Stripe-Signature",
            separator=",",
            tag="v1",
            signed=["{timestamp}", ".", "{body}"],
            timestamp={"tag": "t"},
        ),
        _stripe,
        where="stripe-signature",
        dated=True,
    ),
    Sender(
        "hmac with a timestamp in rfc3339",
        _hmac(
            header="X-Sig",
            signed=["{header:x-timestamp}", "{body}"],
            timestamp={"header": "X-Timestamp", "unit": "rfc3339"},
        ),
        _rfc3339,
        where="x-sig",
        dated=True,
    ),
    Sender(
        "hmac by twilio",
        _hmac(header="X-Twilio-Signature", digest="sha1", encoding="base64", signed="twilio"),
        _twilio,
        where="x-twilio-signature",
        body=b"From=%2B14155550100&Digits=",
        media_type=FORM,
    ),
    Sender(
        "digest",
        {"scheme": "digest", "header": "X-Sig", "signed": ["{key}", "{method}", "{body}"]},
        lambda secret, body, _at: {"X-Sig": hashlib.sha256(secret.encode() + b"POST" + body).hexdigest()},
        where="x-sig",
    ),
    Sender(
        "ed25519 with a timestamp",
        {
            "scheme": "ed25519",
            "header": "telnyx-signature-ed25519",
            "signed": ["{timestamp}", "|", "{body}"],
            "timestamp": {"header": "telnyx-timestamp"},
        },
        _telnyx,
        where="telnyx-signature-ed25519",
        dated=True,
        public=public_key,
    ),
    Sender(
        "ed25519 in hex by a key in PEM",
        {"scheme": "ed25519", "header": "X-Sig", "encoding": "hex"},
        lambda secret, body, _at: {"X-Sig": signing_key(secret).sign(body).signature.hex()},
        where="x-sig",
        public=pem,
    ),
    Sender(
        "standard webhooks",
        {"scheme": "standard-webhooks"},
        _standard("webhook", "v1"),
        where="webhook-signature",
        dated=True,
        keys={"encoding": "utf8"},
    ),
    Sender(
        "svix by ed25519",
        {"scheme": "standard-webhooks"},
        _standard("svix", "v1a"),
        where="svix-signature",
        dated=True,
        public=lambda secret: "whpk_" + public_key(secret),
    ),
    Sender("jwt", {"scheme": "jwt", "max_age_s": 300.0}, _jwt, where="authorization", dated=True),
    Sender(
        "basic",
        {"scheme": "basic", "username": "carrier"},
        lambda secret, _body, _at: {"Authorization": "Basic " + base64(b"carrier:" + secret.encode())},
        where="authorization",
        binds_body=False,
    ),
    Sender(
        "bearer",
        {"scheme": "bearer"},
        lambda secret, _body, _at: {"Authorization": f"bearer {secret}"},
        where="authorization",
        binds_body=False,
    ),
    Sender(
        "a key in a header",
        {"scheme": "header-key", "header": "X-Api-Key"},
        lambda secret, _body, _at: {"X-Api-Key": secret},
        where="x-api-key",
        binds_body=False,
    ),
    Sender(
        "a token in the body",
        {"scheme": "body-token", "token": "auth.token"},
        _nothing,
        binds_body=False,
        request=lambda secret, _body: (URL, json.dumps({"auth": {"token": secret}}).encode()),
    ),
    Sender(
        "a token in a form",
        {"scheme": "body-token", "token": "token"},
        _nothing,
        binds_body=False,
        media_type=FORM,
        request=lambda secret, _body: (URL, f"a=1&token={secret}".encode()),
    ),
    Sender(
        "a token in the path",
        {"scheme": "path-token"},
        _nothing,
        binds_body=False,
        request=lambda secret, body: (f"https://hooks.example.com/hooks/acme/{secret}?a=b", body),
    ),
    Sender(
        "a token in the query",
        {"scheme": "query-token"},
        _nothing,
        binds_body=False,
        request=lambda secret, body: (f"https://hooks.example.com/hooks/acme?a=b&token={secret}", body),
    ),
)
