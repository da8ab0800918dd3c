"""What stops calls and lets them go on: operators, the API's answers, a profile nobody knows; and what is let go of."""

from __future__ import annotations

import pytest

from support.store_steps import (
    LEASE_MS,
    attach,
    claim,
    delivery,
    entry,
    go_on,
    idle,
    is_sound,
    number,
    numbers_of,
    publish,
    push,
    sent,
    settle,
)
from trunkline.lifecycle import State
from trunkline.store import Store, queries
from trunkline.store.model import Batch, Disposition, Dropped, Idle, OpenBreaker, Pause, Probe, RefusedAlike, Settlement

DAY_MS = 86_400_000


def gated(store: Store, batch: Batch, ms: int = 30_000) -> None:
    """The API answered 401."""
    backs = tuple(Disposition(each, "released") for each in numbers_of(batch))
    assert store.settle(
        batch.id, Settlement(batch.fingerprint, dispositions=backs, breaker=OpenBreaker(ms, "401 AUTH_FAILURE"))
    )


def refused(store: Store, batch: Batch, signature: str = "400 BAD") -> None:
    """The API refused a lone number."""
    (each,) = numbers_of(batch)
    dead = Disposition(each, "dead", dead_code="rejected_by_api", code="http_400")
    alike = RefusedAlike(signature, (each,), "BAD: no such trunk")
    assert store.settle(batch.id, Settlement(batch.fingerprint, dispositions=(dead,), refused=alike))


def account(store: Store) -> Pause | None:
    (book,) = queries.books(store).accounts
    return book.paused


def profile(store: Store) -> Pause | None:
    (book,) = queries.books(store).profiles
    return book.paused


@pytest.fixture(autouse=True)
def _published(store: Store) -> None:
    publish(store, size=1, wait_ms=0, cap=2)


def test_trouble_with_an_account_costs_no_attempt_and_ends_with_a_probe_then_one_batch_then_all(store: Store) -> None:
    push(store, number(1), number(2), number(3))
    gated(store, sent(store, claim(store)))
    assert idle(store) == Idle(30_000)
    go_on(store, 30_000)
    assert store.claim(LEASE_MS) == Probe("default", 1)
    store.probed("default")
    batch = claim(store)
    assert (batch.half_open, numbers_of(batch)) == (True, [number(2)]), "not the one that failed"
    assert idle(store) == Idle(None), "one batch until its answer is there"
    attach(store, sent(store, batch))
    assert [claim(store).half_open, claim(store).half_open] == [False, False]
    assert entry(store, number(1)).attempts == 0


def test_a_probe_that_fails_closes_the_gate_for_longer(store: Store) -> None:
    push(store, number(1))
    gated(store, sent(store, claim(store)))
    for times in (1, 2, 3):
        go_on(store, 30_000)
        assert store.claim(LEASE_MS) == Probe("default", times)
        store.probed("default", open_ms=30_000, reason="still 401")
    assert account(store) is not None
    assert idle(store) == Idle(30_000)


def test_a_probe_whose_worker_died_is_made_again(store: Store) -> None:
    push(store, number(1))
    gated(store, sent(store, claim(store)))
    go_on(store, 30_000)
    assert isinstance(store.claim(LEASE_MS), Probe)
    wait_ms = idle(store).wait_ms
    assert wait_ms is not None
    go_on(store, wait_ms)
    assert isinstance(store.claim(LEASE_MS), Probe)


def test_no_answer_overwrites_an_operators_pause(store: Store) -> None:
    push(store, number(1), number(2))
    first, second = claim(store), claim(store)
    store.pause_account("default", "maintenance")
    gated(store, sent(store, first))
    attach(store, sent(store, second))
    paused = account(store)
    assert paused is not None
    assert (paused.by, paused.reason) == ("operator", "maintenance")
    go_on(store, DAY_MS)
    assert idle(store) == Idle(None)


def test_an_operators_resume_lets_a_closed_gate_probe_at_once(store: Store) -> None:
    push(store, number(1))
    gated(store, sent(store, claim(store)))
    assert store.resume_account("default")
    assert isinstance(store.claim(LEASE_MS), Probe)


def test_names_that_nobody_published_can_not_be_paused(store: Store) -> None:
    assert not store.pause_account("nobody", "?")
    assert not store.pause_profile("nobody", "?")


def test_a_paused_profile_waits_until_it_is_resumed(store: Store) -> None:
    push(store, number(1))
    store.pause_profile("support", "wrong trunk")
    assert idle(store) == Idle(None)
    assert profile(store) == Pause("wrong trunk", store.now_ms, None, "operator")
    store.resume_profile("support")
    assert numbers_of(claim(store)) == [number(1)]


def test_three_numbers_refused_alike_pause_the_profile_and_live_again(store: Store) -> None:
    push(store, *(number(n) for n in range(5)))
    for _ in range(3):
        refused(store, sent(store, claim(store)))
    assert idle(store) == Idle(None)
    paused = profile(store)
    assert paused is not None
    assert (paused.by, paused.reason) == ("api", "refused alike: BAD: no such trunk")
    assert queries.books(store).totals["queued"] == 5
    assert is_sound(store)


def test_a_call_that_was_out_already_when_the_profile_was_paused_kills_no_number(store: Store) -> None:
    push(store, *(number(n) for n in range(4)))
    under_way = sent(store, claim(store))
    for _ in range(3):
        refused(store, sent(store, claim(store)))
    assert profile(store) is not None
    refused(store, under_way)
    totals = queries.books(store).totals
    assert (totals["queued"], totals["dead"]) == (4, 0)
    assert is_sound(store)


def test_a_canary_that_is_told_words_nobody_knows_stays_attached_and_says_why_the_profile_is_paused(
    store: Store,
) -> None:
    push(store, *(number(n) for n in range(5)))
    attach(store, sent(store, claim(store)))
    for _ in range(3):
        refused(store, sent(store, claim(store)))
    canary = sent(store, claim(store))
    assert numbers_of(canary) == [number(0)]
    words = Disposition(number(0), "retry", store.now_ms or 0, code="api_failed", message="there is no such trunk")
    assert store.settle(canary.id, Settlement(canary.fingerprint, dispositions=(words,)))
    paused = profile(store)
    assert paused is not None
    assert paused.reason == "refused alike: an attached number, sent again, was told: there is no such trunk"
    totals = queries.books(store).totals
    assert (totals["attached"], totals["queued"], totals["dead"]) == (1, 4, 0)
    assert is_sound(store)


def test_one_half_of_a_batch_is_split_to_its_end_before_the_other_goes(store: Store) -> None:
    publish(store, size=8, wait_ms=0, cap=2)
    push(store, *(number(n) for n in range(8)))
    sizes = []
    for _ in range(4):
        batch = sent(store, claim(store))
        sizes.append(len(numbers_of(batch)))
        if sizes[-1] > 1:
            halves = tuple(Disposition(each, "split", code="http_400") for each in numbers_of(batch))
            assert store.settle(batch.id, Settlement(batch.fingerprint, dispositions=halves))
    assert sizes == [8, 4, 2, 1]


def test_a_changed_fingerprint_lifts_the_pause_of_a_profile_that_was_wrong(store: Store) -> None:
    push(store, *(number(n) for n in range(3)))
    for _ in range(3):
        refused(store, sent(store, claim(store)))
    publish(store, size=1, wait_ms=0, cap=2)
    assert idle(store) == Idle(None), "nothing was mended"
    publish(store, size=1, wait_ms=0, cap=2, fingerprint="f1")
    assert claim(store).fingerprint == "f1"


def test_numbers_refused_differently_or_after_a_success_stay_dead(store: Store) -> None:
    push(store, *(number(n) for n in range(8)))
    for n in range(3):
        refused(store, sent(store, claim(store)), f"400 OTHER{n}")
    attach(store, sent(store, claim(store)))
    for _ in range(3):
        refused(store, sent(store, claim(store)))
    assert profile(store) is None
    assert queries.books(store).totals["dead"] == 6


def test_a_canary_cancelled_during_its_call_goes_once_when_it_comes_again(store: Store) -> None:
    push(store, number(0))
    attach(store, sent(store, claim(store)))
    push(store, number(1), number(2), number(3))
    for _ in range(3):
        refused(store, sent(store, claim(store)))
    batch = sent(store, claim(store))
    assert numbers_of(batch) == [number(0)]
    store.cancel([("support", number(0))])
    settle(store, batch, "retry", 0)
    push(store, number(0))
    assert numbers_of(claim(store)) == [number(0)]
    assert idle(store) == Idle(None)
    assert is_sound(store)


def test_what_was_closed_long_ago_is_archived_and_stays_counted(store: Store) -> None:
    push(store, number(1), number(2))
    attach(store, sent(store, claim(store)))
    settle(store, sent(store, claim(store)), "dead", dead_code="poison")
    assert store.archive(1) == (0, 0), "a day is kept"
    go_on(store, DAY_MS)
    assert store.archive(1) == (1, 2), "what is dead is passed over"
    totals = queries.books(store).totals
    assert (totals["attached"], totals["archived"], totals["dead"]) == (0, 1, 1), "dead letters never go by themselves"
    assert is_sound(store)
    push(store, number(1))
    assert entry(store, number(1)).state is State.queued


def test_the_archive_goes_on_where_it_stopped(store: Store) -> None:
    publish(store)
    push(store, *(number(n) for n in range(30)))
    attach(store, sent(store, claim(store)))
    go_on(store, 3 * DAY_MS)
    assert [store.archive(1, most=20) for _ in range(3)] == [(20, 20), (10, 10), (0, 0)]


def test_a_number_that_came_back_since_is_not_archived(store: Store) -> None:
    push(store, number(1))
    attach(store, sent(store, claim(store)))
    go_on(store, 3 * DAY_MS)
    push(store, number(1))
    attach(store, sent(store, claim(store)))
    assert store.archive(1)[0] == 0


def test_dead_letters_are_listed_oldest_first_and_found_by_either_code(store: Store) -> None:
    push(store, number(1), number(2))
    for api_code in ("NOT_OWNED", "BLOCKED"):
        settle(store, sent(store, claim(store)), "dead", dead_code="rejected_by_api", api_code=api_code)
        go_on(store, 1)
    assert [each.number for each in queries.dead_letters(store)] == [number(1), number(2)]
    assert [each.number for each in queries.dead_letters(store, code="BLOCKED")] == [number(2)]
    assert len(list(queries.dead_letters(store, code="rejected_by_api"))) == 2
    assert list(queries.dead_letters(store, profile="sales")) == []


def test_a_replay_takes_dead_letters_back_and_a_drop_ends_them(store: Store) -> None:
    push(store, number(1), number(2))
    for _ in range(2):
        settle(store, sent(store, claim(store)), "dead", dead_code="poison")
    every = [("support", number(n)) for n in (1, 2, 3)]
    assert store.replay(every[:1]) == 1
    assert store.drop_dead(every) == Dropped(1)
    assert [entry(store, number(n)).state for n in (1, 2)] == [State.queued, State.dropped]
    assert is_sound(store)


def test_a_cancel_takes_waiting_numbers_out_and_marks_those_under_way(store: Store) -> None:
    push(store, number(1), number(2))
    batch = sent(store, claim(store))
    assert store.cancel([("support", number(1)), ("support", number(2))]) == Dropped(1, 1)
    settle(store, batch, "retry", 0)
    assert {each.state for each in queries.entries(store, [("support", number(n)) for n in (1, 2)])} == {State.dropped}
    assert idle(store) == Idle(None)
    assert is_sound(store)


def test_a_cancel_does_not_undo_a_call_that_succeeds(store: Store) -> None:
    push(store, number(1))
    batch = sent(store, claim(store))
    store.cancel([("support", number(1))])
    attach(store, batch)
    assert entry(store, number(1)).state is State.attached


def attached_and_checked_again(store: Store, fingerprint: str = "f0") -> Batch:
    push(store, number(1))
    attach(store, sent(store, claim(store)))
    publish(store, size=1, wait_ms=0, cap=2, fingerprint=fingerprint)
    push(store, number(1))
    return sent(store, claim(store))


def test_a_cancelled_check_leaves_the_number_attached(store: Store) -> None:
    settle(store, attached_and_checked_again(store), "released")
    assert store.cancel([("support", number(1))]) == Dropped(1)
    assert entry(store, number(1)).state is State.attached
    assert is_sound(store)


def test_a_check_cancelled_during_a_doubtful_call_leaves_it_attached_under_the_older_configuration(
    store: Store,
) -> None:
    batch = attached_and_checked_again(store, "f1")
    assert store.cancel([("support", number(1))]) == Dropped(under_way=1)
    settle(store, batch, "in_doubt", 0)
    assert entry(store, number(1)).state is State.attached
    push(store, number(1))
    assert [leased.attached_under for leased in claim(store).numbers] == ["f0"]


def test_a_number_that_died_is_no_more_attached_when_its_replay_is_cancelled(store: Store) -> None:
    settle(store, attached_and_checked_again(store), "dead", dead_code="rejected_by_api")
    store.replay([("support", number(1))])
    store.cancel([("support", number(1))])
    assert entry(store, number(1)).state is State.dropped


def test_waiting_numbers_are_found_wherever_they_wait(store: Store) -> None:
    publish(store, size=2, wait_ms=0)
    push(store, *(number(n) for n in range(6)))
    claim(store)
    settle(store, sent(store, claim(store)), "split")
    settle(store, claim(store), "retry", (store.now_ms or 0) + 1_000)
    assert sorted(each.number for each in queries.waiting(store)) == [number(n) for n in range(6)]
    assert list(queries.waiting(store, source="elsewhere")) == []
    assert list(queries.waiting(store, profile="nobody")) == []


def test_everything_known_of_a_number_is_found(store: Store) -> None:
    publish(store, profiles=("support", "sales"))
    store.push([delivery([("support", number(1))], occurred_ms=1), delivery([("sales", number(1))], occurred_ms=2)])
    assert [(each.profile, each.state) for each in queries.entries_of(store, number(1))] == [
        ("sales", State.queued),
        ("support", State.superseded),
    ]
