"""A profile that is wrong is paused after a few calls and kills no number; numbers that are wrong pause no profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from acceptance.fleet import Fleet, Forge, fleet
from acceptance.worker_harness import until

WRONG_TRUNK: Final = "trk_wrong"
RIGHT_TRUNK: Final = "trk_right"
ACCOUNT: Final = {"default": {"requests_per_second": 500, "max_concurrency": 2}}


def on_trunk(trunk: str, size: int = 100) -> dict[str, Any]:
    outbound = {"directions": [{"type": "outbound"}], "trunk_id": trunk}
    return {"support": {**outbound, "batch": {"max_size": size, "max_wait_s": 0.1}}}


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    with Forge(tmp_path_factory.mktemp("forge")) as forge:
        yield forge


@pytest.fixture
def place(tmp_path: Path, forge: Forge) -> Iterator[Fleet]:
    with fleet(tmp_path, forge, latency_s=0.01, trunks=[RIGHT_TRUNK]) as place:
        yield place


def pause_of(place: Fleet) -> str | None:
    (profile,) = place.ask("status", "--json").json["profiles"]
    return profile["paused"] and str(profile["paused"]["reason"])


@pytest.mark.parametrize(
    ("answer", "says", "most"),
    [
        ("failed", "Invalid trunk_id.", 4),
        ("failed", "There is no such trunk.", 30),
        ("refuse", "There is no such trunk.", 30),
    ],
    ids=["each number is refused for good", "each number is told words that nobody knows", "the call is refused whole"],
)
def test_a_wrong_profile_is_paused_after_a_few_calls_and_goes_on_once_it_is_mended(
    place: Fleet, answer: str, says: str, most: int
) -> None:
    place.sandbox.change(unknown_trunk=answer, unknown_trunk_says=says)
    wrong = place.configuration("wrong", on_trunk(WRONG_TRUNK), ACCOUNT)
    numbers = place.new_numbers(1_000)
    place.push(wrong, "support", numbers, a_time=500)
    (worker,) = place.start(wrong)
    reason = until(lambda: pause_of(place), lambda: f"the pause of the profile: {place.told()}")
    until(lambda: not place.counts("support")["attaching"], "the end of the calls under way")
    calls = len(place.sandbox.log())
    print(f"{says!r} ({answer}): paused after {calls} calls for 1,000 numbers: {reason}")
    assert reason is not None
    assert says in reason
    assert calls <= most
    counts = place.counts("support")
    assert (counts["queued"], counts["dead"], counts["attached"]) == (1_000, 0, 0)
    told = place.ask("number", numbers[0], "--json").json[0]["waiting_for"]
    assert told.startswith("the profile support is paused by the API's answers: refused alike: ")
    worker.stop()
    place.start(place.configuration("mended", on_trunk(RIGHT_TRUNK), ACCOUNT))
    place.rests("support")
    assert place.counts("support")["attached"] == 1_000
    place.is_sound()
    assert all(place.held(number) for number in numbers)


@pytest.mark.parametrize("way", ["the call is refused whole", "each number is told words that nobody knows"])
def test_an_attached_number_decides_that_the_numbers_are_at_fault_and_the_profile_goes_on(
    place: Fleet, way: str
) -> None:
    right = place.configuration("right", on_trunk(RIGHT_TRUNK), ACCOUNT, retry={"max_attempts": 3})
    good, bad, later = place.new_numbers(50), place.new_numbers(8), place.new_numbers(200)
    place.push(right, "support", good)
    place.start(right)
    place.rests("support")
    if way == "the call is refused whole":
        place.sandbox.change(poison=bad)
    else:
        place.sandbox.script([{"failed": dict.fromkeys(bad, "It can't be configured.")}] * 200)
    place.push(right, "support", bad)
    until(lambda: place.counts("support")["dead"] == len(bad), lambda: f"the end of the bad: {place.told()}")
    place.push(right, "support", later)
    place.rests("support")
    calls = place.calls_of()
    canaries = {number: calls[number] - 1 for number in good if calls[number] > 1}
    print(f"{way}: {len(place.sandbox.log())} calls, an attached number was asked {sum(canaries.values())} times")
    assert pause_of(place) is None
    assert len(canaries) == 1
    assert {letter["number"] for letter in place.ask("dead", "list", "--json").json} == set(bad)
    assert all(place.held(number) for number in good + later)
    assert not any(place.held(number) for number in bad)
    place.ask("audit")


def test_a_profile_that_worked_and_goes_wrong_asks_an_attached_number_and_is_paused(place: Fleet) -> None:
    right = place.configuration("right", on_trunk(RIGHT_TRUNK), ACCOUNT)
    good, waiting = place.new_numbers(50), place.new_numbers(1_000)
    place.push(right, "support", good)
    place.start(right)
    place.rests("support")
    before = len(place.sandbox.log())
    place.sandbox.change(trunks=[])
    place.push(right, "support", waiting, a_time=500)
    reason = until(lambda: pause_of(place), lambda: f"the pause of the profile: {place.told()}")
    until(lambda: not place.counts("support")["attaching"], "the end of the calls under way")
    print(f"paused after {len(place.sandbox.log()) - before} calls, the canary's among them: {reason}")
    counts = place.counts("support")
    assert (counts["queued"], counts["dead"], counts["attached"]) == (1_000, 0, 50)
    place.sandbox.change(trunks=[RIGHT_TRUNK])
    place.ask("resume", "--profile", "support")
    place.rests("support")
    assert place.counts("support")["attached"] == 1_050
    place.is_sound()
