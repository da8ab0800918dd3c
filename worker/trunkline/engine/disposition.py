"""From what the API said of a number to its disposition: which attempt it is, when it goes again, when it is dead."""

from __future__ import annotations

from typing import Literal, assert_never

from trunkline.bland.attach import Dead, Retry, Verify
from trunkline.engine.backoff import draw_for, on_grid, retry_at_ms
from trunkline.lifecycle import DeadCode
from trunkline.profiles.profile import RetryRules
from trunkline.store.model import Disposition


def disposition_of(
    outcome: Retry | Verify | Dead,
    *,
    profile: str,
    attempts: int,
    rules: RetryRules,
    now_ms: int,
    salt: str = "",
    free: bool = False,
) -> Disposition:
    """Decide what becomes of a number that had `attempts` counted before; this attempt is one more.

    With `free` it is none: the number waits as after its last one, and its attempts never run out. Numbers of one
    profile and attempt share one draw, so they come due together; `salt` makes installations differ. `now_ms` is the
    store's clock.
    """
    match outcome:
        case Dead():
            return _dead(outcome, outcome.code)
        case Retry():
            kind: Literal["retry", "in_doubt"] = "retry"
            asked_s = outcome.retry_after_s
        case Verify():
            kind, asked_s = "in_doubt", None
        case _:
            assert_never(outcome)
    attempt = attempts if free else attempts + 1
    if not free and attempt >= rules.max_attempts:
        return _dead(outcome, DeadCode.attempts_exhausted)
    at_ms = retry_at_ms(rules, attempt, draw_for(profile, attempt, salt), now_ms)
    if asked_s is not None:
        at_ms = max(at_ms, on_grid(now_ms + asked_s * 1000))
    return Disposition(
        outcome.number,
        kind,
        at_ms=at_ms,
        code=outcome.code,
        api_code=outcome.api_code or "",
        message=outcome.message,
        answer=outcome.raw,
        free=free,
    )


def _dead(outcome: Retry | Verify | Dead, dead_code: DeadCode) -> Disposition:
    return Disposition(
        outcome.number,
        "dead",
        dead_code=dead_code.value,
        code=outcome.code,
        api_code=outcome.api_code or "",
        message=outcome.message,
        answer=outcome.raw,
    )
