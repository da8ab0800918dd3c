"""Why a number waits: what is in its way, the most decisive first, in one sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trunkline.lifecycle import State
from trunkline.operations.waiting import waiting_for
from trunkline.store.model import AccountBook, Entry, Pause, ProfileBook

NOW = 1_790_000_000_000  # 2026-09-21T14:13:20Z
S = 1_000
NUMBER = "+14155550100"
ENTRY = Entry("support", NUMBER, State.queued, 0, NOW - S, NOW - S, None, ("e",), "test", "")
PROFILE = ProfileBook("support", "default", None, {"queued": 7}, carried=True, max_wait_ms=2_500, due_ms=NOW)
ACCOUNT = AccountBook("default", None, None, calls=0, most_calls=2, interval_ms=200, next_slot_ms=NOW)
BY_HAND = Pause("the PBX moves", NOW - S, None, "operator")
BROKEN = Pause("401 AUTH_FAILURE: no such key", NOW - S, NOW + 30 * S, "api")


def said(
    entry: dict[str, Any] | None = None,
    profile: dict[str, Any] | None = None,
    account: dict[str, Any] | None = None,
    workers: int = 1,
) -> str | None:
    return waiting_for(
        replace(ENTRY, **entry or {}),
        replace(PROFILE, **profile or {}),
        replace(ACCOUNT, **account or {}),
        workers,
        NOW,
    )


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            {"account": {"paused": BY_HAND}},
            "the account default is paused by an operator: the PBX moves (`trunkline resume default` ends it)",
        ),
        (
            {"account": {"paused": BROKEN, "retry_at_ms": NOW + 30 * S}},
            "the breaker of the account default is open until 2026-09-21T14:13:50.000Z because of "
            "401 AUTH_FAILURE: no such key",
        ),
        (
            {"account": {"paused": replace(BROKEN, until_ms=NOW - S), "retry_at_ms": NOW - S}},
            "the breaker of the account default is open because of 401 AUTH_FAILURE: no such key; "
            "a probe (GET /v1/me) is due",
        ),
        (
            {"profile": {"paused": BY_HAND}},
            "the profile support is paused by an operator: the PBX moves "
            "(`trunkline resume --profile support` ends it)",
        ),
        (
            {"profile": {"paused": replace(BY_HAND, reason="refused alike: no such trunk", by="api")}},
            "the profile support is paused by the API's answers: refused alike: no such trunk "
            "(mend the profile, then `trunkline resume --profile support`)",
        ),
        (
            {"workers": 0, "profile": {"carried": False}},
            "no worker lives; `trunkline up` or `trunkline worker` starts one",
        ),
        (
            {"profile": {"carried": False}},
            "no living worker's configuration carries its profile as it was published; 1 worker lives",
        ),
        (
            {"workers": 3, "profile": {"carried": False}},
            "no living worker's configuration carries its profile as it was published; 3 workers live",
        ),
        (
            {"entry": {"next_attempt_ms": NOW + 60 * S, "held": True}},
            "another profile's batch has this number, or sends it first; it goes after that, at the latest at "
            "2026-09-21T14:14:20.000Z",
        ),
        ({"entry": {"next_attempt_ms": NOW + 5 * S}}, "its retry is due at 2026-09-21T14:13:25.000Z"),
        (
            {"profile": {"canary": "+14155550199"}},
            "the canary +14155550199 goes first: an attached number, sent again to see whether the profile or the "
            "numbers are to blame for the refusals",
        ),
        ({"account": {"calls": 2}}, "the account default has as many calls under way as it may at once (2)"),
        (
            {"account": {"next_slot_ms": NOW + 9 * S, "interval_ms": 10_000}},
            "the rate of the account default lets it go about 2026-09-21T14:13:29.000Z",
        ),
        (
            {"profile": {"due_ms": NOW + 2_500}},
            "it waits for company until 2026-09-21T14:13:22.500Z (max_wait_s is 2.5)",
        ),
        (
            {},
            "its turn: 7 numbers of the profile support wait, and the account default may send a request every 0.2 s",
        ),
        ({"account": {"interval_ms": 0}}, "its turn: 7 numbers of the profile support wait"),
        ({"profile": {"counts": {"queued": 1}}, "account": {"interval_ms": 0}}, "its turn, which has come"),
    ],
)  # fmt: skip
def test_one_sentence_says_what_is_in_its_way(found: dict[str, Any], sentence: str) -> None:
    assert said(**found) == sentence


@pytest.mark.parametrize("state", [state for state in State if state is not State.queued])
def test_what_does_not_wait_has_no_sentence(state: State) -> None:
    assert said({"state": state}, account={"paused": BY_HAND}) is None


def test_of_several_things_in_its_way_the_first_is_told() -> None:
    everything: dict[str, Any] = {
        "entry": {"next_attempt_ms": NOW + 5 * S},
        "profile": {"paused": BY_HAND, "carried": False, "canary": "+14155550199", "due_ms": NOW + S},
        "account": {"paused": BY_HAND, "calls": 2, "next_slot_ms": NOW + 9 * S},
    }
    order = ["account", "profile", "no living", "retry", "canary", "as many calls", "rate", "company"]
    ends: list[tuple[str, dict[str, Any]]] = [
        ("account", {"paused": None}), ("profile", {"paused": None}), ("profile", {"carried": True}),
        ("entry", {"next_attempt_ms": None}), ("profile", {"canary": ""}), ("account", {"calls": 0}),
        ("account", {"next_slot_ms": NOW}),
    ]  # fmt: skip
    for word, (part, change) in zip(order, [*ends, ("profile", {})], strict=True):
        assert word in str(said(**everything))
        everything[part] = everything[part] | change


def test_a_retry_that_is_due_after_the_breaker_may_close_is_what_it_waits_for() -> None:
    account = {"paused": BROKEN, "retry_at_ms": NOW + 30 * S}
    assert "retry" in str(said({"next_attempt_ms": NOW + 31 * S}, account=account))
    assert "breaker" in str(said({"next_attempt_ms": NOW + 29 * S}, account=account))


def test_a_canary_does_not_wait_for_itself() -> None:
    assert "turn" in str(said(profile={"canary": NUMBER}))
