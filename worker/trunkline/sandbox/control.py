"""The sandbox's own paths, /_sandbox/...: what it saw, and what it shall do. They ask for no key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from trunkline.sandbox import answers
from trunkline.sandbox.answers import Content
from trunkline.sandbox.rules import RulesError
from trunkline.sandbox.service import STAND_IN, Request, Service


def control(service: Service, request: Request) -> Content | None:
    """The answer to a request for one of the sandbox's own paths, None for any other path."""
    path = request.target.partition("?")[0]
    if path != "/" and not path.startswith("/_sandbox/"):
        return None
    answer = _PATHS.get((request.method, path))
    if answer is None:
        return answers.failure(404)
    try:
        return answers.as_json(answer(service, request.body))
    except RulesError as error:
        return answers.invalid(error.mistakes)


def _name(_: Service, __: bytes) -> object:
    return {"stand_in": True, "name": STAND_IN, "stats": "/_sandbox/stats"}


def _change(service: Service, body: bytes) -> object:
    changes = _parsed(body)
    if not isinstance(changes, dict):
        raise RulesError(["the body must be a JSON object of rules"])
    return service.change(changes).as_json()


def _script(service: Service, body: bytes) -> object:
    service.script(_parsed(body))
    return {"script_left": service.stats()["script_left"]}


def _forget(service: Service, body: bytes) -> object:
    numbers = _parsed(body)
    if not isinstance(numbers, list) or not all(isinstance(each, str) for each in numbers):
        raise RulesError(["the body must be a JSON list of numbers"])
    service.forget(numbers)
    return {"attached": service.stats()["attached"]}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise RulesError([f"the body is not JSON: {error}"]) from error


_PATHS: dict[tuple[str, str], Callable[[Service, bytes], object]] = {
    ("GET", "/"): _name,
    ("GET", "/_sandbox/stats"): lambda service, _: service.stats(),
    ("GET", "/_sandbox/log"): lambda service, _: service.log(),
    ("GET", "/_sandbox/rules"): lambda service, _: service.rules.as_json(),
    ("POST", "/_sandbox/rules"): _change,
    ("POST", "/_sandbox/script"): _script,
    ("POST", "/_sandbox/forget"): _forget,
}
