"""A settlement from a read-back and a verdict: what the store is told of every number of a batch. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from trunkline.bland.attach import (
    AccountFailed,
    Attached,
    CallFailed,
    Dead,
    Outcome,
    Outcomes,
    Retry,
    SplitBatch,
    Verdict,
    Verify,
)
from trunkline.engine.disposition import disposition_of
from trunkline.engine.read_back import ReadBack
from trunkline.lifecycle import DeadCode
from trunkline.profiles.profile import Profile
from trunkline.store.model import Batch, Disposition, Leased, OpenBreaker, RefusedAlike, Settlement, Trouble

MANY_ALIKE: Final = 3  # numbers of one call; fewer may well be the numbers' own mistake
UNKNOWN_WORDS: Final = "api_failed"  # of a number's refusal that is neither known to pass nor to be for good
DRAW_MS: Final = 60_000  # numbers that fail within it share their draws and go again together


def settlement_of(
    batch: Batch,
    profile: Profile,
    checked: ReadBack,
    verdict: Verdict | None,
    *,
    breaker: OpenBreaker | None = None,
    trouble: Trouble | None = None,
) -> Settlement:
    """`verdict` is on the numbers of `checked.to_send`, None if nothing was sent: then they go back as they were.

    `breaker` and `trouble`: what closes for the account, or may close, by the verdict or by the read-back.
    """
    told = _Told(batch, profile, checked)
    unread = told.released(checked.unanswered) if breaker is not None else told.unread(checked.unanswered)
    attached, dispositions = checked.attached, [*unread, *told.released(checked.later)]
    unsent = (*checked.attached, *_named(checked.unanswered), *_named(checked.later))
    healthy, refused = False, None
    match verdict:
        case Outcomes(by_number):
            found = [number for number, outcome in by_number.items() if isinstance(outcome, Attached)]
            attached += tuple(found)
            dispositions += told.outcomes(by_number)
            unsent += told.still_checked(by_number)
            healthy = any(isinstance(each, Attached | Dead) for each in by_number.values())
            refused = _refused_alike(verdict, told_before=told.told_before())
        case CallFailed(by_number):
            untouched = told.still_checked(by_number) + told.still_in_doubt(by_number)
            dispositions += told.free(by_number, untouched)
            unsent += untouched
            trouble = told.with_price(trouble, by_number)
        case SplitBatch():
            split, refused = told.split(verdict)
            dispositions += split
            healthy = True
        case AccountFailed():
            code = "forbidden" if verdict.kind == "forbidden" and not verdict.explicit else ""
            dispositions += told.released(checked.to_send, code)
        case None:
            dispositions += told.released(checked.to_send)
        case _:
            assert_never(verdict)
    return Settlement(
        fingerprint=batch.fingerprint,
        attached=attached,
        dispositions=tuple(dispositions),
        absent=checked.absent,
        healthy=healthy,
        breaker=breaker,
        trouble=trouble,
        refused=refused,
        unsent=unsent,
    )


def _refused_alike(verdict: Outcomes, *, told_before: int) -> RefusedAlike | None:
    """A call that refuses every number for the same reason may well be about the profile.

    Words that nobody knows may pass: they count once as many numbers of the call were `told_before`.
    """
    refusals = [each for each in verdict.by_number.values() if isinstance(each, Dead | Retry)]
    are_all = len(refusals) == len(verdict.by_number)
    if not verdict.alike or not are_all or len(refusals) < MANY_ALIKE:
        return None
    if not _are_for_good(refusals) and not (_are_unknown(refusals) and told_before >= MANY_ALIKE):
        return None
    return RefusedAlike(verdict.alike, tuple(each.number for each in refusals), refusals[0].message)


def _are_for_good(refusals: list[Dead | Retry]) -> bool:
    return all(isinstance(each, Dead) for each in refusals)


def _are_unknown(refusals: list[Dead | Retry]) -> bool:
    return all(isinstance(each, Retry) and each.code == UNKNOWN_WORDS for each in refusals)


def _named(numbers: list[Leased] | tuple[Leased, ...]) -> tuple[str, ...]:
    return tuple(each.number for each in numbers)


def _doubtful(told: list[Disposition], numbers: tuple[str, ...]) -> list[Disposition]:
    return [
        replace(each, kind="in_doubt") if each.number in numbers and each.kind == "retry" else each for each in told
    ]


@dataclass(frozen=True, slots=True)
class _Told:
    """The words for the numbers of one batch."""

    batch: Batch
    profile: Profile
    checked: ReadBack

    def released(self, numbers: tuple[Leased, ...], code: str = "") -> list[Disposition]:
        return [Disposition(each.number, "released", code=code) for each in numbers]

    def told_before(self) -> int:
        """Count the numbers sent that are tried for the second time."""
        return sum(each.attempts == 1 for each in self.checked.to_send)

    def unread(self, numbers: tuple[Leased, ...]) -> list[Disposition]:
        """Numbers whose read-back did not work: the doubt stays, and nobody pays for it."""
        code, message = self.checked.trouble.code, self.checked.trouble.message
        return [
            replace(self._disposition(each, Verify(each.number, code, message), free=True), unread=True)
            for each in numbers
        ]

    def outcomes(self, by_number: dict[str, Outcome]) -> list[Disposition]:
        to_send = self.checked.to_send
        told = [(each, by_number[each.number]) for each in to_send if each.number in by_number]
        dispositions = [self._disposition(each, outcome) for each, outcome in told if not isinstance(outcome, Attached)]
        return _doubtful(dispositions, self.still_checked(by_number))

    def free(self, by_number: dict[str, Retry | Verify], untouched: tuple[str, ...]) -> list[Disposition]:
        dispositions = [self._disposition(each, by_number[each.number], free=True) for each in self.checked.to_send]
        return _doubtful(dispositions, untouched)

    def still_checked(self, by_number: Mapping[str, Outcome]) -> tuple[str, ...]:
        """Attached numbers that were sent again as no read-back worked, and of which nothing became clear by that."""
        return tuple(
            each.number
            for each in self.checked.to_send
            if isinstance(by_number.get(each.number), Retry | Verify) and self._only_checked(each)
        )

    def still_in_doubt(self, by_number: Mapping[str, Retry | Verify]) -> tuple[str, ...]:
        """Numbers that were in doubt before a call that was certainly not processed."""
        doubtful = (each.number for each in self.checked.to_send if each.verify == "in_doubt")
        return tuple(number for number in doubtful if isinstance(by_number[number], Retry))

    def with_price(self, trouble: Trouble | None, by_number: dict[str, Retry | Verify]) -> Trouble | None:
        if trouble is None or len(self.checked.to_send) != 1:
            return trouble
        (lone,) = self.checked.to_send
        return replace(trouble, paid=self._disposition(lone, by_number[lone.number]))

    def split(self, verdict: SplitBatch) -> tuple[list[Disposition], RefusedAlike | None]:
        template = Disposition(
            "", "split", code=verdict.code, api_code=verdict.api_code or "", message=verdict.message, answer=verdict.raw
        )
        sent = _named(self.checked.to_send)
        if len(sent) > 1:
            return [replace(template, number=number) for number in sent], None
        code = DeadCode.poison if self.batch.is_child else DeadCode.rejected_by_api
        refused = RefusedAlike(verdict.signature, sent, verdict.message)
        return [replace(template, number=sent[0], kind="dead", dead_code=code.value)], refused

    def _disposition(self, each: Leased, outcome: Retry | Verify | Dead, *, free: bool = False) -> Disposition:
        decided = disposition_of(
            outcome,
            profile=self.profile.name,
            attempts=each.attempts,
            rules=self.profile.retry,
            now_ms=self.batch.now_ms,
            salt=str(self.batch.now_ms // DRAW_MS),
            free=free,
        )
        if decided.kind == "dead" and not isinstance(outcome, Dead) and self._only_checked(each):
            # It is attached, and only the check of it does not work: that is no reason to call it dead.
            at_ms = self.batch.now_ms + int(self.profile.retry.max_s * 1000)
            return Disposition(
                each.number, "in_doubt", at_ms=at_ms, code=outcome.code, message=outcome.message, free=True
            )
        return decided

    def _only_checked(self, each: Leased) -> bool:
        """Tell if a number is attached with the profile's present configuration, as far as anybody knows."""
        there = each.number not in self.checked.absent and each.attached_under == self.batch.fingerprint
        return each.verify == "check" and there and not each.forced
