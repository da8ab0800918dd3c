"""What people see of how things stand: who nobody sends for, a clock that stepped back, workers, a number's wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from trunkline.cli.books_view import books_table, workers_table
from trunkline.cli.render import entries_view
from trunkline.config.store_place import StorePlace
from trunkline.lifecycle import State
from trunkline.operations.documents import number_document, status_document, workers_document
from trunkline.store.model import COUNTED, AccountBook, Books, Entry, Pause, ProfileBook, WorkerSeen

NOW = 1_790_000_000_000  # 2026-09-21T14:13:20Z
HOUR = 3_600_000
COUNTS = dict.fromkeys(("accepted", *COUNTED), 0)
WORKER = WorkerSeen("one:7:aa", "one", 7, "0.1.0", 8, 3, "c0ffee", NOW - 2_000)
PROFILE = ProfileBook("support", "default", None, {**COUNTS, "accepted": 3, "queued": 3}, oldest_waiting_ms=NOW - HOUR)
BOOKS = Books(
    profiles=(PROFILE,),
    accounts=(AccountBook("default", None, None),),
    totals=PROFILE.counts,
    events={"accepted": 3, "duplicate": 0, "rejected": 0},
    calls={"attach": 0, "numbers": 0},
    workers=(WORKER,),
    now_ms=NOW,
)
ENTRY = Entry("support", "+14155550100", State.queued, 0, NOW, NOW, None, ("e",), "test", "")


def shown(view: RenderableType) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


def with_profile(**changes: Any) -> Books:
    return replace(BOOKS, profiles=(replace(PROFILE, **changes),))


def test_the_status_tells_of_a_profile_that_nobody_sends_for() -> None:
    nobody = replace(with_profile(carried=False), workers=())
    assert "profile support waits: no worker lives; `trunkline up` or" in shown(books_table(nobody))
    others = shown(books_table(with_profile(carried=False)))
    assert (
        "profile support waits: no living worker's configuration carries it as it was published; 1 worker lives\n"
        in others
    )
    for fine in (BOOKS, with_profile(carried=False, counts=COUNTS)):
        assert "waits" not in shown(books_table(fine))


@pytest.mark.parametrize(("ago", "told"), [(0, True), (23 * HOUR, True), (25 * HOUR, False)])
def test_the_status_tells_for_a_day_of_a_clock_that_stepped_back(ago: int, told: bool) -> None:
    books = replace(BOOKS, clock_stepped=(600_000, NOW - ago))
    assert ("the store's clock stepped back by 600 s at" in shown(books_table(books))) == told
    place = StorePlace("server", "redis://store:6379/0")
    assert status_document(books, place)["store"]["clock_stepped"]["by_s"] == 600
    assert status_document(BOOKS, place)["store"]["clock_stepped"] is None


def test_the_documents_have_the_workers_and_what_nobody_carries() -> None:
    document = status_document(with_profile(carried=False), StorePlace("server", "redis://store:6379/0"))
    (profile,) = document["profiles"]
    assert (profile["carried"], profile["oldest_waiting_at"]) == (False, "2026-09-21T13:13:20.000Z")
    assert document["workers"] == workers_document(BOOKS)
    assert workers_document(BOOKS) == [
        {
            "id": "one:7:aa", "host": "one", "pid": 7, "version": "0.1.0", "threads": 8, "busy": 3,
            "configuration": "c0ffee", "seen_at": "2026-09-21T14:13:18.000Z",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "until_ms", "told"),
    [
        ("operator", None, "account default is paused by an operator since 2026-09-21T14:13:20.000Z: the reason"),
        (
            "api", NOW + HOUR,
            "the breaker of account default is open since 2026-09-21T14:13:20.000Z, asked again at "
            "2026-09-21T15:13:20.000Z: the reason",
        ),
    ],
)  # fmt: skip
def test_the_status_tells_who_stopped_an_account(by: Any, until_ms: int | None, told: str) -> None:
    stopped = replace(BOOKS, accounts=(AccountBook("default", Pause("the reason", NOW, until_ms, by), until_ms),))
    assert told in shown(books_table(stopped))


def test_the_status_tells_that_answers_of_the_api_stopped_a_profile() -> None:
    stopped = with_profile(paused=Pause("refused alike: no such trunk", NOW, None, "api"))
    told = "profile support is paused by the API's answers since 2026-09-21T14:13:20.000Z: refused alike: no such trunk"
    assert told in shown(books_table(stopped))


def test_no_column_is_cut_on_a_narrow_terminal() -> None:
    counts = dict.fromkeys(COUNTS, 12_345_678)
    books = replace(with_profile(profile="a-profile-with-a-name", counts=counts), totals=counts)
    console = Console(width=60, soft_wrap=True)
    with console.capture() as capture:
        console.print(books_table(books))
    assert capture.get().count("12,345,678") == 2 * len(COUNTS)
    assert all(word in capture.get() for word in ("a-profile-with-a-name", *COUNTS))


def test_a_worker_is_one_line() -> None:
    (line,) = [line for line in shown(workers_table(BOOKS)).splitlines() if "c0ffee" in line]
    assert line.split() == ["one", "7", "0.1.0", "3", "of", "8", "c0ffee", "2", "s", "ago"]


def test_a_number_says_what_it_waits_for() -> None:
    paused = replace(BOOKS, accounts=(AccountBook("default", Pause("the bill", NOW, None, "operator"), None),))
    sentence = "the account default is paused by an operator: the bill (`trunkline resume default` ends it)"
    (document,) = number_document([ENTRY], paused)
    assert (document["account"], document["waiting_for"], document["in_doubt"]) == ("default", sentence, False)
    assert sentence in shown(entries_view([ENTRY], paused))
    attached = replace(ENTRY, state=State.attached)
    assert number_document([attached], paused)[0]["waiting_for"] is None
    assert "waits for" not in shown(entries_view([attached], paused))


def test_a_number_says_what_is_in_doubt() -> None:
    doubtful = replace(ENTRY, in_doubt=True)
    dropped = replace(doubtful, state=State.dropped)
    assert [each["in_doubt"] for each in number_document([ENTRY, doubtful, dropped], BOOKS)] == [False, True, True]
    assert "in doubt" not in shown(entries_view([ENTRY], BOOKS))
    assert "in doubt    an earlier call may have attached it" in shown(entries_view([doubtful], BOOKS))
    assert "in doubt    cancelled; an earlier call may have attached it" in shown(entries_view([dropped], BOOKS))
