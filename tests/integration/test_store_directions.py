"""Who owns a direction of a number: the newest event; and its owner's call is the last one that configures it."""

from __future__ import annotations

import pytest

from support.store_steps import (
    LEASE_MS,
    attach,
    claim,
    delivery,
    entry,
    go_on,
    govern,
    idle,
    is_sound,
    number,
    numbers_of,
    push,
    sent,
    settle,
)
from trunkline.lifecycle import State
from trunkline.store import Store
from trunkline.store.model import AccountRule, Batch, Dropped, Idle, Policies, ProfilePolicy, Settlement

N = number(1)


@pytest.fixture(autouse=True)
def _profiles(store: Store) -> None:
    """Two profiles for both directions, one for each; every number goes at once."""
    directions = {"both": "io", "other": "io", "in": "i", "out": "o"}
    profiles = {name: ProfilePolicy("default", 100, 0, "f0", types) for name, types in directions.items()}
    govern(store, Policies({"default": AccountRule(10, 0)}, profiles))


def attach_next(store: Store) -> str:
    """The profile whose batch was sent and attached."""
    batch = sent(store, claim(store))
    attach(store, batch)
    return batch.profile


def state(store: Store, profile: str) -> State:
    return entry(store, N, profile).state


def test_the_newest_event_takes_the_direction_and_the_older_entry_is_superseded(store: Store) -> None:
    push(store, N, profile="in")
    attach_next(store)
    go_on(store, 1)
    push(store, N, profile="both")
    assert (state(store, "in"), state(store, "both")) == (State.superseded, State.queued)


def test_an_older_event_that_comes_late_is_superseded_at_once(store: Store) -> None:
    assert store.now_ms is not None
    push(store, N, profile="both")
    store.push([delivery([("in", N)], occurred_ms=store.now_ms - 5_000)])
    assert (state(store, "in"), state(store, "both")) == (State.superseded, State.queued)


def test_of_two_events_of_one_instant_the_later_arrival_wins(store: Store) -> None:
    store.push([delivery([("both", N)]), delivery([("other", N)])])
    assert (state(store, "both"), state(store, "other")) == (State.superseded, State.queued)


def test_an_event_from_the_future_counts_as_of_now(store: Store) -> None:
    assert store.now_ms is not None
    store.push([delivery([("both", N)], occurred_ms=store.now_ms + 3_600_000)])
    go_on(store, 1)
    push(store, N, profile="other")
    assert state(store, "other") is State.queued


def test_a_profile_overtaken_in_part_goes_first(store: Store) -> None:
    push(store, N, profile="both")
    go_on(store, 1)
    push(store, N, profile="in")
    assert [attach_next(store), attach_next(store)] == ["both", "in"]
    assert idle(store) == Idle(None)
    assert is_sound(store)


def test_after_an_older_profiles_call_the_newer_owner_of_a_direction_goes_again(store: Store) -> None:
    push(store, N, profile="both")
    push(store, N, profile="in")
    assert [attach_next(store), attach_next(store)] == ["both", "in"]
    push(store, N, profile="both", force=True)  # takes both directions
    push(store, N, profile="in")  # takes inbound back
    attach_next(store), attach_next(store)
    store.push([delivery([("both", N)], occurred_ms=1, force=True)])  # older: it keeps outbound only
    assert [attach_next(store), attach_next(store)] == ["both", "in"]
    assert idle(store) == Idle(None)


def test_a_direction_taken_back_is_sent_again_not_only_read_back(store: Store) -> None:
    push(store, N, profile="both")
    push(store, N, profile="in")
    attach_next(store), attach_next(store)
    push(store, N, profile="both")
    (leased,) = claim(store).numbers
    assert leased.forced, "the API has an inbound direction, but it is the other profile's"


def overtaken_in_doubt(store: Store) -> Batch:
    """`out` is attached; then a call of `both`, which keeps inbound, may have overwritten its direction."""
    push(store, N, profile="both")
    push(store, N, profile="out")
    attach_next(store), attach_next(store)
    store.push([delivery([("both", N)], occurred_ms=1, force=True)])
    return sent(store, claim(store))


def test_an_entry_superseded_during_a_doubtful_call_leaves_the_other_direction_to_be_sent_again(store: Store) -> None:
    batch = overtaken_in_doubt(store)
    push(store, N, profile="in")
    settle(store, batch, "in_doubt", 0)
    assert state(store, "both") is State.superseded
    assert {attach_next(store), attach_next(store)} == {"in", "out"}
    assert is_sound(store)


@pytest.mark.parametrize("kind", ["in_doubt", "retry"])
def test_an_entry_superseded_after_a_doubtful_call_leaves_the_other_direction_to_be_sent_again(
    store: Store, kind: str
) -> None:
    settle(store, overtaken_in_doubt(store), "in_doubt", 0)
    settle(store, claim(store), kind, 0)
    push(store, N, profile="in")
    assert {attach_next(store), attach_next(store)} == {"in", "out"}
    assert is_sound(store)


def test_an_entry_superseded_by_the_very_owner_that_must_go_again_is_counted_once(store: Store) -> None:
    settle(store, overtaken_in_doubt(store), "in_doubt", 0)
    push(store, N, profile="other")
    assert state(store, "out") is State.superseded
    assert attach_next(store) == "other"
    assert is_sound(store)


def test_an_entry_cancelled_after_a_doubtful_call_leaves_the_other_direction_to_be_sent_again(store: Store) -> None:
    settle(store, overtaken_in_doubt(store), "in_doubt", 0)
    assert store.cancel([("both", N)]) == Dropped(1, in_doubt=1)
    assert attach_next(store) == "out"
    assert is_sound(store)


def test_an_entry_that_dies_after_a_doubtful_call_leaves_the_other_direction_to_be_sent_again(store: Store) -> None:
    settle(store, overtaken_in_doubt(store), "in_doubt", 0)
    settle(store, claim(store), "dead", dead_code="attempts_exhausted")  # not sent this time: the read-back failed
    assert attach_next(store) == "out"
    assert is_sound(store)


def test_an_entry_cancelled_in_a_crash_after_a_doubtful_call_leaves_the_other_direction_to_be_sent_again(
    store: Store,
) -> None:
    settle(store, overtaken_in_doubt(store), "in_doubt", 0)
    claim(store)
    assert store.cancel([("both", N)]) == Dropped(under_way=1)
    go_on(store, LEASE_MS)
    store.reap()
    assert attach_next(store) == "out"
    assert is_sound(store)


def test_a_direction_taken_back_and_cancelled_is_not_called_attached(store: Store) -> None:
    push(store, N, profile="both")
    push(store, N, profile="in")
    attach_next(store), attach_next(store)
    push(store, N, profile="both")
    assert store.cancel([("both", N)]) == Dropped(1, given_back=1)
    assert state(store, "both") is State.dropped, "its inbound direction is still the other profile's"


def test_an_entry_superseded_while_it_waited_for_a_check_is_not_attached_when_it_comes_back(store: Store) -> None:
    push(store, N, profile="both")
    attach_next(store)
    push(store, N, profile="both")
    push(store, N, profile="other")
    assert attach_next(store) == "other"
    push(store, N, profile="both")
    store.cancel([("both", N)])
    assert state(store, "both") is State.dropped


def test_what_the_archive_lets_go_of_wants_nothing_any_more(store: Store) -> None:
    assert store.now_ms is not None
    start = store.now_ms
    store.push([delivery([("out", N)], occurred_ms=start)])
    store.push([delivery([("both", N)], occurred_ms=start - 2)])  # inbound only
    attach_next(store), attach_next(store)
    go_on(store, 3 * 86_400_000)
    store.push([delivery([("both", N)], occurred_ms=start - 1)])
    store.archive(1)  # lets go of `out`: outbound is the next one's
    attach_next(store)
    store.push([delivery([("other", N)], occurred_ms=start - 5)])
    assert state(store, "other") is State.superseded
    assert idle(store) == Idle(None)
    assert is_sound(store)


def test_a_number_is_never_in_two_calls_of_an_account(store: Store) -> None:
    push(store, N, profile="in")
    first = sent(store, claim(store))
    push(store, N, profile="out")
    assert isinstance(store.claim(LEASE_MS), Idle)
    attach(store, first)
    assert numbers_of(claim(store)) == [N]


def test_a_wish_that_came_during_a_call_ends_with_it(store: Store) -> None:
    push(store, N, profile="in")
    batch = sent(store, claim(store))
    push(store, N, profile="both")
    assert store.settle(batch.id, Settlement("f0", attached=(N,)))
    assert state(store, "in") is State.superseded
    assert attach_next(store) == "both"


def test_an_entry_cancelled_after_its_profile_moved_leaves_the_direction_it_had_there_to_be_sent_again(
    store: Store,
) -> None:
    accounts = {"default": AccountRule(10, 0), "new": AccountRule(10, 0)}
    both, before, after = (
        ProfilePolicy(account, 100, 0, fingerprint, types)
        for account, fingerprint, types in (("default", "f0", "io"), ("default", "f0", "i"), ("new", "f1", "i"))
    )
    govern(store, Policies(accounts, {"both": both, "in": before}))
    for profile in ("both", "in"):
        push(store, N, profile=profile)
        attach_next(store)
        go_on(store, 1)
    govern(store, Policies(accounts, {"both": both, "in": after}))
    push(store, N, profile="in", force=True)
    assert store.cancel([("in", N)]).dropped == 1
    assert attach_next(store) == "both"
    assert is_sound(store)


def test_a_claim_that_gives_a_direction_back_takes_its_owners_number_at_once(store: Store) -> None:
    profiles = {
        name: ProfilePolicy("default", 100, 0, "f0", types)
        for name, types in (("out", "o"), ("other", "io"), ("in", "i"))
    }
    govern(store, Policies({"default": AccountRule(10, 0)}, profiles))
    store.pause_profile("in", "maintenance")
    for profile in profiles:
        push(store, N, profile=profile)
        go_on(store, 1)
    edited = {**profiles, "other": ProfilePolicy("default", 100, 0, "f1", "i")}
    govern(store, Policies({"default": AccountRule(10, 0)}, edited))
    assert claim(store).profile == "out"
    assert is_sound(store)
