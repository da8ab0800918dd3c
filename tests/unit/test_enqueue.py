"""What enqueuing answers, told without a store."""

from __future__ import annotations

from trunkline.lifecycle import Refusal, RefusalCode
from trunkline_producers import Summary

REFUSED = Refusal("+1", RefusalCode.invalid_number, "is too short to be a phone number")


def test_a_summary_is_exactly_the_answer_that_producers_are_promised() -> None:
    assert Summary(accepted=2, rejected=(REFUSED,)).as_json() == {
        "accepted": 2,
        "coalesced": 0,
        "duplicate": 0,
        "rejected": [{"number": "+1", "code": "invalid_number", "message": "is too short to be a phone number"}],
    }


def test_summaries_add_up_and_nothing_adds_nothing() -> None:
    one, other = Summary(3, 1, 0, (REFUSED,)), Summary(1, 0, 2)
    assert one + other == Summary(4, 1, 2, (REFUSED,))
    assert one + Summary() == Summary() + one == one
