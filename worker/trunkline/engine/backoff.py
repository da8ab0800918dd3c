"""What happens next to a number, and when: backoff with full jitter over a floor, attempts that run out, gates."""

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal, assert_never

from trunkline.bland.attach import Attached, Dead, Outcome, Retry, Verify
from trunkline.lifecycle import DeadCode
from trunkline.profiles.profile import RetryRules

GRID_MS: Final = 1000  # times are whole seconds, so that what failed together goes together again
_MAX_DOUBLINGS: Final = 62
_FIRST_GATE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a number at one attempt.

    `at_ms` is when a `retry` or a `verify` may go (milliseconds, the clock of `now_ms`), None for the others. `code` is
    a DeadCode for `dead`, the outcome's own for `retry` and `verify`, empty for `attached`.
    """

    number: str
    kind: Literal["attached", "retry", "verify", "dead"]
    at_ms: int | None = None
    code: str = ""
    api_code: str | None = None
    message: str = ""
    raw: str = ""


def settlement(
    outcome: Outcome,
    *,
    profile: str,
    attempts: int,
    rules: RetryRules,
    now_ms: int,
    salt: str = "",
    free: bool = False,
) -> Settled:
    """What an outcome comes to for a number that had `attempts` counted before; this attempt is one more.

    With `free` it is none: the number waits as after its last one, and its attempts never run out. Numbers of one
    profile and attempt share one draw, so they come due together; `salt` makes installations differ.
    """
    match outcome:
        case Attached(number):
            return Settled(number, "attached")
        case Dead(number, code, api_code, message, raw):
            return Settled(number, "dead", None, code.value, api_code, message, raw)
        case Retry():
            kind: Literal["retry", "verify"] = "retry"
            asked_s = outcome.retry_after_s
        case Verify():
            kind, asked_s = "verify", None
        case _:
            assert_never(outcome)
    attempt = attempts if free else attempts + 1
    words = (outcome.api_code, outcome.message, outcome.raw)
    if not free and attempt >= rules.max_attempts:
        return Settled(outcome.number, "dead", None, DeadCode.attempts_exhausted.value, *words)
    at_ms = retry_at_ms(rules, attempt, draw_for(profile, attempt, salt), now_ms)
    if asked_s is not None:
        at_ms = max(at_ms, _on_grid(now_ms + asked_s * 1000))
    return Settled(outcome.number, kind, at_ms, outcome.code, *words)


def retry_at_ms(rules: RetryRules, attempt: int, draw: float, now_ms: int) -> int:
    """When a number may go again after its `attempt`-th attempt (from 1): milliseconds, on a whole second.

    The delay lies between half of the first pause and a cap that doubles with each attempt up to `max_s`; `draw` in
    [0, 1) says where.
    """
    cap_s = min(rules.max_s, rules.initial_s * 2.0 ** min(max(attempt - 1, 0), _MAX_DOUBLINGS))
    floor_s = min(rules.initial_s, cap_s) / 2
    return _on_grid(now_ms + (floor_s + draw * (cap_s - floor_s)) * 1000)


def draw_for(profile: str, attempt: int, salt: str = "") -> float:
    """One number in [0, 1) for a profile and attempt, the same in every process."""
    digest = blake2b(f"{salt}\0{profile}\0{attempt}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2.0**53


def gate_delay_s(consecutive: int, initial_s: float, max_s: float, retry_after_s: float | None) -> float:
    """Seconds that an account's gate stays closed at its `consecutive`-th trouble in a row (from 1).

    What the API asks for is kept, less than `max_s` or more; one that keeps asking for nothing waits longer each time.
    """
    doublings = 2.0 ** min(max(consecutive - 1, 0), _MAX_DOUBLINGS)
    if retry_after_s is not None:
        return max(retry_after_s, min(initial_s, max_s, _FIRST_GATE_S * doublings))
    return min(max_s, initial_s * doublings)


def _on_grid(at_ms: float) -> int:
    return math.ceil(at_ms / GRID_MS) * GRID_MS
