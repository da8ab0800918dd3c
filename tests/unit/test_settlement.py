"""What the store is told of a batch: who pays with an attempt, what stays in doubt, what was not in the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from trunkline.bland.attach import AccountFailed, Attached, CallFailed, Dead, Outcomes, Retry, Verdict, Verify
from trunkline.engine.backoff import retry_at_ms
from trunkline.engine.read_back import ReadBack
from trunkline.engine.reader import ReadTrouble
from trunkline.engine.settlement import settlement_of
from trunkline.lifecycle import DeadCode
from trunkline.profiles.directions import Direction
from trunkline.profiles.profile import Profile, RetryRules
from trunkline.store.model import Batch, Disposition, Leased, OpenBreaker, RefusedAlike, Settlement, Trouble

A, B, C = "+14155550100", "+14155550101", "+14155550102"
RULES = RetryRules(max_attempts=3, initial_s=4.0, max_s=60.0)
PROFILE = Profile(name="support", directions=(Direction(type="inbound"),), retry=RULES)
NOW_MS = 1_795_348_800_000
TROUBLE = Trouble("HTTP 503 without a word that is understood", 30_000)


def batch(*numbers: Leased) -> Batch:
    return Batch(
        id="1-a", profile="support", account="default", fingerprint="fp", is_child=False, half_open=False, trips=0,
        now_ms=NOW_MS, numbers=numbers,
    )  # fmt: skip


def failed(*outcomes: Retry | Verify) -> CallFailed:
    return CallFailed({each.number: each for each in outcomes}, TROUBLE.reason)


def settled(
    checked: ReadBack, verdict: Verdict | None, *, breaker: OpenBreaker | None = None, trouble: Trouble | None = TROUBLE
) -> Settlement:
    everybody = (*checked.to_send, *checked.unanswered, *checked.later, *(Leased(each) for each in checked.attached))
    return settlement_of(batch(*everybody), PROFILE, checked, verdict, breaker=breaker, trouble=trouble)


def sending(*numbers: Leased, **more: object) -> ReadBack:
    return replace(ReadBack((), (), numbers), **more)  # type: ignore[arg-type]


def by_number(settlement: Settlement) -> Mapping[str, Disposition]:
    return {each.number: each for each in settlement.dispositions}


# A call that failed as a whole


def test_a_call_that_failed_as_a_whole_spends_no_attempt_even_at_the_last_one() -> None:
    checked = sending(Leased(A, attempts=2), Leased(B))
    told = settled(checked, failed(Retry(A, "http_503", "m"), Retry(B, "http_503", "m")))
    assert [(each.kind, each.free, each.code) for each in told.dispositions] == [("retry", True, "http_503")] * 2
    assert told.trouble == TROUBLE
    assert not told.healthy
    assert told.breaker is None


def test_what_may_have_arrived_is_in_doubt_and_spends_no_attempt() -> None:
    told = by_number(
        settled(sending(Leased(A, attempts=2), Leased(B)), failed(Verify(A, "t", "m"), Verify(B, "t", "m")))
    )
    assert {(each.kind, each.free) for each in told.values()} == {("in_doubt", True)}


def test_a_free_try_waits_as_after_the_last_one_that_counted() -> None:
    numbers = [Leased(f"+1415555{n:04d}", attempts=n) for n in range(3)]
    told = by_number(settled(sending(*numbers), failed(*(Retry(each.number, "http_503", "m") for each in numbers))))
    for each in numbers:
        latest = retry_at_ms(RULES, each.attempts, 1.0, NOW_MS)
        assert NOW_MS + 2_000 <= told[each.number].at_ms <= latest
    asked = settled(sending(Leased(A), Leased(B)), failed(Retry(A, "x", "m", retry_after_s=100.0), Retry(B, "x", "m")))
    assert by_number(asked)[A].at_ms == NOW_MS + 100_000


def test_a_lone_number_says_what_it_would_pay_where_others_succeed() -> None:
    last = settled(sending(Leased(A, attempts=2)), failed(Verify(A, "http_500", "m")))
    assert last.trouble is not None
    assert last.trouble.paid is not None
    assert (last.trouble.paid.kind, last.trouble.paid.dead_code) == ("dead", "attempts_exhausted")
    first = settled(sending(Leased(A)), failed(Verify(A, "http_500", "m")))
    assert first.trouble is not None
    assert first.trouble.paid is not None
    assert (first.trouble.paid.kind, first.trouble.paid.free) == ("in_doubt", False)
    several = settled(sending(Leased(A), Leased(B)), failed(Verify(A, "x", "m"), Verify(B, "x", "m")))
    assert several.trouble == TROUBLE


def test_an_earlier_doubt_outlives_a_call_that_was_not_processed() -> None:
    checked = sending(
        Leased(A, verify="in_doubt", sent_ms=5), Leased(B), Leased(C, verify="check", attached_under="fp", unread=2)
    )
    told = settled(checked, failed(*(Retry(each, "http_503", "m") for each in (A, B, C))))
    assert {number: each.kind for number, each in by_number(told).items()} == {A: "in_doubt", B: "retry", C: "in_doubt"}
    assert set(told.unsent) == {A, C}


def test_a_number_that_the_api_has_no_more_is_only_tried_again() -> None:
    checked = sending(Leased(A, verify="check", attached_under="fp"), absent=(A,))
    told = settled(checked, failed(Retry(A, "http_503", "m")))
    assert (told.dispositions[0].kind, told.unsent) == ("retry", ())


def test_an_answer_about_the_number_costs_an_attempt() -> None:
    outcomes = Outcomes({A: Retry(A, "api_passing", "m"), B: Attached(B)})
    told = settled(sending(Leased(A, attempts=2), Leased(B)), outcomes, trouble=None)
    assert (told.dispositions[0].kind, told.dispositions[0].free, told.trouble) == ("dead", False, None)


# Numbers refused alike


def refused(*numbers: str, alike: str) -> Outcomes:
    return Outcomes({n: Dead(n, DeadCode.rejected_by_api, "X", f"{n} has it") for n in numbers}, alike)


def test_a_call_that_tells_every_number_the_same_mistake_puts_the_profile_to_the_test() -> None:
    told = settled(sending(Leased(A), Leased(B), Leased(C)), refused(A, B, C, alike="200 # has it"), trouble=None)
    assert told.refused == RefusedAlike("200 # has it", (A, B, C), f"{A} has it")
    assert {each.kind for each in told.dispositions} == {"dead"}


def test_fewer_than_three_or_told_each_its_own_are_only_dead() -> None:
    for numbers, alike in (((A, B), "200 # has it"), ((A, B, C), "")):
        told = settled(sending(*map(Leased, numbers)), refused(*numbers, alike=alike), trouble=None)
        assert told.refused is None


def test_words_that_nobody_knows_put_the_profile_to_the_test_when_they_come_again() -> None:
    outcomes = Outcomes({n: Retry(n, "api_failed", "no such trunk") for n in (A, B, C)}, "200 no such trunk")
    assert settled(sending(*map(Leased, (A, B, C))), outcomes, trouble=None).refused is None
    again = sending(*(Leased(each, attempts=1) for each in (A, B, C)))
    told = settled(again, outcomes, trouble=None)
    assert told.refused == RefusedAlike("200 no such trunk", (A, B, C), "no such trunk")
    assert {each.kind for each in told.dispositions} == {"retry"}


def test_numbers_told_the_same_passing_trouble_put_nothing_to_the_test() -> None:
    outcomes = Outcomes({n: Retry(n, "api_passing", "m") for n in (A, B, C)}, "200 try again")
    assert settled(sending(Leased(A), Leased(B), Leased(C)), outcomes, trouble=None).refused is None


# A read-back that failed


UNREAD = ReadTrouble("http_500", "GET /v1/sip answers 500, which can't be used")


@pytest.mark.parametrize("verify", ["in_doubt", "check", ""])
@pytest.mark.parametrize("attempts", [0, 2, 50])
def test_a_failed_read_back_spends_no_attempt_and_is_counted_apart(verify: str, attempts: int) -> None:
    number = Leased(A, attempts=attempts, verify=verify, attached_under="fp")  # type: ignore[arg-type]
    told = settled(ReadBack((), (), (), (number,), UNREAD), None)
    (other,) = told.dispositions
    assert (other.kind, other.free, other.unread, other.code) == ("in_doubt", True, True, "http_500")
    assert told.trouble == TROUBLE  # without `paid`: a check kills nobody
    assert told.unsent == (A,)


def test_numbers_that_were_not_in_the_call_are_named_so_that_nothing_is_thought_of_them() -> None:
    checked = ReadBack(
        (), (), (Leased(A),), (Leased(B, verify="check"),), UNREAD, later=(Leased(C, verify="in_doubt"),)
    )
    told = settled(checked, Outcomes({A: Attached(A)}), trouble=None)
    assert set(told.unsent) == {B, C}
    assert (told.attached, told.healthy) == ((A,), True)
    assert by_number(told)[B].unread
    assert by_number(told)[C].kind == "released"


def test_trouble_with_the_account_sends_everything_back_as_it_was() -> None:
    checked = ReadBack((), (), (Leased(A),), (Leased(B, verify="check"),), UNREAD)
    told = settled(
        checked, AccountFailed("auth", "401", None, explicit=True), breaker=OpenBreaker(1000, "401"), trouble=None
    )
    assert {(each.number, each.kind) for each in told.dispositions} == {(A, "released"), (B, "released")}


def test_a_check_kills_nobody_but_an_explicit_refusal_does() -> None:
    number = Leased(A, attempts=50, verify="check", attached_under="fp", unread=2)
    for outcome in (Verify(A, "http_500", "m"), Retry(A, "api_failed", "m")):
        for verdict in (Outcomes({A: outcome}), failed(outcome)):
            told = settled(sending(number), verdict, trouble=None)
            assert told.dispositions[0].kind == "in_doubt", outcome
            assert told.unsent == (A,)  # it is attached, and not in doubt
        early = settled(sending(replace(number, attempts=0)), Outcomes({A: outcome}), trouble=None)
        assert (early.dispositions[0].kind, early.unsent) == ("in_doubt", (A,))
    refusal = Dead(A, DeadCode.rejected_by_api, None, "not owned")
    assert settled(sending(number), Outcomes({A: refusal}), trouble=None).dispositions[0].kind == "dead"
