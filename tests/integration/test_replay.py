"""What was kept and is read again: it is as old as it was, it comes in once, and nothing of it vanishes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from conftest import NOON
from support.receivers import settings_with
from support.servers import Server
from trunkline.config.settings import Settings
from trunkline.events.event import NumberEvent
from trunkline.events.routing import Route, When
from trunkline.lifecycle import Refusal, RefusalCode
from trunkline.store import Store, queries, rejections
from trunkline.store.rejections import Rejection
from trunkline_producers import Enqueuer
from trunkline_producers.deliveries.replay import Replayer, kept_of_program
from trunkline_producers.enqueue.enqueuer import Summary
from trunkline_producers.sources import read_sources

US, GB = "+14155550100", "+442071838750"
OPEN: dict[str, Any] = {"verify": {"scheme": "none"}}
CRM: dict[str, Any] = {"number": "numbers", "event_id": "id", **OPEN}
US_ONLY = (Route(when=When(country="US"), profile="old"),)
ANYWHERE = (Route(profile="old"),)


@pytest.fixture
def server(valkey: Server) -> Server:
    """One kind of server is enough here."""
    return valkey


def settings(routes: tuple[Route, ...] = ANYWHERE, **crm: Any) -> Settings:
    return settings_with({"crm": {**CRM, **crm}}, profiles=("old", "new"), routes=routes)


def replayer(store: Store, made: Settings) -> Replayer:
    sources, mistakes = read_sources(made.sources, made.server, need_secrets=True)
    assert mistakes == []
    return Replayer(Enqueuer.from_settings(store, made), sources, lambda _source, _thin: (), str)


def keep(store: Store, event: Mapping[str, Any], code: str = "no_route") -> str:
    body = json.dumps(event).encode()
    headers = {"content-type": "application/json"}
    rejections.keep(store, Rejection("a" * 16, "crm", code, "why", "POST", "/hooks/crm", headers, body), counts=False)
    return "a" * 16


def states(store: Store, number: str) -> dict[str, str]:
    return {entry.profile: entry.state.value for entry in queries.entries_of(store, number)}


def test_what_came_since_is_newer_than_what_is_replayed(store: Store) -> None:
    kept_id = keep(store, {"id": "1", "numbers": [US]})
    store.now_ms = NOON + 60_000
    Enqueuer.from_settings(store, settings()).enqueue([NumberEvent("2", (US,), profile="new")])
    store.now_ms = NOON + 120_000
    replayer(store, settings()).replay(rejections.get(store, [kept_id])[0])
    assert states(store, US) == {"new": "queued", "old": "superseded"}
    assert rejections.listed(store) == []


def test_what_went_in_the_first_time_and_was_taken_out_since_stays_out(store: Store) -> None:
    event = {"id": "1", "numbers": [US, GB]}
    first = Enqueuer.from_settings(store, settings(US_ONLY))
    summary = first.enqueue([NumberEvent("1", (US, GB), source="crm")])
    assert (summary.accepted, len(summary.rejected)) == (1, 1)
    kept_id = keep(store, event)
    store.cancel([("old", US)])
    taken = replayer(store, settings()).replay(rejections.get(store, [kept_id])[0])
    assert (taken.summary.accepted, taken.summary.rejected) == (1, ())
    assert (states(store, US), states(store, GB)) == ({"old": "dropped"}, {"old": "queued"})


def test_replaying_twice_is_replaying_once(store: Store) -> None:
    keep(store, {"id": "1", "numbers": [US]})
    (kept,) = rejections.listed(store)
    again = replayer(store, settings())
    assert again.replay(kept).summary.accepted == 1
    assert again.replay(kept).summary == Summary(duplicate=1)
    assert queries.books(store).totals["accepted"] == 1


def test_what_no_case_is_for_any_more_is_not_thrown_away(store: Store) -> None:
    kept_id = keep(store, {"id": "1", "numbers": [US]})
    taken = replayer(store, settings(match="kind == 'other'")).replay(rejections.get(store, [kept_id])[0])
    assert taken.kept is not None
    assert [kept.id for kept in rejections.listed(store)] == [kept_id]


def test_what_still_can_not_go_in_keeps_its_place_and_tells_the_new_reason(store: Store) -> None:
    kept_id = keep(store, {"id": "1", "numbers": [GB]}, code="invalid_event")
    store.now_ms = NOON + 60_000
    replayer(store, settings(US_ONLY)).replay(rejections.get(store, [kept_id])[0])
    (kept,) = rejections.listed(store)
    assert (kept.code, kept.times, kept.at_ms) == ("no_route", 1, NOON)


def test_of_what_programs_post_only_the_refused_is_kept_each_under_its_source() -> None:
    refused = Summary(rejected=(Refusal(GB, RefusalCode.no_route, "no route"),))
    events = [NumberEvent(name, (GB,), source=source) for name, source in (("a", "s1"), ("a", "s2"), ("b", "s2"))]
    kept = kept_of_program(events, [refused, Summary(accepted=1), refused])
    assert [(one.source, [event["event_id"] for event in json.loads(one.body)]) for one in kept] == [
        ("s1", ["a"]), ("s2", ["b"]),
    ]  # fmt: skip
