"""Senders of the demo's webhooks: a carrier, a CRM and a program, each with the signature of the real one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import httpx
from nacl.signing import SigningKey

from trunkline_producers import Summary

ORDER: Final = 250  # numbers of one order
BATCH: Final = 100  # events of one batch
PATIENCE_S: Final = 60.0  # the receiver may still be starting


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the receiver: the HTTP status, and what was taken in."""

    status: int
    summary: Summary


class Senders:
    """A client of the receiver at `url`. Use it as a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._carrier = SigningKey.generate()
        self._crm = secrets.token_urlsafe(24)
        self._program = secrets.token_urlsafe(24)
        self._client = httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False)
        self._first: tuple[bytes, Mapping[str, str]] = (b"", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def environment(self) -> dict[str, str]:
        """Return the keys by the names that the receiver's configuration has for them."""
        return {
            "DEMO_TELNYX_KEY": base64.b64encode(bytes(self._carrier.verify_key)).decode(),
            "DEMO_HUBSPOT_KEY": self._crm,
            "DEMO_BILLING_KEY": self._program,
        }

    def telnyx(self, numbers: Sequence[str]) -> Iterator[Reply]:
        """Send completed number orders, signed with Ed25519 over time and body."""
        for index, part in enumerate(_parts(numbers, ORDER)):
            order = {
                "data": {
                    "event_type": "number_order.complete",
                    "id": f"demo-order-{index}",
                    "payload": {
                        "customer_reference": "demo",
                        "phone_numbers": [{"phone_number": number, "status": "success"} for number in part],
                    },
                    "record_type": "event",
                },
                "meta": {"attempt": 1, "delivered_to": f"{self.url}/hooks/telnyx"},
            }
            body = json.dumps(order).encode()
            stamp = str(int(time.time()))
            signature = self._carrier.sign(f"{stamp}|".encode() + body).signature
            headers = {
                "telnyx-timestamp": stamp,
                "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            }
            if index == 0:
                self._first = (body, headers)
            yield self._post("telnyx", body, headers)

    def again(self) -> Iterator[Reply]:
        """Send the first order a second time."""
        body, headers = self._first
        yield self._post("telnyx", body, headers)

    def forged(self) -> Iterator[Reply]:
        """Send the first order with one byte changed."""
        body, headers = self._first
        yield self._post("telnyx", body.replace(b"success", b"Success", 1), headers)

    def hubspot(self, numbers: Sequence[str]) -> Iterator[Reply]:
        """Send batches of changed properties, signed with HMAC over method, URL, body and time."""
        for index, part in enumerate(_parts(numbers, BATCH)):
            now_ms = int(time.time() * 1000)
            batch = [
                {
                    "eventId": index * BATCH + i,
                    "subscriptionId": 1,
                    "portalId": 42,
                    "occurredAt": now_ms,
                    "subscriptionType": "contact.propertyChange",
                    "objectId": 1000 + i,
                    "propertyName": "phone",
                    "propertyValue": number,
                }
                for i, number in enumerate(part)
            ]
            body = json.dumps(batch).encode()
            signed = f"POST{self.url}/hooks/hubspot".encode() + body + str(now_ms).encode()
            digest = hmac.new(self._crm.encode(), signed, hashlib.sha256).digest()
            headers = {
                "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
                "X-HubSpot-Request-Timestamp": str(now_ms),
            }
            yield self._post("hubspot", body, headers)

    def cloudevents(self, numbers: Sequence[str], profile: str) -> Iterator[Reply]:
        """Send batches of CloudEvents with a bearer token."""
        for index, part in enumerate(_parts(numbers, BATCH)):
            batch = [
                {
                    "specversion": "1.0",
                    "id": f"{index}-{i}",
                    "source": "demo/billing",
                    "type": "number.sold",
                    "data": {"number": number, "profile": profile},
                }
                for i, number in enumerate(part)
            ]
            headers = {
                "Content-Type": "application/cloudevents-batch+json",
                "Authorization": f"Bearer {self._program}",
            }
            yield self._post("billing", json.dumps(batch).encode(), headers)

    def _post(self, source: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        answer = self._client.post(
            f"/hooks/{source}", content=body, headers={"Content-Type": "application/json", **headers}
        )
        if not answer.is_success:
            return Reply(answer.status_code, Summary())
        said = answer.json()
        return Reply(answer.status_code, Summary(said["accepted"], said["coalesced"], said["duplicate"]))


def _parts(numbers: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]
