"""Readers of webhook bodies: bytes in any of the formats become JSON-like data."""

from __future__ import annotations

import json
from typing import Any, Final, Literal
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from trunkline.errors import TrunklineError
from trunkline_producers.webhooks.request import WebhookRequest

Format = Literal["auto", "json", "form", "xml", "cloudevents", "native"]
MAX_FIELDS: Final = 10_000  # of a form
MAX_DEPTH: Final = 100  # elements within elements


class Unreadable(TrunklineError):
    """A body that is not what its source sends; the sentence says what was expected and never repeats the body."""


def read_body(request: WebhookRequest, format: Format = "auto") -> Any:
    """The body as JSON-like data: a form as name → value, XML as element → content, lists for repeated names.

    "auto" goes by the Content-Type; a request without a body is read from its query. Raises Unreadable.
    """
    if format == "auto":
        format = _by_type(request)
    match format:
        case "form":
            return read_form(request.body or request.query.encode("utf-8", "replace"))
        case "xml":
            return read_xml(request.body)
        case _:
            return read_json(request.body)


def read_json(body: bytes) -> Any:
    """JSON in UTF-8 (UTF-16 and UTF-32 too). Raises Unreadable."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise Unreadable(f"the body is not JSON (line {error.lineno}, column {error.colno})") from None
    except (ValueError, RecursionError):
        raise Unreadable("the body is not JSON") from None


def read_form(body: bytes) -> dict[str, Any]:
    """application/x-www-form-urlencoded. Raises Unreadable."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Unreadable(f"the body is not a form of at most {MAX_FIELDS} fields in UTF-8") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        _add(fields, name, value)
    return fields


def read_xml(body: bytes) -> dict[str, Any]:
    """XML without DTD and entities: {root: content}, names without namespaces. Raises Unreadable.

    An element's content is its text or its children by name, a list if a name comes several times. Attributes are left
    out.
    """
    try:
        root = fromstring(body, forbid_dtd=True)
        return {_local(root.tag): _content(root, 0)}
    except DefusedXmlException:
        raise Unreadable("the body is XML with a DTD or entities, which are not accepted") from None
    except (ParseError, ValueError, LookupError, RecursionError, TypeError) as error:
        where = ""
        if position := getattr(error, "position", None):
            where = f" (line {position[0]}, column {position[1]})"
        raise Unreadable(f"the body is not XML{where}") from None


def _by_type(request: WebhookRequest) -> Format:
    kind = request.media_type
    if kind == "application/x-www-form-urlencoded" or (not request.body and request.query):
        return "form"
    if kind.endswith(("/xml", "+xml")):
        return "xml"
    return "json"


def _content(element: Element, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    if len(element) == 0:
        return (element.text or "").strip()
    children: dict[str, Any] = {}
    for child in element:
        _add(children, _local(child.tag), _content(child, depth + 1))
    return children


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _add(into: dict[str, Any], name: str, value: Any) -> None:
    if name not in into:
        into[name] = value
    elif isinstance(into[name], list):
        into[name].append(value)
    else:
        into[name] = [into[name], value]
