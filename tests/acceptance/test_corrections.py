"""A wrong import is taken back: what it took from another profile goes back there, and the newest event wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from acceptance.fleet import Configuration, Fleet, Forge, Member, fleet
from acceptance.worker_harness import until
from trunkline.lifecycle import State

NUMBERS: Final = 40


def leads_to(host: str) -> dict[str, Any]:
    """A profile for both directions of a number."""
    kinds = ("inbound", "outbound")
    directions = [{"type": kind, "sip_endpoint": f"sip:{host}.example.com"} for kind in kinds]
    return {"directions": directions, "batch": {"max_size": NUMBERS, "max_wait_s": 0.1}}


PROFILES: Final = {name: leads_to(name) for name in ("right", "wrong", "newest")}


@dataclass
class Place:
    """Numbers that are attached by the profile `right`, and a worker."""

    fleet: Fleet
    configuration: Configuration
    worker: Member
    numbers: list[str]

    def import_file(self, profile: str, numbers: Iterable[str], source: str) -> None:
        file = self.fleet.folder / f"{source}.csv"
        file.write_text("number,source\n" + "".join(f"{number},{source}\n" for number in numbers), "utf-8")
        self.fleet.ask("import", str(file), "--profile", profile)

    def told(self, number: str) -> dict[str, str]:
        """What `trunkline number` says: the state under each profile."""
        return {entry["profile"]: entry["state"] for entry in self.fleet.ask("number", number, "--json").json}

    def lead_to(self, host: str, numbers: Iterable[str]) -> None:
        """What the API has of each number, and what `trunkline number` says of the last."""
        at = f"sip:{host}.example.com"
        assert [n for n in numbers if self.fleet.endpoints(n) != {"inbound": at, "outbound": at}] == []
        told = self.told(list(numbers)[-1])
        assert told.pop(host) == State.attached
        assert set(told.values()) <= {State.dropped, State.superseded}

    def rests(self) -> None:
        self.fleet.rests(*PROFILES)

    def calls_of(self, numbers: Iterable[str]) -> set[int]:
        """How often these were sent."""
        calls = self.fleet.calls_of()
        return {calls[number] for number in numbers}


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    with Forge(tmp_path_factory.mktemp("forge")) as forge:
        yield forge


@pytest.fixture
def place(tmp_path: Path, forge: Forge) -> Iterator[Place]:
    with fleet(tmp_path, forge) as around:
        account = {"default": {"requests_per_second": 500, "max_concurrency": 1, "timeout_s": 2.0}}
        configuration = around.configuration("one", PROFILES, account)
        (worker,) = around.start(configuration)
        place = Place(around, configuration, worker, around.new_numbers(NUMBERS))
        place.import_file("right", place.numbers, "right-file")
        place.rests()
        place.lead_to("right", place.numbers)
        yield place


@pytest.mark.parametrize("which", [("--profile", "wrong"), ("--source", "wrong-file")], ids=["profile", "import"])
def test_a_wrong_import_that_waits_is_given_back_and_the_newest_event_wins(
    place: Place, which: tuple[str, str]
) -> None:
    taken, moved_on = place.numbers[:30], place.numbers[30:]
    place.fleet.ask("pause", "default")
    place.import_file("wrong", place.numbers, "wrong-file")
    place.import_file("newest", moved_on, "newest-file")
    assert place.told(taken[0]) == {"right": "superseded", "wrong": "queued"}
    answer = place.fleet.ask("cancel", *which, "--yes")
    print(answer.out.strip())
    assert answer.out == "30 cancelled; 30 given back to the profiles they were taken from\n"
    place.fleet.ask("resume", "default")
    place.rests()
    place.lead_to("right", taken)
    place.lead_to("newest", moved_on)
    assert (place.calls_of(taken), place.calls_of(moved_on)) == ({1}, {2})
    place.fleet.is_sound()


@pytest.mark.parametrize(
    ("fault", "seconds", "ends_at"),
    [
        pytest.param("hang_after", 1.0, "wrong", marks=pytest.mark.chaos),
        ("hang_before", 1.0, "right"),
        ("hang_after", 3.0, "right"),
    ],
    ids=["answered in time", "cut, and nothing was done", "done, and no answer in time"],
)
def test_a_cancel_during_the_call_gives_back_what_the_call_did_not_attach(
    place: Place, fault: str, seconds: float, ends_at: str
) -> None:
    before = len(place.fleet.sandbox.log())
    place.fleet.sandbox.script([{"fault": fault, "seconds": seconds}])
    place.import_file("wrong", place.numbers, "wrong-file")
    until(lambda: len(place.fleet.sandbox.log()) > before, "the call")
    late = place.fleet.new_numbers(5)
    place.import_file("right", late, "late-file")
    place.import_file("wrong", late, "late-wrong-file")
    answer = place.fleet.ask("cancel", "--profile", "wrong", "--yes")
    print(answer.out.strip())
    assert f"{NUMBERS} under way (dropped unless that call attaches them)" in answer.out
    assert "5 cancelled" in answer.out
    place.rests()
    place.lead_to(ends_at, place.numbers)
    place.lead_to("right", late)
    place.fleet.is_sound()
    if ends_at == "wrong":  # a newer event for the right profile is the way back
        place.fleet.push(place.configuration, "right", place.numbers)
        place.rests()
        place.lead_to("right", place.numbers)
        place.fleet.is_sound()
    print(f"calls of a number: {Counter(place.fleet.calls_of()[number] for number in place.numbers)}")


def test_a_newer_event_during_the_call_wins_over_the_cancel(place: Place) -> None:
    before = len(place.fleet.sandbox.log())
    place.fleet.sandbox.script([{"fault": "hang_after", "seconds": 3.0}])
    place.import_file("wrong", place.numbers, "wrong-file")
    until(lambda: len(place.fleet.sandbox.log()) > before, "the call")
    moved_on, taken = place.numbers[:10], place.numbers[10:]
    place.import_file("newest", moved_on, "newest-file")
    answer = place.fleet.ask("cancel", "--profile", "wrong", "--yes", "--json").json
    place.rests()
    place.lead_to("newest", moved_on)
    place.lead_to("right", taken)
    place.fleet.is_sound()
    print(f"{answer}; calls of a number: {Counter(place.fleet.calls_of()[number] for number in place.numbers)}")


def test_dead_letters_of_a_wrong_import_are_dropped_and_given_back(place: Place) -> None:
    place.fleet.push(place.configuration, "wrong", place.fleet.new_numbers(1))  # the profile works: it has a canary
    place.rests()
    refused = dict.fromkeys(place.numbers, "This number is not owned by your organization.")
    place.fleet.sandbox.script([{"failed": refused}, {}])
    place.import_file("wrong", place.numbers, "wrong-file")
    until(lambda: place.fleet.counts("wrong")["dead"] == NUMBERS, lambda: f"the dead: {place.fleet.told()}")
    place.rests()
    moved_on, taken = place.numbers[:10], place.numbers[10:]
    place.import_file("newest", moved_on, "newest-file")
    place.rests()
    answer = place.fleet.ask("dead", "drop", "--profile", "wrong")
    print(answer.out.strip())
    assert answer.out == "30 dropped; 30 given back to the profiles they were taken from\n"
    place.rests()
    place.lead_to("right", taken)
    place.lead_to("newest", moved_on)
    place.fleet.is_sound()
    assert place.calls_of(place.numbers) == {3}
