"""What happens in one attach call: rules, request and script decide, nothing is done here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from trunkline.sandbox import answers
from trunkline.sandbox.answers import Content, Reason
from trunkline.sandbox.chance import draw
from trunkline.sandbox.documented import AttachRequest, Invalid, RegisterAuth, identity
from trunkline.sandbox.rules import SandboxRules
from trunkline.sandbox.script import Step


@dataclass(frozen=True, slots=True)
class Arrived:
    """An attach call as it came in.

    `numbers` are the distinct numbers of the request as the API keeps them, or as they were sent where they are
    malformed; `times_sent` says for each how often it came before. `gate` is the answer to a key or an account
    that may not attach. `serial` counts the calls; `echo` is the whole request as text.
    """

    request: AttachRequest | Invalid
    numbers: tuple[str, ...]
    times_sent: Sequence[int]
    gate: Content | None = None
    throttled: bool = False
    serial: int = 0
    echo: str = ""


@dataclass(frozen=True, slots=True)
class Conduct:
    """What the sandbox does with the call, in this order: wait, attach `committed`, wait, answer or cut.

    `configured` and `failed` are the numbers that the answer names; nobody learns of them where it is cut.
    """

    content: Content
    committed: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    wait_before_s: float = 0.0
    wait_after_s: float = 0.0
    cut: bool = False
    cut_midway: bool = False
    fault: str | None = None


def distinct_numbers(request: AttachRequest | Invalid) -> tuple[str, ...]:
    """The numbers of a request, each once, in order."""
    trunk = isinstance(request, AttachRequest) and request.trunk_id is not None
    return tuple(dict.fromkeys(identity(raw, trunk=trunk) or raw for raw in request.numbers))


def decide(rules: SandboxRules, call: Arrived, step: Step | None = None) -> Conduct:
    """What happens: the script first, then key and account, the documented rules, and the random faults."""
    if step is not None and step.answers:
        return _with_latency(rules, _as_scripted(rules, call, step))
    if call.gate is not None:
        return _with_latency(rules, Conduct(call.gate, fault="gate"))
    normal = _by_the_rules(rules, call, step)
    if step is not None:
        return _with_latency(rules, _befallen(rules, normal, step.fault, step.seconds))
    return _with_latency(rules, _befallen(rules, normal, _random_fault(rules, call), rules.hang_s))


def scripted_content(step: Step) -> Content:
    """The answer that a step spells out."""
    if "body" not in step.model_fields_set:
        return answers.failure(step.status, headers=step.headers)
    if isinstance(step.body, str):
        return Content(step.status, step.body.encode(), "text/html", step.headers)
    return answers.as_json(step.body, step.status, step.headers)


def register_password(rules: SandboxRules, login: RegisterAuth | None, serial: int) -> str | None:
    """What the PBX shall register with, where a direction registers: derived from its login."""
    if login is None:
        return None
    salt = serial if rules.pbx_login == "fresh" else 0
    secret = json.dumps([rules.seed, login.username, login.password, salt])
    return "pbx-" + blake2b(secret.encode(), digest_size=12).hexdigest()


def _with_latency(rules: SandboxRules, conduct: Conduct) -> Conduct:
    return replace(conduct, wait_before_s=conduct.wait_before_s + rules.latency_s)


def _as_scripted(rules: SandboxRules, call: Arrived, step: Step) -> Conduct:
    content = scripted_content(step)
    if step.status == 400 and rules.echo_400 and "body" not in step.model_fields_set:
        content = _echoing(call, "The request is invalid.", content)
    committed = _by_the_rules(rules, call, step).committed if step.commit else ()
    return Conduct(content, committed=committed, fault="script")


def _by_the_rules(rules: SandboxRules, call: Arrived, step: Step | None) -> Conduct:
    """The documented behaviour, with the numbers that fail by chance, for good, or by the script."""
    if isinstance(call.request, Invalid):
        return _refused(rules, call, *call.request.mistakes)
    if any(map(rules.poisonous, call.numbers)):
        return _refused(rules, call, "One of the numbers can't be processed.")
    if rules.unknown_trunk == "refuse" and _trunk_is_unknown(rules, call.request):
        return Conduct(answers.failure(422, Reason("TRUNK_NOT_FOUND", rules.unknown_trunk_says)))
    failed = dict(_failures(rules, call, step))
    if rules.malformed == "refuse" and answers.MALFORMED in failed.values():
        return _refused(rules, call, "phone_numbers: expected E.164.")
    committed = tuple(number for number in call.numbers if number not in failed)
    omitted = step.omitted if step is not None else ()
    configured = tuple(number for number in committed if number not in omitted) if omitted else committed
    content = answers.attached(
        configured,
        list(failed.items()),
        shape=rules.failed_shape,
        register_password=register_password(rules, call.request.login(), call.serial),
        status=rules.partial_status if failed else 200,
    )
    return Conduct(content, committed=committed, configured=configured, failed=tuple(failed))


def _failures(rules: SandboxRules, call: Arrived, step: Step | None) -> Iterator[tuple[str, Reason]]:
    by_script = step.failed if step is not None else {}
    trunk = isinstance(call.request, AttachRequest) and call.request.trunk_id is not None
    for number, times_sent in zip(call.numbers, call.times_sent, strict=True):
        if identity(number, trunk=trunk) is None:
            yield number, answers.MALFORMED
        elif _trunk_is_unknown(rules, call.request):
            yield number, Reason("TRUNK_NOT_FOUND", rules.unknown_trunk_says)
        elif number in by_script:
            yield number, Reason("FAILED", by_script[number])
        elif rules.dead_rate and draw(rules.seed, "dead", number) < rules.dead_rate:
            yield number, answers.NOT_OWNED
        elif rules.fail_rate and draw(rules.seed, "fail", number, times_sent) < rules.fail_rate:
            yield number, answers.NOT_NOW


def _trunk_is_unknown(rules: SandboxRules, request: AttachRequest | Invalid) -> bool:
    named = request.trunk_id if isinstance(request, AttachRequest) else None
    return named is not None and rules.trunks is not None and named not in rules.trunks


def _refused(rules: SandboxRules, call: Arrived, *mistakes: str) -> Conduct:
    content = answers.invalid(mistakes)
    return Conduct(_echoing(call, mistakes[0], content) if rules.echo_400 else content)


def _echoing(call: Arrived, mistake: str, content: Content) -> Content:
    """A 400 that says the whole request again, as careless servers do."""
    said = Reason("INVALID_REQUEST", f"{mistake} The request was: {call.echo}")
    return answers.failure(400, said, headers=content.headers)


def _random_fault(rules: SandboxRules, call: Arrived) -> str | None:
    if call.throttled:
        return "http_429"
    if not call.numbers:
        return None
    left = draw(rules.seed, "call", call.numbers[0], call.times_sent[0])
    for fault, share in rules.call_faults():
        if left < share:
            return fault
        left -= share
    return None


_STATUS = {"http_429": 429, "http_500": 500, "http_500_after": 500, "http_503": 503}
_AFTER_COMMIT = frozenset({"http_500_after", "cut_after", "cut_midway"})
_CUT = frozenset({"cut_before", "cut_after", "hang_before"})


def _befallen(rules: SandboxRules, normal: Conduct, fault: str | None, seconds: float) -> Conduct:
    """What a fault makes of a call that would otherwise have gone as documented."""
    if fault is None:
        return normal
    if fault == "hang_after":
        return replace(normal, wait_after_s=seconds, fault=fault)
    return replace(
        normal,
        content=_passing(rules, _STATUS[fault]) if fault in _STATUS else normal.content,
        committed=normal.committed if fault in _AFTER_COMMIT else (),
        configured=(),
        failed=(),
        wait_before_s=seconds if fault == "hang_before" else 0.0,
        cut=fault in _CUT,
        cut_midway=fault == "cut_midway",
        fault=fault,
    )


def _passing(rules: SandboxRules, status: int) -> Content:
    says_when = status in (429, 503) and rules.retry_after_s is not None
    return answers.failure(status, headers={"Retry-After": str(rules.retry_after_s)} if says_when else {})
