"""Operations on a real store: what they select, what they change, what they say of names that are not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import SecretStr

from support.carrier_standins import telnyx, troubled, us_numbers
from support.http_servers import answering
from support.receivers import settings_with
from support.servers import Server
from support.store_steps import claim, entry, go_on, number, publish, push, sent, settle
from trunkline.config.sections import StoreSettings
from trunkline.config.settings import Settings
from trunkline.lifecycle import State
from trunkline.operations import dead_letters, pauses, rejected, upkeep
from trunkline.operations.cancel import Cancellation, Preview
from trunkline.operations.names import NotThere, WrongUse, unknown_profile
from trunkline.operations.number import number as look_up
from trunkline.operations.passwords import register_passwords
from trunkline.operations.pauses import Target
from trunkline.operations.reconcile import Rounds
from trunkline.operations.replay import Replay, StillKept
from trunkline.operations.selection import Selection, dead
from trunkline.operations.status import status
from trunkline.operations.trial import try_accounts, try_store
from trunkline.schema import Secret
from trunkline.store import Store, queries, rejections
from trunkline.store.rejections import Rejection
from trunkline.store.vault import VaultLocked
from trunkline_producers.carriers import ApiTable, CarrierUnavailable
from trunkline_producers.reconcile.reconcile import Step
from trunkline_producers.sources import read_sources

SETTINGS = settings_with({"crm": {"number": "numbers", "event_id": "id", "verify": {"scheme": "none"}}})


@pytest.fixture
def server(valkey: Server) -> Server:
    """One kind of server is enough here."""
    return valkey


def bury(store: Store, *numbers: str, code: str = "poison", api_code: str = "") -> None:
    push(store, *numbers)
    settle(store, sent(store, claim(store)), "dead", dead_code=code, api_code=api_code)
    go_on(store, 1)


def state(store: Store, number: str) -> State:
    return entry(store, number).state


# Dead letters


def test_dead_letters_come_page_by_page(store: Store) -> None:
    publish(store, wait_ms=0)
    bury(store, *map(number, range(5)))
    seen: list[list[str]] = []
    cursor: str | None = None
    while cursor or not seen:
        page = dead_letters.dead_letters(store, profile="support", code="poison", limit=2, cursor=cursor)
        seen.append([letter.number for letter in page])
        cursor = page.next_cursor
    assert seen == [[number(0), number(1)], [number(2), number(3)], [number(4)]]
    with pytest.raises(WrongUse, match="'x' is no cursor"):
        dead_letters.dead_letters(store, cursor="x")


def test_those_that_are_selected_are_replayed_or_dropped_and_no_others(store: Store) -> None:
    publish(store, wait_ms=0)
    bury(store, number(1), number(2), code="rejected_by_api", api_code="NOT_OWNED")
    bury(store, number(3), number(4))
    assert dead_letters.replay(store, Selection(code="NOT_OWNED", profile="sales")) == 0
    assert dead_letters.replay(store, Selection((number(1), number(3)), code="NOT_OWNED")) == 1
    assert dead_letters.replay(store, Selection(source="elsewhere")) == 0
    assert dead_letters.drop(store, Selection(code="poison")).dropped == 2
    states = [state(store, number(n)) for n in (1, 2, 3, 4)]
    assert states == [State.queued, State.dead, State.dropped, State.dropped]


def test_what_dies_while_letters_are_replayed_was_not_meant(store: Store) -> None:
    publish(store, wait_ms=0)
    bury(store, number(1))
    meant = iter(dead(store, Selection()))
    go_on(store, 1)
    bury(store, number(2))
    assert [letter.number for letter in meant] == [number(1)]


# Cancel


def test_a_cancellation_takes_what_was_there_when_it_was_made(store: Store) -> None:
    publish(store)
    push(store, number(1), number(2))
    cancellation = Cancellation(store, Selection(profile="support"))
    assert cancellation.preview() == Preview(2, number(2))
    go_on(store, 1)
    push(store, number(3))
    assert cancellation.run().dropped == 2
    assert cancellation.preview() == Preview()
    assert state(store, number(3)) is State.queued


def test_a_cancellation_by_number_asks_for_profile_and_source_too(store: Store) -> None:
    publish(store)
    push(store, number(1))
    for other in (Selection((number(1),), "sales"), Selection((number(1),), source="crm")):
        assert Cancellation(store, other).run().dropped == 0
    assert Cancellation(store, Selection((number(1), number(2)), "support", source="test")).run().dropped == 1


# Pauses and names


@pytest.mark.parametrize("target", [Target("account", "default"), Target("profile", "support")])
def test_calls_are_stopped_and_started_again(store: Store, target: Target) -> None:
    publish(store)
    pauses.pause(store, target, "the PBX moves")
    books = queries.books(store)
    paused = [*(book.paused for book in books.accounts), *(book.paused for book in books.profiles)]
    assert [(each.reason, each.by) for each in paused if each] == [("the PBX moves", "operator")]
    pauses.resume(store, target)
    assert all(book.paused is None for book in queries.books(store).profiles)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("account", "defalt"), 'no account defalt; did you mean "default"\\? `trunkline status` lists'),
        (Target("profile", "suport"), 'no profile suport; did you mean "support"\\? `trunkline status` lists'),
        (Target("profile", "x"), "no profile x; `trunkline status` lists"),
    ],
)
def test_a_name_that_nobody_published_is_guessed_at(store: Store, target: Target, said: str) -> None:
    publish(store)
    with pytest.raises(NotThere, match=said):
        pauses.pause(store, target, "")
    with pytest.raises(NotThere, match=said):
        pauses.resume(store, target)


def test_a_profile_is_known_if_it_is_published_or_configured(store: Store) -> None:
    publish(store, profiles=("sales",))
    for name in ("sales", "support", None):
        assert unknown_profile(store, SETTINGS, name) is None
    assert unknown_profile(store, SETTINGS, "salse") == 'there is no profile "salse"; did you mean "sales"?'


# Questions


def test_the_status_is_the_books_and_what_there_is_to_say_of_the_store(store: Store) -> None:
    store.versions()
    publish(store)
    push(store, number(1))
    answer = status(store, SETTINGS)
    assert (answer.books.totals["queued"], answer.about_store) == (1, ())
    assert answer.document()["store"]["schema"] == answer.schema
    small = settings_with({}, max_body_bytes=65_536, max_kept_bytes=65_536)
    rejections.keep(store, Rejection("a" * 16, "crm", "no_route", "why", "POST", "/", {}, b"x" * 60_000), counts=True)
    (filling,) = status(store, small).about_store
    assert "of 65,536 bytes for what could not be taken in are used" in filling


def test_a_number_is_found_however_it_is_written(store: Store) -> None:
    publish(store)
    push(store, "+14155550100")
    answer = look_up(store, SETTINGS.numbers, "(415) 555-0100")
    assert [each["number"] for each in answer.document()] == ["+14155550100"]
    assert look_up(store, SETTINGS.numbers, "+14155550199").entries == ()


def test_no_password_is_kept_and_none_is_lost(store: Store) -> None:
    keyed = replace(SETTINGS, secret_key=SecretStr("A" * 43 + "="))
    assert register_passwords(store, keyed, "support").document(every=True)["passwords"] == []
    store._client.hset("{tl}:secret:support", "a", json.dumps({"at": 1, "sealed": ""}))
    with pytest.raises(VaultLocked):
        register_passwords(store, SETTINGS, "support")


def test_an_audit_mends_where_it_is_asked_to(store: Store) -> None:
    store.versions()
    publish(store)
    push(store, number(1))
    store._client.delete("{tl}:ready:support")
    found = upkeep.audit(store, repair=False)
    assert f"{number(1)} of support is queued and waits nowhere, so nobody would call it" in found.wrong
    assert found.mended is None
    repaired = upkeep.audit(store, repair=True)
    assert repaired.wrong == ()
    assert repaired.mended is not None
    assert repaired.mended[0] == f"{number(1)} of support waits again where its entry says"


# Rejections


@pytest.fixture
def kept(store: Store) -> tuple[str, ...]:
    """Two events of a source, and the reason alone of a third, oldest first."""
    bodies = {"a": {"id": "1", "numbers": ["+14155550100"]}, "b": {"id": "2", "numbers": ["12"]}}
    headers = {"content-type": "application/json"}
    for name, event in bodies.items():
        body = json.dumps(event).encode()
        request = Rejection(name * 16, "crm", "no_route", "why", "POST", "/hooks/crm", headers, body)
        rejections.keep(store, request, counts=False)
        go_on(store, 1)
    rejections.keep(store, Rejection("c" * 16, "shop", "not_fetched", "the carrier said 404"), counts=False)
    return ("a" * 16, "b" * 16, "c" * 16)


def test_rejections_are_listed_shown_and_dropped(store: Store, kept: tuple[str, ...]) -> None:
    listed = rejected.listed(store, SETTINGS)
    assert [each.id for each in listed.found] == list(reversed(kept))
    assert (listed.capped, listed.filling) == (False, None)
    assert [each["id"] for each in rejected.listed(store, SETTINGS, source="shop").document()] == [kept[2]]
    assert rejected.body_of(store, kept[1]) == rejected.shown(store, kept[1]).body
    with pytest.raises(NotThere, match="only the reason was kept"):
        rejected.body_of(store, kept[2])
    with pytest.raises(NotThere, match="there is no rejection d"):
        rejected.shown(store, "d")
    assert rejected.dropped(store, kept[:2], source="shop") == 0
    assert rejected.dropped(store, kept[:1], source="crm") == 1
    with pytest.raises(WrongUse, match="say which"):
        rejected.dropped(store, ())
    assert rejected.dropped(store, (), every=True) == 2


@pytest.mark.parametrize("change", [dead_letters.replay, dead_letters.drop, Cancellation])
def test_nothing_is_changed_for_want_of_a_filter(store: Store, change: Callable[[Store, Selection], object]) -> None:
    publish(store)
    push(store, number(1))
    with pytest.raises(WrongUse, match="say which"):
        change(store, Selection())
    assert queries.books(store).totals["queued"] == 1


def test_rejections_are_replayed_one_by_one(store: Store, kept: tuple[str, ...]) -> None:
    settings = settings_with({"crm": dict(SETTINGS.sources["crm"]) | {"profile": "support"}})
    publish(store)
    found, _ = read_sources(settings.sources, settings.server, need_secrets=False)
    replay = Replay(store, settings, found)
    still = list(replay.run())
    assert [each.id for each in still] == list(kept[1:])
    assert still[1] == StillKept(kept[2], "shop", "there is no source shop any more; add [sources.shop]")
    document = replay.document()
    assert (document["replayed"], document["kept"], document["accepted"]) == (1, list(kept[1:]), 1)
    assert state(store, "+14155550100") is State.queued


# Trials and rounds


@pytest.fixture
def settings(server: Server, store: Store) -> Settings:  # the store is empty
    url = SecretStr(server.url)
    return replace(SETTINGS, store=StoreSettings(url=url, acknowledge="memory"))


def test_a_store_and_accounts_are_tried(settings: Settings) -> None:
    assert try_store(settings).warning is None
    with answering((200, {}, b"{}")) as (url, _):
        account = settings.accounts["default"].model_copy(update={"base_url": url})
        accepted = list(try_accounts(replace(settings, accounts={"default": account})))
    assert [(trial.account, trial.ok, trial.message) for trial in accepted] == [
        ("default", True, "GET /v1/me answers 200")
    ]
    account = account.model_copy(update={"base_url": "http://127.0.0.1:9", "timeout_s": 1.0})
    assert not next(try_accounts(replace(settings, accounts={"default": account}))).ok


def rounds(settings: Settings, url: str, steps: list[Step], notes: list[str], *, dry_run: bool) -> Rounds:
    source = {"type": "telnyx", "profile": "support"}
    api = ApiTable(url=url, key=Secret("KEY", SecretStr("key")), page_size=3)
    unkeyed = settings.accounts["default"].model_copy(update={"key": None})
    here = replace(settings, sources={"telnyx": source}, accounts={"default": unkeyed})
    return Rounds(here, "telnyx", api, dry_run=dry_run, tell_step=steps.append, tell_note=notes.append)


def test_a_round_is_a_value_and_tells_each_page(settings: Settings, store: Store) -> None:
    numbers, steps, notes = us_numbers(4), list[Step](), list[str]()
    with answering(telnyx(numbers)) as (url, _):
        rehearsed = rounds(settings, url, steps, notes, dry_run=True).run()
        assert (rehearsed.numbers, rehearsed.compared) == (numbers, False)
        assert [len(step.enqueued) for step in steps] == [3, 1]
        assert queries.books(store).totals["accepted"] == 0
        twice = rounds(settings, url, steps, notes, dry_run=False)
        assert (twice.run().sums.enqueued, twice.run().sums.enqueued) == (4, 0)
    assert notes == ["no key of the account default is at hand; its numbers are compared with the books alone"] * 2


def test_a_round_that_is_interrupted_says_what_was_done(settings: Settings, store: Store) -> None:
    away = (503, {"Retry-After": "120"}, b"")
    with (
        answering(troubled(telnyx(us_numbers(4)), {1: away})) as (url, _),
        pytest.raises(CarrierUnavailable, match=r"telnyx: .* 503 \(3 numbers were done; the next run") as caught,
    ):
        rounds(settings, url, [], [], dry_run=False).run()
    assert caught.value.retry_after_s == 120
    assert queries.books(store).totals["queued"] == 3
