"""The description of the routes (OpenAPI): requests and answers."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from trunkline.events.event import (
    MAX_EVENT_ID,
    MAX_METADATA_BYTES,
    MAX_METADATA_KEY,
    MAX_METADATA_KEYS,
    MAX_METADATA_VALUE,
    MAX_NUMBERS,
    MAX_PROFILE,
    SOURCE,
    WIRE_VERSION,
)
from trunkline_producers.receiver.responses import JSON
from trunkline_producers.receiver.responses import PROBLEM as PROBLEM_TYPE
from trunkline_producers.sources.interpret import MAX_ITEMS

ABOUT: Final = "Takes number events in and answers once they are stored."
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_ONE_LINE: Final = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"
EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A number event. Only event_id and a number (or numbers) are required.",
    "properties": {
        "version": {"enum": [WIRE_VERSION, None]},
        "event_id": {"type": "string", "minLength": 1, "maxLength": MAX_EVENT_ID, "pattern": _ONE_LINE},
        "number": {"type": "string", "examples": ["+14155550100"]},
        "numbers": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_NUMBERS},
        "profile": {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_PROFILE, "pattern": _ONE_LINE},
        "occurred_at": {"type": ["string", "null"], "format": "date-time"},
        "source": {"type": ["string", "null"], "pattern": f"^{SOURCE.pattern}$"},
        "metadata": {
            "type": ["object", "null"],
            "description": f"At most {MAX_METADATA_BYTES} bytes as JSON in all.",
            "maxProperties": MAX_METADATA_KEYS,
            "propertyNames": {"minLength": 1, "maxLength": MAX_METADATA_KEY, "pattern": _ONE_LINE},
            "additionalProperties": {"type": ["string", "number", "boolean", "null"], "maxLength": MAX_METADATA_VALUE},
        },
        "force": {"type": ["boolean", "null"]},
    },
    "required": ["event_id"],
    "oneOf": [{"required": ["number"]}, {"required": ["numbers"]}],
    "additionalProperties": False,
}
CLOUDEVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A CloudEvent whose data is a number event; source and id make the event_id where data has none.",
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "time": {"type": ["string", "null"], "format": "date-time"},
        "data": {"type": "object"},
        "data_base64": _TEXT,
    },
    "required": ["specversion", "id", "source", "type"],
    "anyOf": [{"required": ["data"]}, {"required": ["data_base64"]}],
}
SUMMARY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "accepted": _COUNT,
        "coalesced": _COUNT,
        "duplicate": _COUNT,
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"number": _TEXT, "code": _TEXT, "message": _TEXT},
                "required": ["number", "code", "message"],
            },
        },
    },
    "required": ["accepted", "coalesced", "duplicate", "rejected"],
}
PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457; `code` is stable and for programs.",
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "code": _TEXT,
        "detail": _TEXT,
    },
    "required": ["type", "title", "status", "code"],
}
_STATUS: Final = {"type": "object", "properties": {"status": _TEXT}, "required": ["status"]}
_RETRY: Final = {"Retry-After": {"description": "Seconds", "required": True, "schema": _COUNT}}
_HEADERS: Final = {
    401: {"WWW-Authenticate": {"description": "Where credentials are asked for", "schema": _TEXT}},
    405: {"Allow": {"description": "The methods that there are", "required": True, "schema": _TEXT}},
    429: _RETRY,
    503: _RETRY,
}


def _answer(description: str, schema: dict[str, Any], media_type: str = JSON) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _several(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema, "maxItems": MAX_ITEMS}


def _problems(**sentences: str) -> dict[int | str, dict[str, Any]]:
    described: dict[int | str, dict[str, Any]] = {}
    for name, sentence in sentences.items():
        status = int(name[1:])
        described[status] = _answer(sentence, PROBLEM, PROBLEM_TYPE)
        if status in _HEADERS:
            described[status]["headers"] = _HEADERS[status]
    return described


_TROUBLE: Final = _problems(
    s401="The bearer token is missing or wrong",
    s403="There is no token configured, and this is not loopback",
    s408="The body came too slowly",
    s413="The body is too large",
    s415="The body is of another type or encoded",
    s429="The queue is full; Retry-After says when to come again",
    s503="The store is away, or has no room to keep what can't be taken in; Retry-After says when to come again",
)
EVENTS: Final[dict[str, Any]] = {
    "status_code": 202,
    "responses": {
        202: _answer("What became of the events", SUMMARY),
        **_problems(s400="The body can't be read", s422="Nothing of it was taken in; `rejected` says why"),
        **_TROUBLE,
    },
    "openapi_extra": {
        "security": [{}, {"token": []}],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"oneOf": [EVENT, _several(EVENT)]}},
                "application/cloudevents+json": {"schema": CLOUDEVENT},
                "application/cloudevents-batch+json": {"schema": _several(CLOUDEVENT)},
            },
        },
    },
}
HEALTH: Final[dict[str, Any]] = {"responses": {200: _answer("Alive", _STATUS)}}
READY: Final[dict[str, Any]] = {
    "responses": {
        200: _answer("Ready", _STATUS),
        **_problems(s503="The store takes no write, or the receiver is stopping"),
    }
}
_HOOK_TROUBLE: Final = _problems(
    s404="There is no such source",
    s405="The source does not use that method",
    s422="Nothing of it was taken in; it is kept for the operator",
) | {status: answer for status, answer in _TROUBLE.items() if status != 403}
HOOK: Final[dict[str, Any]] = {
    "summary": "Webhooks of carriers and CRMs",
    "description": "Verified by the source's own scheme over the raw body; answered once its events are stored.",
    "operationId": "hook",
    "parameters": [{"name": "source", "in": "path", "required": True, "schema": _TEXT}],
    "requestBody": {"content": {"*/*": {"schema": {}}}},
    "responses": {
        "200": _answer("What became of the events", SUMMARY),
        "2XX": {"description": "The source's own `answer`, where it has one"},
        **{str(status): answer for status, answer in _HOOK_TROUBLE.items()},
    },
}


def described(app: FastAPI) -> dict[str, Any]:
    """The description of all routes, /hooks/{source} included, which does not go through FastAPI."""
    if not app.openapi_schema:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema["paths"]["/hooks/{source}"] = {"post": HOOK}
        schema.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = schema
    return app.openapi_schema
