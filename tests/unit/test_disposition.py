"""What becomes of a number, by what the API said of it."""

import pytest

from trunkline.bland.attach import Dead, Retry, Verify
from trunkline.engine.disposition import disposition_of
from trunkline.lifecycle import DeadCode
from trunkline.profiles.profile import RetryRules
from trunkline.store.model import Disposition

A = "+14155550100"
RULES = RetryRules(max_attempts=3, initial_s=4.0, max_s=60.0)
NOW_MS = 1_795_348_800_123


def test_what_failed_together_goes_together_again() -> None:
    settled = [
        disposition_of(Retry(f"+1415555{i:04d}", "http_503", "x"), profile="p", attempts=0, rules=RULES, now_ms=NOW_MS)
        for i in range(50)
    ]
    assert len({each.at_ms for each in settled}) == 1


def test_what_the_api_refuses_for_good_is_dead() -> None:
    dead = Dead(A, DeadCode.rejected_by_api, "NOT_OWNED", "not owned", "raw")
    assert disposition_of(dead, profile="p", attempts=0, rules=RULES, now_ms=NOW_MS) == Disposition(
        A, "dead", 0, "rejected_by_api", "rejected_by_api", "NOT_OWNED", "not owned", "raw"
    )


@pytest.mark.parametrize("outcome", [Retry(A, "api_failed", "m", "C", "raw"), Verify(A, "timeout", "m", "C", "raw")])
def test_a_number_is_tried_until_its_attempts_run_out(outcome: Retry | Verify) -> None:
    kinds = []
    for before in range(3):
        settled = disposition_of(outcome, profile="p", attempts=before, rules=RULES, now_ms=NOW_MS)
        assert (settled.api_code, settled.message, settled.answer) == ("C", "m", "raw")
        kinds.append((settled.kind, settled.dead_code, settled.code))
    again = ("retry" if isinstance(outcome, Retry) else "in_doubt", "", outcome.code)
    assert kinds == [again, again, ("dead", "attempts_exhausted", outcome.code)]


def test_a_retry_waits_at_least_as_long_as_the_api_asks() -> None:
    asked = Retry(A, "http_503", "x", retry_after_s=100.0)
    settled = disposition_of(asked, profile="p", attempts=0, rules=RULES, now_ms=NOW_MS)
    assert settled.at_ms == 1_795_348_901_000
    shorter = Retry(A, "http_503", "x", retry_after_s=0.0)
    plain = Retry(A, "http_503", "x")
    assert disposition_of(shorter, profile="p", attempts=0, rules=RULES, now_ms=NOW_MS) == disposition_of(
        plain, profile="p", attempts=0, rules=RULES, now_ms=NOW_MS
    )
