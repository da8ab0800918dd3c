"""What each built-in source really sends: its documented payload, its section of the file, and how it signs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from support.receivers import PUBLIC_URL, secret
from support.webhook_signers import base64, mac, public_key, signing_key, token

DATA: Final = Path(__file__).parents[1].joinpath("data") / "webhooks"
NOW: Final = 1_790_000_000
UNSIGNED: Final = frozenset({"bandwidth", "aircall", "salesforce", "pipedrive", "zoho", "native", "cloudevents"})
MEDIA_TYPES: Final = {
    ".json": "application/json",
    ".form": "application/x-www-form-urlencoded",
    ".xml": "text/xml; charset=utf-8",
}
KEY: Final = "5eC7e7"
TOKEN: Final = "45XXYYZZa08"  # which stands in Aircall's sample
ZOHO: Final = "t0ken-of-zoho"
ORDER: Final = "eef10fb8-f3df-4c67-97c5-e18179723222"  # of Telnyx' port-in
PORTED: Final = ("+13035550987", "+13035550988")
BOUGHT: Final = ("+442045770001",)  # at DIDWW

Headers = dict[str, str]
Sign = Callable[[bytes, str], Headers]  # of the body and the URL


@dataclass(frozen=True)
class Sample:
    """A delivery: to which source, its body, how it is signed, and what ends in the store."""

    source: str
    file: str
    sign: Sign
    numbers: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    refused: int = 0
    ignored: int = 0
    query: Callable[[bytes], str] = lambda _body: ""
    media_type: str = ""

    @property
    def body(self) -> bytes:
        return (DATA / self.file).read_bytes()

    @property
    def target(self) -> str:
        """Path and query."""
        query = self.query(self.body)
        return f"/hooks/{self.source}" + (f"?{query}" if query else "")

    def headers(self, body: bytes | None = None) -> Headers:
        """The signed request's headers."""
        content = self.body if body is None else body
        media_type = self.media_type or MEDIA_TYPES[Path(self.file).suffix]
        return {"Content-Type": media_type, **self.sign(content, PUBLIC_URL + self.target)}


def hmac_of(header: str, *, digest: str = "sha256", prefix: str = "", as_base64: bool = False) -> Sign:
    def sign(body: bytes, _url: str) -> Headers:
        made = mac(KEY, body, digest)
        return {header: prefix + (base64(made) if as_base64 else made.hex())}

    return sign


def unsigned(_body: bytes, _url: str) -> Headers:
    return {}


def basic(_body: bytes, _url: str) -> Headers:
    return {"Authorization": "Basic " + base64(f"carrier:{KEY}".encode())}


def telnyx(body: bytes, _url: str) -> Headers:
    signature = signing_key(KEY).sign(f"{NOW}|".encode() + body).signature
    return {"telnyx-signature-ed25519": base64(signature), "telnyx-timestamp": str(NOW)}


def twilio(body: bytes, url: str) -> Headers:
    fields = "" if "bodySHA256" in url else "".join(name + value for name, value in sorted(parse_qsl(body.decode())))
    return {"X-Twilio-Signature": base64(mac(KEY, (url + fields).encode(), "sha1"))}


def hubspot(body: bytes, url: str) -> Headers:
    at = str(NOW * 1000)
    signature = mac(KEY, f"POST{url}".encode() + body + at.encode())
    return {"X-HubSpot-Signature-v3": base64(signature), "X-HubSpot-Request-Timestamp": at}


def didww(body: bytes, url: str) -> Headers:
    fields = "".join(name + value for name, value in sorted(parse_qsl(body.decode())))
    return {"X-DIDWW-Signature": mac(KEY, (url.replace(".com/", ".com:443/") + fields).encode(), "sha1").hex()}


def gohighlevel(body: bytes, _url: str) -> Headers:
    return {"x-ghl-signature": base64(signing_key(KEY).sign(body).signature)}


def close(body: bytes, _url: str) -> Headers:
    made = mac("\x01\x02\x03\x04", str(NOW).encode() + body)  # the configuration has the key as hex
    return {"close-sig-hash": made.hex(), "close-sig-timestamp": str(NOW)}


def attio(body: bytes, url: str) -> Headers:
    return {**hmac_of("Attio-Signature")(body, url), "Idempotency-Key": "idem-1"}


def stripe(body: bytes, _url: str) -> Headers:
    return {"Stripe-Signature": f"t={NOW},v1={mac(KEY, f'{NOW}.'.encode() + body).hex()},v0=00"}


def signalwire(body: bytes, url: str) -> Headers:
    return {"X-SignalWire-Signature": mac(KEY, url.encode() + body, "sha1").hex()}


def vonage(body: bytes, _url: str) -> Headers:
    claims = {"iat": NOW, "jti": "c5ba8f24", "iss": "Vonage", "payload_hash": hashlib.sha256(body).hexdigest()}
    return {"Authorization": f"Bearer {token(KEY, claims)}"}


def plivo(body: bytes, url: str) -> Headers:
    fields = "".join(name + value for name, value in sorted(parse_qsl(body.decode())))
    made = base64(mac(KEY, f"{url}?{fields}.12345".encode()))
    return {"X-Plivo-Signature-V3": f"{base64(b'another')},{made}", "X-Plivo-Signature-V3-Nonce": "12345"}


def standard(family: str, version: str) -> Sign:
    def sign(body: bytes, _url: str) -> Headers:
        message = f"msg_{family}.{NOW}.".encode() + body
        made = mac(KEY, message) if version == "v1" else signing_key(KEY).sign(message).signature
        return {
            f"{family}-id": f"msg_{family}",
            f"{family}-timestamp": str(NOW),
            f"{family}-signature": f"v2,eA== {version},{base64(made)}",
        }

    return sign


def bearer(_body: bytes, _url: str) -> Headers:
    return {"Authorization": f"Bearer {KEY}"}


def ce_binary(body: bytes, url: str) -> Headers:
    attributes = {"specversion": "1.0", "id": "19", "source": "/billing", "type": "number.sold"}
    return {**bearer(body, url), **{f"ce-{name}": value for name, value in attributes.items()}}


def sections(telnyx_api: str, didww_api: str) -> dict[str, dict[str, Any]]:
    """`[sources.*]` by name, with these stand-ins of the carriers' APIs."""
    keys: dict[str, Any] = {"keys": [secret(KEY)]}
    by_type: dict[str, dict[str, Any]] = {
        "telnyx": {"public_keys": [{"public": public_key(KEY)}], "api": {"key": secret("api"), "url": telnyx_api}},
        "twilio": {"key": secret(KEY)},
        "bandwidth": {"verify": {"username": "carrier"}, **keys},
        "bandwidth-v2": keys,
        "hubspot": {**keys, "property": "phone"},
        "aircall": {"keys": [secret(TOKEN)]},
        "sinch": keys,
        "didww": {**keys, "api": {"key": secret("api"), "url": didww_api}},
        "salesforce": {**keys, "field": "Phone", "organization_ids": ["00Dxx0000000000EAA"]},
        "gohighlevel": {"keys": [{"public": public_key(KEY)}]},
        "close": {"keys": [secret("01020304")], "field": "phones"},
        "attio": {**keys, "field": "phone"},
        "pipedrive": {"verify": {"username": "carrier"}, **keys, "field": "phones"},
        "zoho": {"keys": [secret(ZOHO)]},
        "github-style": {**keys, "number": "number", "event_id": "header:X-GitHub-Delivery"},
        "stripe-style": {**keys, "number": "data.object.phone", "event_id": "id", "occurred_at": "created"},
        "signalwire": {**keys, "number": "call.to", "event_id": "call.call_id"},
        "vonage": {**keys, "number": "join('+', ['', to])", "event_id": "uuid"},
        "plivo": {**keys, "number": "join('+', ['', To])", "event_id": "CallUUID"},
        "bland": {**keys, "number": "to", "event_id": "call_id"},
        "standard-webhooks": {
            "keys": [{"key": secret(KEY), "encoding": "utf8"}, {"public": f"whpk_{public_key(KEY)}"}],
        },
        "svix": {"keys": [{"key": secret(KEY), "encoding": "utf8"}]},
        "native": {"verify": {"scheme": "header-key", "header": "X-Api-Key"}, **keys},
        "cloudevents": {"verify": {"scheme": "bearer"}, **keys},
        "generic": {
            "verify": {"scheme": "hmac", "header": "X-Signature"},
            **keys,
            "match": "fold(state) == 'order_ready'",
            "number": "order.lines[].number",
            "event_id": "order.id",
            "metadata": {"order": "order.id"},
        },
    }
    return {name: {"type": name, "profile": "support", **section} for name, section in by_type.items()}


def _github(body: bytes, url: str) -> Headers:
    return {**hmac_of("X-Hub-Signature-256", prefix="sha256=")(body, url), "X-GitHub-Delivery": "72d3162e"}


def _body_sha256(body: bytes) -> str:
    return f"bodySHA256={hashlib.sha256(body).hexdigest()}"


TWILIO_IDS: Final = "{0}:{1}:{2}:2026-11-22T12:00:00Z"
BANDWIDTH_ORDER: Final = "d30883f4-ed4f-4ab5-8b7a-4f7b0bbf1d1e"
SAMPLES: Final = {
    "telnyx: a number order": Sample(
        "telnyx", "telnyx.json", telnyx,
        numbers=("+19705555098",), event_ids=("d578b093-a0e7-4b64-b0d3-6b689a6ff170",),
        metadata={"customer_reference": "MY REF 001", "connection_id": "346789098765567"},
    ),
    "telnyx: a port-in, its numbers fetched": Sample(
        "telnyx", "telnyx-port-in.json", telnyx,
        numbers=PORTED, event_ids=("eef3340b-8903-4466-b445-89b697315a3a",) * 2,
    ),
    "twilio: JSON": Sample(
        "twilio", "twilio.json", twilio, query=_body_sha256,
        numbers=("+14155552671",),
        event_ids=(TWILIO_IDS.format("KW" + "1".zfill(32), "PU" + "1".zfill(32), "completed"),),
        metadata={"port_in_request_sid": "KW" + "1".zfill(32)},
    ),
    "twilio: a form": Sample(
        "twilio", "twilio.form", twilio,
        numbers=("+14155552672",),
        event_ids=(TWILIO_IDS.format("KW" + "2".zfill(32), "PU" + "2".zfill(32), "Completed"),),
    ),
    "bandwidth, v1": Sample(
        "bandwidth", "bandwidth.xml", basic, numbers=("+19195551234", "+19195551235"),
        event_ids=(f"{BANDWIDTH_ORDER}:COMPLETE:2023-09-12T15:11:31.705Z",) * 2,
        metadata={"order": BANDWIDTH_ORDER, "customer_order": "PO-17"},
    ),
    "bandwidth, v2": Sample(
        "bandwidth-v2", "bandwidth-v2.json", hmac_of("X-Bandwidth-Signature-SHA-256", as_base64=True),
        numbers=("+19195551236",), event_ids=(f"{BANDWIDTH_ORDER}:COMPLETE:2026-09-12T15:11:31.705Z",),
    ),
    "hubspot: a batch": Sample(
        "hubspot", "hubspot.json", hubspot, numbers=("+14155552673", "+14155552674"), refused=1, ignored=2,
        event_ids=("12345678:1234:100:1711234567890", "87654321:1234:100:1711234567890"),
    ),
    "aircall": Sample(
        "aircall", "aircall.json", unsigned, numbers=("+33176360695",), event_ids=("number.created:456:1585001020",),
        metadata={"name": "My first Aircall Number", "country": "FR", "number_id": "456"},
    ),
    "sinch": Sample(
        "sinch", "sinch.json", hmac_of("X-Sinch-Signature", digest="sha1"), numbers=("+12345678905",),
        event_ids=("01jr7stexp0znky34pj07dwp41",), metadata={"project": "project-id"},
    ),
    "didww: a form, its numbers fetched": Sample(
        "didww", "didww.form", didww, numbers=BOUGHT,
        event_ids=("orders:bf2cee72-6caa-4ae2-917e-bea01945691e:completed",),
    ),
    "salesforce": Sample(
        "salesforce", "salesforce.xml", unsigned, query=lambda _body: f"token={KEY}", numbers=("+14155552675",),
        event_ids=("04lxx000000000AAAA",), metadata={"object": "001xx000003DGb2AAG", "name": "Acme Corp"},
    ),
    "gohighlevel": Sample(
        "gohighlevel", "gohighlevel.json", gohighlevel, numbers=("+919509597501",),
        event_ids=("5b5d4c3e-7a6b-4f2e-9d3c-0b1a2c3d4e5f",), metadata={"location": "ve9EPM428h8vShlRW1KT"},
    ),
    "close": Sample(
        "close", "close.json", close, numbers=("+14155552676", "+14155552677"),
        event_ids=("ev_5nPQkmvWVPUVC5Xp8jAmGp",) * 2, metadata={"object": "cont_1", "subscription": "whsub_1"},
    ),
    "attio": Sample(
        "attio", "attio.json", attio, numbers=("+14155552678", "+14155552679"), ignored=1,
        event_ids=("idem-1#0", "idem-1#1"),
    ),
    "pipedrive": Sample(
        "pipedrive", "pipedrive.json", basic, numbers=("+14155552680",), event_ids=("e6a1-17:c1b2:119:change",),
        metadata={"entity": "person", "entity_id": "119"},
    ),
    "zoho": Sample(
        "zoho", "zoho.form", unsigned, numbers=("+14155552681",), event_ids=("4150868000004876009",),
    ),
    "github's form": Sample(
        "github-style", "github-style.json", _github, numbers=("+14155552682",), event_ids=("72d3162e",),
    ),
    "stripe's form": Sample(
        "stripe-style", "stripe-style.json", stripe, numbers=("+14155552683",),
        event_ids=("evt_1MqqbKLt4dXK03v5qaIbiNCC",),
    ),
    "signalwire": Sample(
        "signalwire", "signalwire.json", signalwire, numbers=("+12089806814",),
        event_ids=("b5d63b2e-f75b-4dc8-b6d4-269b635f96c0",),
    ),
    "vonage": Sample(
        "vonage", "vonage.json", vonage, numbers=("+447700900000",),
        event_ids=("aaaaaaaa-bbbb-cccc-dddd-0123456789ab",),
    ),
    "plivo": Sample(
        "plivo", "plivo.form", plivo, numbers=("+14155552684",), event_ids=("3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36",),
    ),
    "bland": Sample(
        "bland", "bland.json", hmac_of("X-Webhook-Signature"), numbers=("+14155552685",), event_ids=("c1",),
    ),
    "standard webhooks": Sample(
        "standard-webhooks", "native.json", standard("webhook", "v1"), numbers=("+14155552686",), event_ids=("evt_1",),
        metadata={"customer": "42"},
    ),
    "standard webhooks by Ed25519, the id in its header": Sample(
        "standard-webhooks", "native-without-id.json", standard("webhook", "v1a"), numbers=("+14155552687",),
        event_ids=("msg_webhook",),
    ),
    "svix": Sample(
        "svix", "native-without-id.json", standard("svix", "v1"), numbers=("+14155552687",), event_ids=("msg_svix",),
    ),
    "a program's own": Sample(
        "native", "native.json", lambda _body, _url: {"X-Api-Key": KEY}, numbers=("+14155552686",),
        event_ids=("evt_1",),
    ),
    "cloudevents, structured": Sample(
        "cloudevents", "cloudevents.json", bearer, media_type="application/cloudevents+json; charset=UTF-8",
        numbers=("+14155552688",), event_ids=("/billing:17",), metadata={"customer": "42"},
    ),
    "cloudevents, batched": Sample(
        "cloudevents", "cloudevents-batch.json", bearer, media_type="application/cloudevents-batch+json",
        numbers=("+14155552689", "+14155552690"), event_ids=("/billing:18", "/sales:18"),
    ),
    "cloudevents, binary": Sample(
        "cloudevents", "cloudevents-binary.json", ce_binary, numbers=("+14155552691",), event_ids=("/billing:19",),
    ),
    "a source of one's own": Sample(
        "generic", "generic.json", hmac_of("X-Signature"), numbers=("+14155552692", "+442079460000"),
        event_ids=("17", "17"), metadata={"order": "17"},
    ),
}  # fmt: skip


def changed(sample: Sample, **fields: object) -> bytes:
    """The sample's JSON object with other fields at its top."""
    return json.dumps({**json.loads(sample.body), **fields}).encode()
