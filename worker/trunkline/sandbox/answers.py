"""The JSON of the sandbox's answers: the documented envelope, errors, and the shapes of a failed number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trunkline.sandbox.rules import FailedShape

_ERRORS = {
    400: ("INVALID_REQUEST", "The request is invalid."),
    401: ("AUTH_FAILURE", "The API key is missing or wrong."),
    403: ("FORBIDDEN", "You may not do this."),
    404: ("NOT_FOUND", "There is no such thing."),
    413: ("PAYLOAD_TOO_LARGE", "The request is too large."),
    422: ("UNPROCESSABLE", "The request can't be processed."),
    429: ("RATE_LIMIT_EXCEEDED", "Too many requests; try again later."),
    500: ("INTERNAL_ERROR", "Something went wrong."),
}
_FROM_A_PROXY = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}


@dataclass(frozen=True, slots=True)
class Content:
    """An answer without its fate on the wire: status, body and headers beside the sandbox's own."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a number failed."""

    code: str
    message: str


NOT_OWNED = Reason("NUMBER_NOT_OWNED", "This number is not owned by your organization.")
MALFORMED = Reason("INVALID_NUMBER", "This is an invalid phone number: expected E.164.")
NOT_NOW = Reason("TEMPORARY_FAILURE", "The number could not be configured right now; try again.")


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Content:
    """Any value as an answer."""
    return Content(status, json.dumps(value, separators=(",", ":")).encode(), headers=headers or {})


def success(data: object, status: int = 200) -> Content:
    """The documented envelope around `data`."""
    return as_json({"data": data, "errors": None}, status)


def failure(status: int, *mistakes: Reason, headers: Mapping[str, str] | None = None) -> Content:
    """The envelope of errors; without mistakes what that status usually says, a proxy's page for 502 to 504."""
    if not mistakes and status in _FROM_A_PROXY:
        page = f"<html><head><title>{status} {_FROM_A_PROXY[status]}</title></head></html>"
        return Content(status, page.encode(), "text/html", headers or {})
    code, message = _ERRORS.get(status, ("ERROR", f"HTTP status {status}."))
    said = mistakes or (Reason(code, message),)
    errors = [{"error": each.code, "message": each.message} for each in said]
    return as_json({"data": None, "errors": errors}, status, headers)


def invalid(mistakes: Sequence[str]) -> Content:
    """The 400 for a request that breaks the documented rules."""
    return failure(400, *(Reason("INVALID_REQUEST", each) for each in mistakes))


def attached(
    configured: Sequence[str],
    failed: Sequence[tuple[str, Reason]],
    *,
    shape: FailedShape,
    register_password: str | None,
    status: int,
) -> Content:
    """The answer of attach: each number in one of the two lists."""
    items = [_failed_item(number, reason, shape) for number, reason in failed]
    data: dict[str, Any] = {"configured": list(configured), "failed": items}
    if register_password is not None:
        data["register_password_for_pbx"] = register_password
    return success(data, status)


def _failed_item(number: str, reason: Reason, shape: FailedShape) -> Any:
    """One failed number. Bland documents no shape for it, so there are five to choose from."""
    match shape:
        case "object":
            return {"phone_number": number, "reason": reason.message}
        case "string":
            return number
        case "number_error":
            return {"number": number, "error": reason.message, "code": reason.code}
        case "nested":
            return {"phone": number, "error": {"error": reason.code, "message": reason.message}}
        case "list":
            return {"did": number, "errors": [{"error": reason.code, "message": reason.message}]}
