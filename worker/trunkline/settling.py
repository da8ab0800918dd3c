"""A settlement from a read-back and a verdict: what the store is told of every number of a batch. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, assert_never

from trunkline.attach import Attached, Dead, GateAccount, Outcome, Outcomes, SplitBatch, Verdict, Verify
from trunkline.backoff import settlement
from trunkline.checking import Checked
from trunkline.contract import DeadCode
from trunkline.profiles import Profile
from trunkline.store.model import Batch, Gate, Leased, Other, RefusedAlike, Settlement

DRAW_MS: Final = 60_000  # numbers that fail within it share their draws and go again together


def settlement_of(
    batch: Batch, profile: Profile, checked: Checked, verdict: Verdict | None, gate: Gate | None
) -> Settlement:
    """`verdict` is on the numbers of `checked.to_send`, None if nothing was sent: then they go back as they were."""
    by_number: dict[str, Outcome] = {}
    others: list[Other] = []
    refused = None
    match verdict:
        case Outcomes():
            by_number = verdict.by_number
        case SplitBatch():
            others, refused = _split(batch, checked.to_send, verdict)
        case GateAccount():
            code = "forbidden" if verdict.kind == "forbidden" and not verdict.explicit else ""
            others = [Other(each.number, "back", code=code) for each in checked.to_send]
        case None:
            others = [Other(each.number, "back") for each in checked.to_send]
        case _:
            assert_never(verdict)
    attached = [*checked.attached]
    for each, outcome in _outcomes(checked, by_number, unanswered_waits=gate is None):
        if isinstance(outcome, Attached):
            attached.append(each.number)
        else:
            others.append(_other(batch, profile, each, outcome))
    others += [Other(each.number, "back") for each in checked.unanswered if gate is not None]
    others += [Other(each.number, "back") for each in checked.later]
    return Settlement(
        fingerprint=batch.fingerprint,
        attached=tuple(attached),
        others=tuple(others),
        absent=checked.absent,
        healthy=isinstance(verdict, SplitBatch)
        or any(isinstance(each, Attached | Dead) for each in by_number.values()),
        gate=gate,
        refused=refused,
    )


def _outcomes(
    checked: Checked, by_number: dict[str, Outcome], *, unanswered_waits: bool
) -> Iterator[tuple[Leased, Outcome]]:
    for each in checked.to_send:
        if each.number in by_number:
            yield each, by_number[each.number]
    if unanswered_waits:
        code, message = checked.trouble
        for each in checked.unanswered:
            yield each, Verify(each.number, code, message)


def _split(batch: Batch, sent: tuple[Leased, ...], verdict: SplitBatch) -> tuple[list[Other], RefusedAlike | None]:
    template = Other(
        "", "split", code=verdict.code, api_code=verdict.api_code or "", message=verdict.message, answer=verdict.raw
    )
    if len(sent) > 1:
        return [replace(template, number=each.number) for each in sent], None
    number = sent[0].number
    code = DeadCode.poison if batch.is_child else DeadCode.rejected_by_api
    refused = RefusedAlike(verdict.signature, (number,), verdict.message)
    return [replace(template, number=number, kind="dead", dead_code=code.value)], refused


def _other(batch: Batch, profile: Profile, each: Leased, outcome: Outcome) -> Other:
    settled = settlement(
        outcome,
        profile=profile.name,
        attempts=each.attempts,
        rules=profile.retry,
        now_ms=batch.now_ms,
        salt=str(batch.now_ms // DRAW_MS),
    )
    if settled.kind == "attached":
        raise ValueError("an attached number is no other outcome")
    if (
        settled.kind == "dead"
        and each.verify == "c"
        and isinstance(outcome, Verify)
        and outcome.code != "not_mentioned"
    ):
        # It is attached, and only the check of it does not work: that is no reason to call it dead.
        at_ms = batch.now_ms + int(profile.retry.max_s * 1000)
        return Other(each.number, "verify", at_ms=at_ms, code=outcome.code, message=outcome.message)
    return Other(
        number=each.number,
        kind=settled.kind,
        at_ms=settled.at_ms or 0,
        dead_code=settled.code if settled.kind == "dead" else "",
        code=getattr(outcome, "code", settled.code),
        api_code=settled.api_code or "",
        message=settled.message,
        answer=settled.raw,
    )
