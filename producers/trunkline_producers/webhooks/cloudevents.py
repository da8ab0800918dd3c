"""CloudEvents 1.0 over HTTP: structured, binary and batched requests as a list of events in their JSON form.

Source: CloudEvents HTTP Protocol Binding 1.0.2 and JSON Event Format 1.0.2.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from trunkline_producers.webhooks.bodies import Unreadable, read_json
from trunkline_producers.webhooks.request import WebhookRequest

BATCHED: Final = "application/cloudevents-batch"
STRUCTURED: Final = "application/cloudevents"
REQUIRED: Final = ("specversion", "id", "source", "type")
_JSON: Final = re.compile(r"(?:application|text)/(?:[\w.+-]+\+)?json", re.ASCII | re.IGNORECASE)


def is_cloudevent(request: WebhookRequest) -> bool:
    """True if the request's headers announce CloudEvents, in any of the three modes."""
    return request.media_type.startswith(STRUCTURED) or "ce-specversion" in request.headers


def read_cloudevents(request: WebhookRequest) -> list[dict[str, Any]]:
    """The events, each with its attributes by name and its `data`. Raises Unreadable.

    An event without a required attribute is in the list all the same, so that the others of its batch are not lost.
    """
    kind = request.media_type
    if kind.startswith(BATCHED):
        events = _as_json(kind, request.body)
        if not isinstance(events, list):
            raise Unreadable("a batch of CloudEvents is a JSON array")
        return [_event(event) for event in events]
    if kind.startswith(STRUCTURED):
        return [_event(_as_json(kind, request.body))]
    if "ce-specversion" in request.headers:
        return [_binary(request)]
    raise Unreadable(
        "the request carries no CloudEvents: its Content-Type is neither application/cloudevents+json nor "
        "application/cloudevents-batch+json, and it has no ce-specversion header"
    )


def faults_of(event: Mapping[str, Any]) -> str | None:
    """The mistake that makes an event no CloudEvent, as a sentence; None without one."""
    for name in REQUIRED:
        value = event.get(name)
        if not isinstance(value, str) or not value:
            return f"the CloudEvent has no {name}"
    if event["specversion"] != "1.0":
        return "the CloudEvent's specversion is not 1.0"
    return None


def _as_json(kind: str, body: bytes) -> Any:
    if kind not in {f"{BATCHED}+json", f"{STRUCTURED}+json"}:
        raise Unreadable("CloudEvents are taken as JSON only")
    return read_json(body)


def _event(event: Any) -> dict[str, Any]:
    if not isinstance(event, dict):
        return {}
    if isinstance(encoded := event.get("data_base64"), str):
        try:
            octets = base64.b64decode(encoded, validate=True)
            return {**event, "data": _data(str(event.get("datacontenttype") or "application/json"), octets)}
        except (binascii.Error, ValueError, Unreadable):
            return {**event, "data": None}
    return event


def _binary(request: WebhookRequest) -> dict[str, Any]:
    event: dict[str, Any] = {
        name[3:]: _attribute(value) for name, value in request.headers.items() if name.startswith("ce-")
    }
    if request.body:
        event["data"] = _data(request.media_type or "application/json", request.body)
    return event


def _attribute(value: str) -> str:
    """A header's value: quoted or not, percent-encoded UTF-8, decoded once."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return unquote(value, errors="replace")


def _data(kind: str, octets: bytes) -> Any:
    if _JSON.fullmatch(kind.partition(";")[0].strip()):
        return read_json(octets)
    return octets.decode("utf-8", "replace")
