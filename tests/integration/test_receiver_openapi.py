"""The receiver answers as its description says, to what the description allows and to what it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.receivers import Site, receiving, secret, settings_with
from support.servers import Server
from trunkline.errors import InvalidEvent
from trunkline.events.event import parse_event
from trunkline.events.routing import Route, When
from trunkline.store import Store
from trunkline_producers.sources.interpret import from_cloudevent

OPEN = {"verify": {"scheme": "none"}}
SOURCES: dict[str, dict[str, Any]] = {
    "native": {"type": "native", "profile": "support", **OPEN},
    "mapped": {"number": "number", "event_id": "id", "profile": "support", **OPEN},
    "shut": {"number": "number", "verify": {"scheme": "basic", "username": "a"}, "keys": [secret("k")]},
    "accepting": {"number": "number", "on_rejected": "accept", "methods": ["POST", "PUT"], **OPEN},
}
ROUTES = (Route(when=When(country="US"), profile="support"),)
OPERATIONS = {"/v1/events": "post", "/hooks/{source}": "post", "/healthz": "get", "/readyz": "get"}
# What a body means decides about it as well as its form (a number, a profile, one event of several), so a body that the
# schema allows may be refused, and of an array that it does not allow a part is taken.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def site(valkey: Server) -> Iterator[Site]:
    with valkey.client() as client:
        client.flushdb()
        with receiving(Store(client), settings_with(SOURCES, routes=ROUTES, public_url=None)) as site:
            yield site


@pytest.fixture(scope="module")
def schema(site: Site) -> Any:
    return schemathesis.openapi.from_url(f"{site.url}/openapi.json")


def each(schema: Any, path: str, holds: Callable[[Any], None], mode: GenerationMode, examples: int = 40) -> None:
    """Runs a property for requests to a path that its description allows (positive), or does not (negative)."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(schema[path][OPERATIONS[path]].as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        holds(case)

    run()


def faults(read: Callable[[Any], object], item: Any) -> set[str]:
    """Where an event has mistakes."""
    try:
        read(item)
    except InvalidEvent as invalid:
        return {mistake.place for mistake in invalid.mistakes}
    return set()


def test_every_route_is_described(schema: Any) -> None:
    described = {path: {method for method in schema[path] if method in {"get", "post", "put"}} for path in schema}
    assert described == {path: {method} for path, method in OPERATIONS.items()}


@pytest.mark.parametrize("source", [*SOURCES, "nobody"])
def test_a_delivery_is_answered_as_described(schema: Any, source: str) -> None:  # and any body is allowed
    def holds(case: Any) -> None:
        case.path_parameters["source"] = source
        case.call_and_validate(checks=CHECKS)

    each(schema, "/hooks/{source}", holds, GenerationMode.POSITIVE, examples=20)


@pytest.mark.parametrize("mode", GenerationMode)
def test_events_of_programs_are_answered_as_described(schema: Any, mode: GenerationMode) -> None:
    each(schema, "/v1/events", lambda case: case.call_and_validate(checks=CHECKS), mode)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_platform_is_answered_as_described(schema: Any, path: str) -> None:
    each(schema, path, lambda case: case.call_and_validate(checks=CHECKS), GenerationMode.POSITIVE, examples=2)


def test_what_the_description_allows_is_an_event(schema: Any) -> None:
    def holds(case: Any) -> None:
        cloudevents = "cloudevents" in case.media_type
        for item in case.body if isinstance(case.body, list) else [case.body]:
            if not cloudevents:
                assert faults(parse_event, item) <= {"occurred_at", "metadata"}
            elif "data" in item:
                assert faults(from_cloudevent, item) == set()

    each(schema, "/v1/events", holds, GenerationMode.POSITIVE, examples=100)


def test_the_other_methods_are_refused_with_those_that_there_are(site: Site) -> None:
    for path, method in {**OPERATIONS, "/hooks/native": "post"}.items():
        if "{" not in path:
            answer = site.client.delete(path)
            assert (answer.status_code, answer.headers["allow"]) == (405, method.upper())
