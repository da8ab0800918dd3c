"""The description of the routes (OpenAPI): what is sent, what is answered."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

ABOUT: Final = "Takes number events in and answers once they are stored."
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_ONE_LINE: Final = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"
EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A number event. Only event_id and a number (or numbers) are required.",
    "properties": {
        "version": {"enum": [1, None]},
        "event_id": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": _ONE_LINE},
        "number": {"type": "string", "examples": ["+14155550100"]},
        "numbers": {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 1000},
        "profile": {"type": ["string", "null"], "minLength": 1, "maxLength": 200, "pattern": _ONE_LINE},
        "occurred_at": {"type": ["string", "null"], "format": "date-time"},
        "source": {"type": ["string", "null"], "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        "metadata": {
            "type": ["object", "null"],
            "description": "At most 2048 bytes as JSON in all.",
            "maxProperties": 32,
            "propertyNames": {"minLength": 1, "maxLength": 64, "pattern": _ONE_LINE},
            "additionalProperties": {"type": ["string", "number", "boolean", "null"], "maxLength": 512},
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


def _answer(description: str, schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _problems(**sentences: str) -> dict[int | str, dict[str, Any]]:
    described: dict[int | str, dict[str, Any]] = {}
    for status, sentence in sentences.items():
        number = int(status[1:])
        headers = {"headers": _HEADERS[number]} if number in _HEADERS else {}
        described[number] = _answer(sentence, PROBLEM, "application/problem+json") | headers
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
                "application/json": {
                    "schema": {"oneOf": [EVENT, {"type": "array", "items": EVENT, "maxItems": 10_000}]}
                },
                "application/cloudevents+json": {"schema": CLOUDEVENT},
                "application/cloudevents-batch+json": {
                    "schema": {"type": "array", "items": CLOUDEVENT, "maxItems": 10_000}
                },
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
HOOK: Final[dict[str, Any]] = {
    "summary": "Webhooks of carriers and CRMs",
    "description": "Verified by the source's own scheme over the raw body; answered once its events are stored.",
    "operationId": "hook",
    "parameters": [{"name": "source", "in": "path", "required": True, "schema": _TEXT}],
    "requestBody": {"content": {"*/*": {"schema": {}}}},
    "responses": {
        "200": _answer("What became of the events", SUMMARY),
        "2XX": {"description": "The source's own `answer`, where it has one"},
        **{
            str(status): answer
            for status, answer in (
                _problems(
                    s404="There is no such source",
                    s405="The source does not use that method",
                    s422="Nothing of it was taken in; it is kept for the operator",
                )
                | {status: answer for status, answer in _TROUBLE.items() if status != 403}
            ).items()
        },
    },
}


def described(app: FastAPI) -> dict[str, Any]:
    """The description of all routes, /hooks/{source} among them, which is served before FastAPI."""
    if not app.openapi_schema:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema["paths"]["/hooks/{source}"] = {"post": HOOK}
        schema.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = schema
    return app.openapi_schema
