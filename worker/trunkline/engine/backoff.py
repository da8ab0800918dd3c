"""When a number may go again, and how long a breaker stays open: backoff with full jitter over a floor."""

import math
from hashlib import blake2b
from typing import Final

from trunkline.profiles.profile import RetryRules

GRID_MS: Final = 1000  # times are whole seconds, so that what failed together goes together again
_MAX_DOUBLINGS: Final = 62
_FIRST_GATE_S: Final = 1.0


def retry_at_ms(rules: RetryRules, attempt: int, draw: float, now_ms: int) -> int:
    """When a number may go again after its `attempt`-th attempt (from 1): milliseconds, on a whole second.

    The delay lies between half of the first pause and a cap that doubles with each attempt up to `max_s`; `draw` in
    [0, 1) says where.
    """
    cap_s = min(rules.max_s, rules.initial_s * 2.0 ** min(max(attempt - 1, 0), _MAX_DOUBLINGS))
    floor_s = min(rules.initial_s, cap_s) / 2
    return on_grid(now_ms + (floor_s + draw * (cap_s - floor_s)) * 1000)


def draw_for(profile: str, attempt: int, salt: str = "") -> float:
    """One number in [0, 1) for a profile and attempt, the same in every process."""
    digest = blake2b(f"{salt}\0{profile}\0{attempt}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2.0**53


def breaker_delay_s(consecutive: int, initial_s: float, max_s: float, retry_after_s: float | None) -> float:
    """Seconds that an account's breaker stays open at its `consecutive`-th trouble in a row (from 1).

    What the API asks for is kept, less than `max_s` or more; one that keeps asking for nothing waits longer each time.
    """
    doublings = 2.0 ** min(max(consecutive - 1, 0), _MAX_DOUBLINGS)
    if retry_after_s is not None:
        return max(retry_after_s, min(initial_s, max_s, _FIRST_GATE_S * doublings))
    return min(max_s, initial_s * doublings)


def on_grid(at_ms: float) -> int:
    """The next whole second, in milliseconds."""
    return math.ceil(at_ms / GRID_MS) * GRID_MS
