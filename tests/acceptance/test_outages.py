"""An API that is away for ten minutes, in whatever way: nothing dies, nobody pays an attempt, and nobody hammers it.

Times are the defaults divided by a factor, rates multiplied by it. `pause_max_s` stands for the minute after which an
API that is away is asked again at the latest, which is no setting. `pytest -m chaos` plays each way alone with 10,000
numbers; `OUTAGE_FACTOR=1` plays it in real time, with the defaults as they are.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from acceptance.gateway import Asked, Gateway, Way
from acceptance.scenes import as_toml
from acceptance.site import patiently
from acceptance.worker_harness import PATIENCE_S, Commands, Worker, environment, until, working
from support.servers import running
from support.store_audit import audit
from trunkline.bland.client import TRIES
from trunkline.bootstrap import open_store
from trunkline.config.settings import Settings, load
from trunkline.events.event import NumberEvent
from trunkline.lifecycle import State
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import Store, queries
from trunkline.store.model import Entry
from trunkline_producers.enqueue.enqueuer import Enqueuer

FACTOR: Final = float(os.environ.get("OUTAGE_FACTOR", "10"))
CONCURRENCY: Final = 2  # an account's default
PAUSE_INITIAL_S: Final = 30.0
PAUSE_MOST_S: Final = 60.0
BACK_WITHIN_S: Final = 60.0  # not scaled: the work itself takes as long as it takes
JITTER: Final = 0.9  # of a pause, which the store's clock ends and ours looks on

# what is said of a number that waits, and how many requests one interval between two probes may see
WAYS: Final[Mapping[Way, tuple[str, int]]] = {
    "503": ("503", 1),
    "503 soon": ("503", 1),
    "reset": ("connection was lost", 1),
    "hang": ("no answer in time", 1),
    "500 page": ("500", 1),
    "attach 503": ("503", 2),  # the probe, which finds the API well, and the one batch after it
    "away": ("no connection", 1),
}


@dataclass
class Account:
    """An account with a profile of the same name, its own API, and the numbers that were pushed."""

    name: str
    way: Way
    gateway: Gateway
    sandbox: Sandbox
    numbers: list[str] = field(default_factory=list)


@dataclass
class Place:
    """A store, a worker process, and accounts whose APIs fail."""

    settings: Settings
    store: Store
    worker: Worker
    trunkline: Commands
    accounts: list[Account]
    factor: float

    def push(self, account: Account, count: int) -> None:
        index, known = self.accounts.index(account), len(account.numbers)
        numbers = [f"+1415{2_000_000 + 100_000 * index + known + each:07d}" for each in range(count)]
        events = [NumberEvent(event_id=n, numbers=(n,), profile=account.name, source="s") for n in numbers]
        enqueuer = Enqueuer.from_settings(self.store, self.settings)
        patiently(lambda: enqueuer.enqueue(events))  # an event that is in already is known
        account.numbers += numbers

    def counted(self, account: Account, state: str) -> int:
        books = patiently(lambda: queries.books(self.store))
        return next(book.counts[state] for book in books.profiles if book.profile == account.name)

    def is_paused(self, account: Account) -> bool:
        books = patiently(lambda: queries.books(self.store))
        return any(each.paused for each in books.accounts if each.account == account.name)

    def entries(self, account: Account) -> list[Entry]:
        keys = [(account.name, number) for number in account.numbers]
        return patiently(lambda: list(queries.entries(self.store, keys)))

    def says(self, account: Account) -> str:
        """What `trunkline number` says that the last number waits for."""
        (entry,) = self.trunkline("number", account.numbers[-1], "--json").json
        return str(entry["waiting_for"])


@contextmanager
def place(folder: Path, ways: Sequence[Way], factor: float, *, well_for: int) -> Iterator[Place]:
    """Everything but the numbers. `well_for`: how many attach calls; an API that is away is so before the worker."""
    with ExitStack() as stack:
        server = stack.enter_context(running("valkey", folder, appendonly="yes", appendfsync="always"))
        accounts = []
        for index, way in enumerate(ways):
            sandbox = stack.enter_context(Sandbox(SandboxRules(fail_rate=0, latency_s=0.05)))
            gateway = stack.enter_context(Gateway(sandbox.base_url, way, well_for=well_for))
            accounts.append(Account(f"account-{index}", way, gateway, sandbox))
        config = folder / "trunkline.toml"
        config.write_text(configuration(server.url, accounts, factor), "utf-8")
        env = environment(TRUNKLINE_CONFIG=config, BLAND_API_KEY="sandbox-key")
        settings = load(config, env)
        opened = open_store(settings)
        stack.callback(opened.close)
        trunkline = stack.enter_context(Commands(folder, env))
        worker = stack.enter_context(working(folder / "worker.log", env))
        yield Place(settings, opened.store, worker, trunkline, accounts, factor)


def configuration(url: str, accounts: Sequence[Account], factor: float) -> str:
    """The defaults, faster."""
    key = {"env": "BLAND_API_KEY"}
    pauses = {"pause_initial_s": PAUSE_INITIAL_S / factor, "pause_max_s": PAUSE_MOST_S / factor}
    pace = {"timeout_s": 30 / factor, "requests_per_second": 5 * factor, "max_concurrency": CONCURRENCY}
    sections: dict[str, dict[str, object]] = {
        "store": {"url": url},
        "batch": {"max_wait_s": 1 / factor},
        "retry": {"initial_s": 5 / factor, "max_s": 900 / factor},
        "worker": {"lease_s": 60 / factor, "grace_s": 45 / factor, "threads": 8 if len(accounts) == 1 else 16},
        "accounts": {
            each.name: {"base_url": each.gateway.url, "key": key, **pace, **(pauses if factor > 1 else {})}
            for each in accounts
        },
        "profiles": {each.name: {"account": each.name, "directions": [{"type": "inbound"}]} for each in accounts},
    }
    lines = []
    for name, section in sections.items():
        lines += [f"[{name}]", *(f"{key} = {as_toml(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"


def play(place: Place, *, numbers: int, outage_s: float) -> None:
    """The APIs fail with most of the numbers waiting and some under way, and are well again."""
    for account in place.accounts:
        place.push(account, numbers)
    for account in place.accounts:
        assert account.gateway.began.wait(PATIENCE_S)
    began = time.monotonic()
    opened = {each.name: when_paused(place, each) for each in place.accounts}
    says_why_they_wait(place)
    while time.monotonic() < began + outage_s:
        time.sleep(0.1)  # an outage has no condition to wait for
    for account in place.accounts:
        spent_nothing(place, account)
    for account in place.accounts:
        account.gateway.recover()
    back = time.monotonic()
    for account in place.accounts:
        is_through(place, account, BACK_WITHIN_S - (time.monotonic() - back))
        took = time.monotonic() - back
        asked = [each for each in account.gateway.asked if opened[account.name] < each.at < back]
        seen = f"{len(account.numbers)} numbers, {back - began:.0f} s away; {figures(place, account, asked)}"
        print(f"{account.way}: {seen}; all attached {took:.1f} s after its return")
    for account in place.accounts:
        is_whole(place, account)
        asked = [each for each in account.gateway.asked if opened[account.name] < each.at < back]
        was_left_alone(place, account, asked, back - began)
    audited = place.trunkline("audit")
    assert (audited.code, audit(place.store)) == (0, []), audited.out
    assert "Traceback" not in place.worker.log.read_text("utf-8")


def when_paused(place: Place, account: Account) -> float:
    until(lambda: place.is_paused(account), f"the breaker of {account.way}")
    return time.monotonic()


def says_why_they_wait(place: Place) -> None:
    """One sentence for a number, one for each account among all: which breaker is open, and what the API said last."""
    for account in place.accounts:
        says_why_it_waits(place, account)

    def status_says() -> bool:
        lines = place.trunkline("status").out.splitlines()
        return all(any(names_the_trouble(account, line) for line in lines) for account in place.accounts)

    until(status_says, lambda: place.trunkline("status").out)


def says_why_it_waits(place: Place, account: Account) -> None:
    until(lambda: names_the_trouble(account, place.says(account)), lambda: place.says(account))


def names_the_trouble(account: Account, sentence: str) -> bool:
    words, _ = WAYS[account.way]
    return "the breaker of" in sentence and f"account {account.name} is open" in sentence and words in sentence


def spent_nothing(place: Place, account: Account) -> None:
    """No attempt of those that wait, nobody dead."""
    waiting = [each for each in place.entries(account) if each.state is not State.attached]
    assert {each.state for each in waiting} <= {State.queued, State.attaching}
    assert sum(each.attempts for each in waiting) == 0


def is_through(place: Place, account: Account, within_s: float) -> None:
    """Waits until all are attached."""

    def told() -> str:
        return f"{account.way}: {place.trunkline('status').out}\n{place.says(account)}"

    until(lambda: place.counted(account, "attached") >= len(account.numbers), told, within_s)


def is_whole(place: Place, account: Account) -> None:
    """All attached, each at its first attempt, as the API has it too."""
    entries = place.entries(account)
    assert {each.state for each in entries} == {State.attached}
    assert {each.attempts for each in entries} == {1}
    assert place.counted(account, "dead") == 0
    seen = account.sandbox.stats()
    assert (seen["attached"], seen["duplicates_in_call"], seen["in_two_calls_numbers"]) == (len(entries), 0, [])


def figures(place: Place, account: Account, asked: Sequence[Asked]) -> str:
    """What an API was asked while its account's breaker stood open; one that is away can't count."""
    if account.way == "away":
        failed = place.worker.logged("account_probe_failed")
        return f"0 dead, 0 attempts, {sum(each['account'] == account.name for each in failed)} probes"
    counts: dict[str, int] = {}
    for each in asked:
        counts[each.endpoint] = counts.get(each.endpoint, 0) + 1
    most = max((len(each) for each in intervals(asked)[1:]), default=0)
    return f"0 dead, 0 attempts, {len(asked)} calls {counts}, at most {most} in the interval of a probe"


def intervals(asked: Sequence[Asked]) -> list[list[Asked]]:
    """The requests from each probe to the next; a connection reset unread may have been a probe."""
    found: list[list[Asked]] = []
    for each in asked:
        if each.endpoint in ("me", "connection"):
            found.append([])
        if found:
            found[-1].append(each)
    return found


def was_left_alone(place: Place, account: Account, asked: Sequence[Asked], away_s: float) -> None:
    """A probe at a time, each interval no shorter than it has to be, and in it what the way allows.

    The calls that were under way, with their quick repeats, may still come before the second probe.
    """
    _, most = WAYS[account.way]
    probes = [each.at for each in asked if each.endpoint in ("me", "connection")]
    told = [(round(each.at - asked[0].at, 2), each.endpoint) for each in asked]
    assert account.way == "away" or probes, told
    late = [each for each in asked if each.at not in probes and each.at < (probes[1] if len(probes) > 1 else math.inf)]
    assert len(late) <= CONCURRENCY * TRIES, told
    crowded = [some for some in intervals(asked)[1:] if len(some) > most]
    assert crowded == [], told
    failed = [each for each in place.worker.logged("account_probe_failed") if each["account"] == account.name]
    assert len(failed) <= 1 + away_s / (JITTER * PAUSE_INITIAL_S / place.factor)
    if asked and asked[0].endpoint == "connection":
        probes = probes[1:]  # where every connection is reset, the first may be that of a call that was under way
    pauses = [later - earlier for earlier, later in itertools.pairwise(probes)]
    assert all(pause >= JITTER * PAUSE_INITIAL_S / place.factor for pause in pauses), told


@pytest.mark.chaos
@pytest.mark.parametrize("way", WAYS)
def test_ten_minutes_without_the_api_cost_nothing_and_ten_thousand_numbers_are_through_a_minute_later(
    way: Way, tmp_path: Path
) -> None:
    with place(tmp_path, [way], FACTOR, well_for=10) as there:
        play(there, numbers=11_000, outage_s=600 / FACTOR)


def test_an_api_that_is_away_in_whatever_way_costs_no_attempt_and_is_left_alone(tmp_path: Path) -> None:
    """The ways that differ most at once, each on an account of its own, faster still."""
    with place(tmp_path, ["reset", "hang", "500 page", "attach 503"], 15, well_for=1) as there:
        play(there, numbers=400, outage_s=8)
