"""The stand-in without its sockets: one request in, one reply out, all state behind one lock."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qs

from trunkline.sandbox import answers
from trunkline.sandbox.answers import Content, Reason
from trunkline.sandbox.book import DIRECTIONS, Book, Configuration
from trunkline.sandbox.conduct import Arrived, Conduct, decide, distinct_numbers, register_password, scripted_content
from trunkline.sandbox.documented import (
    AttachRequest,
    DetachRequest,
    Invalid,
    UpdateRequest,
    fields_of,
    identity,
    login_of,
    read,
)
from trunkline.sandbox.rules import SandboxRules
from trunkline.sandbox.script import Script, Step, read_steps
from trunkline.sandbox.witness import Call, Link, Witness

STAND_IN = "trunkline-sandbox, a stand-in for api.bland.ai"

ENDPOINTS = {
    ("POST", "/v1/sip/attach"): "attach",
    ("POST", "/v1/sip/update"): "update",
    ("POST", "/v1/sip/detach"): "detach",
    ("GET", "/v1/sip"): "number",
    ("GET", "/v1/sip/numbers"): "numbers",
    ("GET", "/v1/me"): "me",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; `headers` by lower-case name, `target` with the query."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    def echo(self) -> str:
        """The whole request as text."""
        headers = "".join(f"{name}: {value}\n" for name, value in self.headers.items())
        return f"{self.method} {self.target}\n{headers}\n{self.body.decode(errors='replace')}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and whether the connection is cut in place of it or in the middle of it.

    `unwritten` is to be called if the answer can't be written.
    """

    content: Content
    cut: bool = False
    cut_midway: bool = False
    unwritten: Callable[[], None] | None = None


class Service:
    """`clock` is wall-clock and `monotonic` monotonic, both in seconds; `pause` waits so many seconds."""

    def __init__(
        self,
        rules: SandboxRules,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        pause: Callable[[float], object],
    ) -> None:
        self._rules = rules
        self._clock, self._monotonic, self._pause = clock, monotonic, pause
        self._lock = threading.Lock()
        self._book, self._witness, self._script = Book(), Witness(), Script()
        self._burst_left = 0
        self._serial = 0

    def handle(self, request: Request, link: Link) -> Reply:
        """Answers any request as the API would."""
        path, _, query = request.target.partition("?")
        endpoint = ENDPOINTS.get((request.method, path))
        with self._lock:
            self._witness.calls[endpoint or "other"] += 1
        if endpoint == "attach":
            return self._attach(request, link)
        if endpoint is None:
            return Reply(answers.failure(404))
        return self._plain(endpoint, request, query)

    @property
    def rules(self) -> SandboxRules:
        """The rules in force."""
        return self._rules

    def change(self, changes: Mapping[str, Any]) -> SandboxRules:
        """Replaces some of the rules from the next request on; raises RulesError."""
        with self._lock:
            self._rules = self._rules.changed(changes)
            self._burst_left = 0
            return self._rules

    def script(self, steps: object) -> None:
        """Replaces the steps still to come; an empty list leaves everything to the rules. Raises RulesError."""
        script = Script(read_steps(steps))
        with self._lock:
            self._script = script

    def stats(self) -> dict[str, Any]:
        """The counts since the start."""
        with self._lock:
            counts = self._witness.stats()
            return {"stand_in": True, "attached": len(self._book), "script_left": len(self._script), **counts}

    def log(self) -> list[dict[str, Any]]:
        """The last attach calls, oldest first."""
        with self._lock:
            return self._witness.log()

    def forget(self, numbers: Iterable[str]) -> None:
        """Loses the numbers, as if somebody had detached them by hand."""
        with self._lock:
            for number in numbers:
                self._book.detach(number, DIRECTIONS)
                self._witness.forget(number, DIRECTIONS)

    # attach

    def _attach(self, request: Request, link: Link) -> Reply:
        body = read(AttachRequest, request.body)
        configurations = _configurations(body)
        with self._lock:
            call = self._call(body, configurations, link)
            conduct = self._decide(request, body, call)
        self._wait(conduct.wait_before_s)
        if conduct.committed:
            with self._lock:
                self._book.attach(conduct.committed, configurations, self._clock())
        self._wait(conduct.wait_after_s)
        answered = not (conduct.cut or conduct.cut_midway or link.gone())
        with self._lock:
            self._witness.leave(call, conduct, answered=answered)
        return Reply(conduct.content, conduct.cut, conduct.cut_midway, lambda: self._unanswered(call))

    def _call(self, body: AttachRequest | Invalid, configurations: list[Configuration], link: Link) -> Call:
        asked = {each.type: _digest(each) for each in configurations}
        numbers = distinct_numbers(body)
        return Call(body.numbers, numbers, asked, link, self._clock(), self._monotonic())

    def _decide(self, request: Request, body: AttachRequest | Invalid, call: Call) -> Conduct:
        rules, step = self._rules, self._script.next("attach")
        self._serial += 1
        throttled = step is None and self._burst_left > 0
        arrived = Arrived(
            request=body,
            numbers=call.numbers,
            times_sent=self._witness.arrive(call),
            gate=_gate(rules, "attach", request),
            throttled=throttled,
            serial=self._serial,
            echo=request.echo() if rules.echo_400 else "",
        )
        conduct = decide(rules, arrived, step)
        if throttled:
            self._burst_left -= 1
        elif conduct.fault == "http_429":
            self._burst_left = rules.burst_429 - 1
        return conduct

    def _unanswered(self, call: Call) -> None:
        with self._lock:
            self._witness.unanswered(call)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._pause(seconds)

    # the others

    def _plain(self, endpoint: str, request: Request, query: str) -> Reply:
        with self._lock:
            rules, step = self._rules, self._script.next(endpoint)
        fault = step.fault if step is not None else None
        self._wait(rules.latency_s)
        if step is not None and fault == "hang_before":
            self._wait(step.seconds)
        if fault in ("cut_before", "hang_before"):
            return Reply(answers.failure(503), cut=True)
        content = self._content(endpoint, request, query, rules, step)
        if step is not None and fault == "hang_after":
            self._wait(step.seconds)
        return Reply(content, cut=fault == "cut_after", cut_midway=fault == "cut_midway")

    def _content(self, endpoint: str, request: Request, query: str, rules: SandboxRules, step: Step | None) -> Content:
        if step is not None and step.answers:
            return scripted_content(step)
        gate = _gate(rules, endpoint, request)
        if gate is not None:
            return gate
        behaviours: dict[str, Callable[[], Content]] = {
            "update": lambda: self._update(request.body, rules),
            "detach": lambda: self._detach(request.body),
            "number": lambda: self._number(query, rules),
            "numbers": self._numbers,
            "me": lambda: answers.success(_ME),
        }
        return behaviours[endpoint]()

    def _numbers(self) -> Content:
        with self._lock:
            listing = self._book.listing()
        return answers.success({"numbers": listing})

    def _update(self, body: bytes, rules: SandboxRules) -> Content:
        update = read(UpdateRequest, body)
        if isinstance(update, Invalid):
            return answers.invalid(update.mistakes)
        number = identity(update.phone_number, trunk=True) or update.phone_number
        change = Configuration(update.updates.type, fields_of(update.updates))
        with self._lock:
            self._serial += 1
            serial = self._serial
            if not self._book.update(number, change, self._clock()):
                return answers.failure(404, Reason("NOT_FOUND", "This number has no such configuration."))
        data: dict[str, Any] = {"phone_number": number}
        password = register_password(rules, login_of(update.updates), serial)
        return answers.success(data if password is None else {**data, "register_password_for_pbx": password})

    def _detach(self, body: bytes) -> Content:
        detach = read(DetachRequest, body)
        if isinstance(detach, Invalid):
            return answers.invalid(detach.mistakes)
        number = identity(detach.phone_number, trunk=True) or detach.phone_number
        with self._lock:
            removed = self._book.detach(number, [each.type for each in detach.directions])
            self._witness.forget(number, removed)
        return answers.success({"phone_number": number, "detached": removed})

    def _number(self, query: str, rules: SandboxRules) -> Content:
        asked = parse_qs(query).get("phone_number", [""])[0]
        if not asked:
            return answers.invalid(["phone_number: Field required"])
        with self._lock:
            detail = self._book.detail(identity(asked, trunk=True) or asked)
        if detail is None and rules.unknown_number == "404":
            return answers.failure(404, Reason("NOT_FOUND", "This number has no SIP configuration."))
        return answers.success(detail or dict.fromkeys(DIRECTIONS))


_ME = {"status": "active", "billing": {"current_balance": 100.0, "refill_to": None}, "total_calls": 0}


def _gate(rules: SandboxRules, endpoint: str, request: Request) -> Content | None:
    """The answer to a key or an account that may not do this, None if it may."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not key or (rules.api_key is not None and not compare_digest(key.encode(), rules.api_key.encode())):
        return answers.failure(401)
    if rules.suspended:
        return answers.failure(403, Reason("FORBIDDEN", "This account has been suspended; contact support."))
    if not rules.sip_enabled and endpoint != "me":
        return answers.failure(403, Reason("SIP_NOT_ENABLED", "SIP is not enabled for this organization."))
    return None


def _configurations(body: AttachRequest | Invalid) -> list[Configuration]:
    if isinstance(body, Invalid):
        return []
    return [Configuration(each.type, fields_of(each), body.trunk_id) for each in body.directions]


def _digest(configuration: Configuration) -> str:
    """Tells one configuration from another without keeping its secrets."""
    text = json.dumps([configuration.fields, configuration.trunk_id], sort_keys=True)
    return blake2b(text.encode(), digest_size=12).hexdigest()
