"""A deploy, its rollback, hosts that share a store: configurations side by side, and none in another's way.

The load is limited by the account's rate, and numbers always wait, so that the rate at which numbers are attached says
whether the two configurations disturb each other. The short forms print it; the long ones, `pytest -m chaos`, hold it
to nine tenths.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from acceptance.fleet import Configuration, Fleet, Forge, Member, fleet
from acceptance.worker_harness import until

PROCESSES: Final = 4


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    with Forge(tmp_path_factory.mktemp("forge")) as forge:
        yield forge


def outbound(host: str, **options: Any) -> dict[str, Any]:
    return {"type": "outbound", "sip_endpoint": f"sip:{host}.example.com", **({"options": options} if options else {})}


def inbound(host: str) -> dict[str, Any]:
    return {"type": "inbound", "sip_endpoint": f"sip:{host}.example.com"}


def both(host: str) -> list[dict[str, Any]]:
    return [inbound(host), outbound(host)]


LOGIN: Final = {"sip_username": "bland", "sip_password": {"env": "SIP_PASSWORD"}}
OLD_PASSWORD: Final = "the-old-password"
NEW_PASSWORD: Final = "the-new-password"


def old_profiles(size: int) -> dict[str, Any]:
    """`kept` is in both configurations as it is; the others say by their names what becomes of them."""
    return sized(
        size,
        kept={"directions": both("kept")},
        edited={"directions": [outbound("edited-old")]},
        secret={"directions": [outbound("secret", **LOGIN)]},
        batched={"directions": both("batched")},
        removed={"directions": both("removed")},
    )


def new_profiles(size: int) -> dict[str, Any]:
    return sized(
        size,
        kept={"directions": both("kept")},
        edited={"directions": both("edited-new")},
        secret={"directions": [outbound("secret", **LOGIN)]},
        batched={"directions": both("batched"), "batch": {"max_size": size + size // 5, "max_wait_s": 0.2}},
        added={"directions": both("added")},
    )


def sized(size: int, **profiles: dict[str, Any]) -> dict[str, Any]:
    return {name: {"batch": {"max_size": size, "max_wait_s": 0.2}, **profile} for name, profile in profiles.items()}


@dataclass
class Feed(threading.Thread):
    """A producer that keeps so many numbers waiting in each profile that it is told to."""

    fleet: Fleet
    ahead: int
    profiles: dict[str, Configuration] = field(default_factory=dict)  # and whose producer names it
    phase: str = ""
    pushed: dict[str, tuple[str, str]] = field(default_factory=dict)  # number: profile, phase
    _enough: threading.Event = field(default_factory=threading.Event)
    _failure: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        try:
            while not self._enough.wait(0.1):
                self.fill()
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self._failure = error

    def fill(self) -> None:
        """Tops every profile up once."""
        for profile, producer in list(self.profiles.items()):
            short = self.ahead - self.fleet.counts(profile).get("queued", 0)
            if short > 0:
                phase = self.phase  # before the push: what is said to be of a phase was pushed in it
                numbers = self.fleet.new_numbers(short)
                self.fleet.push(producer, profile, numbers)
                self.pushed |= dict.fromkeys(numbers, (profile, phase))

    def stop(self) -> None:
        self._enough.set()
        self.join()
        if self._failure is not None:
            raise self._failure


@contextmanager
def feeding(fleet: Fleet, ahead: int, profiles: Mapping[str, Configuration], phase: str) -> Iterator[Feed]:
    """Numbers wait in each of these profiles from now on, until the feed is stopped."""
    feed = Feed(fleet, ahead, dict(profiles), phase)
    feed.fill()
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, and what was attached in it."""

    seconds: float
    numbers: int
    calls: int

    @property
    def rate(self) -> float:
        """Numbers a second."""
        return self.numbers / self.seconds

    def __str__(self) -> str:
        calls = self.calls / self.seconds
        return f"{self.rate:6.1f} numbers/s ({calls:.2f} calls/s, {self.numbers} numbers in {self.seconds:.1f} s)"


def between(fleet: Fleet, begin: float, end: float) -> Window:
    """What was attached between two monotonic moments."""
    log = fleet.sandbox.log()
    assert len(log) < 2_000, "the stand-in's log has forgotten its beginning"
    calls = [call for call in log if begin <= call["monotonic"] < end]
    return Window(end - begin, sum(len(call["configured"]) for call in calls), len(calls))


def window(fleet: Fleet, seconds: float) -> Window:
    """What is attached while nobody disturbs anything."""
    begin = time.monotonic()
    time.sleep(seconds)  # a rate has no condition to wait for
    return between(fleet, begin, begin + seconds)


def all_are_at_work(fleet: Fleet) -> None:
    """Waits for the first calls from now on."""
    before = len(fleet.sandbox.log())
    until(lambda: len(fleet.sandbox.log()) > before + PROCESSES, "the first calls")


@dataclass(frozen=True, slots=True)
class Size:
    """How long a form takes, and how much it sends."""

    window_s: float
    requests_per_second: float
    numbers: int  # of a batch
    ahead: int  # waiting in each profile
    rollback: bool


SHORT: Final = Size(window_s=1.0, requests_per_second=12, numbers=10, ahead=40, rollback=False)
LONG: Final = Size(window_s=60.0, requests_per_second=5, numbers=20, ahead=200, rollback=True)


class Deploy:
    """Four processes of the old configuration under load, and what becomes of them."""

    def __init__(self, fleet: Fleet, size: Size) -> None:
        self.fleet, self.size = fleet, size
        accounts = {"default": {"requests_per_second": size.requests_per_second, "max_concurrency": 8}}
        self.old = fleet.configuration("old", old_profiles(size.numbers), accounts, SIP_PASSWORD=OLD_PASSWORD)
        self.new = fleet.configuration("new", new_profiles(size.numbers), accounts, SIP_PASSWORD=NEW_PASSWORD)
        self.movers: dict[str, list[str]] = {}  # number: the profiles it was pushed to, in their order
        self.living: list[Member] = []

    def carried_by(self, configuration: Configuration) -> dict[str, Configuration]:
        return dict.fromkeys(configuration.settings.profiles, configuration)

    def move(self, producer: Configuration, profile: str, numbers: list[str]) -> None:
        """One more event for each number: it belongs on this profile now."""
        self.fleet.push(producer, profile, numbers)
        for number in numbers:
            self.movers.setdefault(number, []).append(profile)

    def replace_all(self, by: Configuration, feed: Feed, then: str) -> Window:
        """Restarts one process after the other with another configuration; the window in which both lived."""
        pause_s = self.size.window_s / (PROCESSES - 1)
        begin = time.monotonic()
        for index, old in enumerate(list(self.living)):
            old.stop()
            self.living.remove(old)
            if index == PROCESSES - 1:
                end = time.monotonic()
            self.living += self.fleet.start(by)
            if index == 0:
                begin = time.monotonic()
                feed.phase = then
                feed.profiles |= self.carried_by(by)
                self.two_configurations_are_told()
            if index < PROCESSES - 1:
                time.sleep(pause_s)
        return between(self.fleet, begin, end)

    def two_configurations_are_told(self) -> None:
        told = [self.fleet.ask("workers", "--json").json, self.fleet.ask("status", "--json").json["workers"]]
        for workers in told:
            assert len(workers) == PROCESSES
            assert len({each["configuration"] for each in workers}) == 2
        digests = {each["configuration"] for each in told[0]}
        table = self.fleet.ask("workers").out
        assert all(digest in table for digest in digests)
        assert "workers: 4 live, with 2 configurations" in self.fleet.ask("status").out

    def one_configuration_is_left(self) -> None:
        workers = self.fleet.ask("workers", "--json").json
        assert (len(workers), len({each["configuration"] for each in workers})) == (PROCESSES, 1)
        assert "workers: 4 live, with 1 configuration" in self.fleet.ask("status").out


def says(what: str, undisturbed: list[Window], mixed: Window) -> float:
    """The share of the undisturbed rate that was left, printed with what it comes from."""
    for each in undisturbed:
        print(f"  undisturbed: {each}")
    print(f"  both live:   {mixed}")
    ratio = mixed.rate / (sum(each.rate for each in undisturbed) / len(undisturbed))
    print(f"{what}: {ratio:.1%} of the undisturbed rate while both live")
    return ratio


def what_was_sent_is_as_wanted(deploy: Deploy, feed: Feed, expected: Mapping[str, Mapping[str, Any]]) -> None:
    """Each number that was pushed in a phase has what its profile says in it; `expected`: phase, profile, directions.

    A direction's endpoint may be of any that is given, and so may its password.
    """
    wrong = []
    for number, (profile, phase) in feed.pushed.items():
        if profile in expected.get(phase, {}):
            held = deploy.fleet.held(number)
            if held not in expected[phase][profile]:
                wrong.append((number, profile, phase, held))
    assert wrong == [], wrong[:5]


def no_number_was_sent_more_often_than_it_needs(deploy: Deploy, feed: Feed, waits: frozenset[str]) -> None:
    """One call for an event, and for a number that moved at most one more for each event that came after."""
    calls = deploy.fleet.calls_of()
    plain = {n: calls.get(n, 0) for n, (profile, _) in feed.pushed.items() if profile not in waits}
    often = Counter(plain.values())
    moved = {n: calls.get(n, 0) for n in deploy.movers}
    print(f"calls of a number: {dict(often)} of those pushed once; {dict(Counter(moved.values()))} of those that moved")
    assert set(often) == {1}, [n for n, many in plain.items() if many != 1][:5]
    too_often = {n: (many, deploy.movers[n]) for n, many in moved.items() if many > 2 * len(deploy.movers[n])}
    assert too_often == {}


def fields(*directions: dict[str, Any], password: str = "") -> dict[str, dict[str, Any]]:
    """Directions as the API has them."""
    held = {}
    for each in directions:
        options = {"options": {**each["options"], "sip_password": password}} if password else {}
        held[each["type"]] = {**each, **options}
    return held


OLD: Final = {
    "kept": fields(*both("kept")),
    "edited": fields(outbound("edited-old")),
    "secret": fields(outbound("secret", **LOGIN), password=OLD_PASSWORD),
    "batched": fields(*both("batched")),
    "removed": fields(*both("removed")),
}
NEW: Final = {
    "kept": OLD["kept"],
    "edited": fields(*both("edited-new")),
    "secret": fields(outbound("secret", **LOGIN), password=NEW_PASSWORD),
    "batched": OLD["batched"],
    "added": fields(*both("added")),
}


def either(profile: str) -> list[dict[str, Any]]:
    return [each[profile] for each in (OLD, NEW) if profile in each]


def a_deploy_disturbs_nobody(folder: Path, forge: Forge, size: Size) -> list[float]:
    """The ratios, of the deploy and of the rollback."""
    with fleet(folder, forge) as all_of_it:
        deploy = Deploy(all_of_it, size)
        deploy.living = all_of_it.start(deploy.old, PROCESSES)
        movers = [all_of_it.new_numbers(10) for _ in range(4)]
        for numbers, profile in zip(movers, ("kept", "edited", "removed", "secret"), strict=True):
            deploy.move(deploy.old, profile, numbers)
        ratios = []
        with feeding(all_of_it, size.ahead, deploy.carried_by(deploy.old), "old") as feed:
            all_are_at_work(all_of_it)
            windows = [window(all_of_it, size.window_s)]
            mixed = deploy.replace_all(deploy.new, feed, "new")
            deploy.one_configuration_is_left()
            for numbers, profile in zip(movers, ("edited", "kept", "added", "edited"), strict=True):
                deploy.move(deploy.new, profile, numbers)
            del feed.profiles["removed"]
            windows.append(window(all_of_it, size.window_s))
            ratios.append(says("deploy", windows, mixed))
        all_of_it.rests(*deploy.new.settings.profiles, within=120)
        the_newest_has_won(deploy, feed, movers)
        if size.rollback:
            ratios.append(rolled_back(deploy, feed, movers, windows[1]))
        return ratios


def the_newest_has_won(deploy: Deploy, feed: Feed, movers: list[list[str]]) -> None:
    fleet = deploy.fleet
    fleet.is_sound()
    no_number_was_sent_more_often_than_it_needs(deploy, feed, frozenset({"removed"}))
    phases = {
        "old": {profile: either(profile) for profile in ("kept", "edited", "secret", "batched")},
        "new": {profile: [NEW[profile]] for profile in NEW},
    }
    what_was_sent_is_as_wanted(deploy, feed, phases)
    for numbers, want in zip(movers, (NEW["edited"], NEW["kept"], NEW["added"], NEW["edited"]), strict=True):
        assert [fleet.held(number) for number in numbers if fleet.held(number) != want] == []
    waiting = [n for n, (profile, _) in feed.pushed.items() if profile == "removed" and not fleet.held(n)]
    assert len(waiting) == fleet.counts("removed")["queued"] > 0
    told = fleet.ask("number", waiting[0], "--json").json[0]["waiting_for"]
    assert told == "no living worker's configuration carries its profile as it was published; 4 workers live"


def rolled_back(deploy: Deploy, earlier: Feed, movers: list[list[str]], before: Window) -> float:
    """The old configuration again, while numbers of the new one wait; the ratio."""
    fleet = deploy.fleet
    with feeding(fleet, deploy.size.ahead, deploy.carried_by(deploy.new), "back") as feed:
        windows = [before]
        time.sleep(deploy.size.window_s / 10)
        mixed = deploy.replace_all(deploy.old, feed, "back")
        deploy.one_configuration_is_left()
        feed.phase = "old again"
        feed.profiles.pop("added")
        for numbers, profile in zip(movers, ("removed", "edited", "kept", "secret"), strict=True):
            deploy.move(deploy.old, profile, numbers)
        windows.append(window(fleet, deploy.size.window_s))
        ratio = says("rollback", windows, mixed)
    fleet.rests(*deploy.old.settings.profiles, within=180)
    feed.pushed |= earlier.pushed
    fleet.is_sound()
    no_number_was_sent_more_often_than_it_needs(deploy, feed, frozenset({"added"}))
    phases = {
        "old": {profile: either(profile) for profile in OLD},
        "new": {profile: [NEW[profile]] for profile in NEW if profile != "added"},
        "back": {profile: either(profile) for profile in OLD},
        "old again": {profile: [OLD[profile]] for profile in OLD},
    }
    what_was_sent_is_as_wanted(deploy, feed, phases)
    wanted = (OLD["removed"], {**NEW["kept"], **OLD["edited"]}, OLD["kept"], {**NEW["edited"], **OLD["secret"]})
    for numbers, want in zip(movers, wanted, strict=True):
        assert [fleet.held(number) for number in numbers if fleet.held(number) != want] == []
    waiting = [n for n, (profile, _) in feed.pushed.items() if profile == "added" and not fleet.held(n)]
    assert len(waiting) == fleet.counts("added")["queued"] > 0
    return ratio


def test_a_deploy_disturbs_nobody(tmp_path: Path, forge: Forge) -> None:
    a_deploy_disturbs_nobody(tmp_path, forge, SHORT)


@pytest.mark.chaos
def test_a_deploy_and_its_rollback_take_no_tenth_of_the_rate(tmp_path: Path, forge: Forge) -> None:
    ratios = a_deploy_disturbs_nobody(tmp_path, forge, LONG)
    assert min(ratios) >= 0.9


# two hosts whose configurations have nothing in common


def host(fleet: Fleet, name: str, size: Size) -> Configuration:
    """A host with a profile and an account of its own."""
    account = {name: {"requests_per_second": size.requests_per_second, "max_concurrency": 8}}
    profiles = sized(size.numbers, **{name: {"account": name, "directions": both(name)}})
    return fleet.configuration(name, profiles, account)


def of_profile(fleet: Fleet, profile: str) -> dict[str, str]:
    """What is published of a profile and of its account of the same name, but for its progress."""
    policy: Any = fleet.store._client.hgetall(f"{{tl}}:policy:{profile}")
    account: Any = fleet.store._client.hmget(f"{{tl}}:account:{profile}", "cap", "iv")
    return {name: policy[name] for name in ("a", "s", "w", "fp", "d", "dg")} | {"account": str(account)}


def two_hosts_do_not_notice_each_other(folder: Path, forge: Forge, size: Size) -> list[float]:
    """What is left of each host's rate beside the other."""
    with fleet(folder, forge) as fleet_:
        x, y = host(fleet_, "x", size), host(fleet_, "y", size)
        first = fleet_.start(x, 2)
        with feeding(fleet_, size.ahead, {"x": x}, "") as feed_x, feeding(fleet_, size.ahead, {"y": y}, "") as feed_y:
            all_are_at_work(fleet_)
            alone = {"x": rates(fleet_, (feed_x,), size)["x"]}
            published = of_profile(fleet_, "x")
            second = fleet_.start(y, 2)
            all_are_at_work(fleet_)
            beside = rates(fleet_, (feed_x, feed_y), size)
            assert of_profile(fleet_, "x") == published
            published = of_profile(fleet_, "y")
            for member in first:
                member.stop()
            number = waits_for_nobody(fleet_)
            before = fleet_.counts("x")["attached"]
            alone["y"] = rates(fleet_, (feed_y,), size)["y"]
            assert fleet_.counts("x")["attached"] == before
            assert of_profile(fleet_, "y") == published
        fleet_.rests("y")
        told = fleet_.ask("number", number)
        assert "no living worker's configuration carries its profile as it was published; 2 workers live" in told.out
        assert "profile x waits: no living worker's configuration carries it" in fleet_.ask("status").out
        for members, own in ((first, "x"), (second, "y")):
            carried = {line["profile"] for member in members for line in member.logged("batch_settled")}
            assert carried == {own}
            assert not [member for member in members if member.logged("batch_not_ours")]
        fleet_.is_sound()
        assert set(fleet_.calls_of().values()) == {1}
        for name in "xy":
            print(f"{name}: {alone[name]} alone\n   {beside[name]} beside the other")
        return [beside[name].rate / alone[name].rate for name in "xy"]


def rates(fleet: Fleet, feeds: tuple[Feed, ...], size: Size) -> dict[str, Window]:
    """What is attached of each profile in a window."""
    begin = time.monotonic()
    time.sleep(size.window_s)
    calls = [call for call in fleet.sandbox.log() if begin <= call["monotonic"] < begin + size.window_s]
    found = {}
    for feed in feeds:
        pushed = dict(feed.pushed)
        (profile,) = feed.profiles
        own = [len(call["configured"]) for call in calls if call["numbers"][0] in pushed]
        found[profile] = Window(size.window_s, sum(own), len(own))
    return found


def waits_for_nobody(fleet: Fleet) -> str:
    """A number of x that waits."""
    until(lambda: not fleet.counts("x")["attaching"], "the end of the calls of x")
    numbers: Any = fleet.store._client.lrange("{tl}:ready:x", -1, -1)
    return str(numbers[0])


def test_two_hosts_with_disjoint_profiles_do_not_notice_each_other(tmp_path: Path, forge: Forge) -> None:
    two_hosts_do_not_notice_each_other(tmp_path, forge, SHORT)


@pytest.mark.chaos
def test_two_hosts_with_disjoint_profiles_have_their_full_rate_each(tmp_path: Path, forge: Forge) -> None:
    ratios = two_hosts_do_not_notice_each_other(tmp_path, forge, LONG)
    print(f"beside the other: {ratios[0]:.1%} and {ratios[1]:.1%} of what each has alone")
    assert min(ratios) >= 0.9
