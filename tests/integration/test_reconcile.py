"""An account's numbers against the books of a real store: what goes in, what is left, what an interruption costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from support.carrier_standins import ACCOUNT, KEY, Answer, telnyx, troubled, twilio, us_numbers
from support.http_servers import Reply, answering
from support.store_audit import audit
from trunkline.config.settings import Settings, load
from trunkline.events.event import NumberEvent
from trunkline.lifecycle import RefusalCode, State
from trunkline.schema import Secret
from trunkline.store import Store, checkpoints
from trunkline.store.model import Batch, Disposition, Settlement
from trunkline.store.queries import entries_of, entries_of_each
from trunkline.timestamps import EPOCH
from trunkline_producers import Enqueuer, Summary
from trunkline_producers.carriers import ApiTable, CarrierRefused, CarrierUnavailable
from trunkline_producers.carriers.telnyx import Telnyx
from trunkline_producers.carriers.twilio import Twilio
from trunkline_producers.reconcile.decide import Listed, nothing_listed
from trunkline_producers.reconcile.purchases import take_purchases
from trunkline_producers.reconcile.reconcile import Reconciled, Reconciler, Step

FILE = """
[profiles.support]
[[profiles.support.directions]]
type = "inbound"
[[profiles.support.directions]]
type = "outbound"
sip_endpoint = "sip:trunk.provider.com"

[profiles.uk]
[[profiles.uk.directions]]
type = "outbound"
sip_endpoint = "sip:trunk.provider.co.uk"

[profiles.desk]
trunk_id = "trunk_1"
[[profiles.desk.directions]]
type = "inbound"

[sources.telnyx]
type = "telnyx"
profile = "support"
"""
NUMBERS = us_numbers(8)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DOWN: Reply = (500, {}, b"")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "trunkline.toml"
    path.write_text(FILE)
    return load(path, {}, secrets="optional")


@pytest.fixture
def enqueuer(store: Store, settings: Settings) -> Enqueuer:
    return Enqueuer.from_settings(store, settings)


Run = Callable[..., list[Step]]


@pytest.fixture
def run(store: Store, enqueuer: Enqueuer, settings: Settings) -> Run:
    """Reconciles a Telnyx account, three numbers a page."""

    def run(
        numbers: list[str] | Answer, *, listed: Listed = nothing_listed, dry: bool = False, from_start: bool = False
    ) -> list[Step]:
        answer = telnyx(numbers) if isinstance(numbers, list) else numbers
        reconciler = Reconciler(store, enqueuer, settings.numbers, "telnyx", listed, keep_place=not dry)
        with answering(answer) as (url, _), closing(Telnyx(api(url), sleep=lambda _: None)) as carrier:
            return list(reconciler.run(carrier, from_start=from_start))

    return run


def api(url: str, **fields: object) -> ApiTable:
    key = Secret("env:K", SecretStr(KEY))
    return ApiTable.model_validate({"url": url, "key": key, "page_size": 3, "timeout_s": 5.0, **fields})


def push(enqueuer: Enqueuer, *numbers: str, profile: str = "support") -> None:
    event = NumberEvent(event_id=f"{profile} {numbers}", numbers=numbers, profile=profile, source="before")
    assert enqueuer.enqueue([event]).accepted == len(numbers)


def claim(store: Store) -> Batch:
    assert store.now_ms is not None
    store.now_ms += 60_000
    batch = store.claim(60_000)
    assert isinstance(batch, Batch)
    return batch


def attach(store: Store, batch: Batch) -> None:
    attached = tuple(leased.number for leased in batch.numbers)
    assert store.settle(batch.id, Settlement(batch.fingerprint, attached=attached, healthy=True))


def states(store: Store, *numbers: str) -> list[State]:
    return [entry.state for entries in entries_of_each(store, numbers).values() for entry in entries]


def sums(steps: list[Step]) -> Reconciled:
    return steps[-1].so_far


# What goes in


def test_numbers_that_the_books_do_not_know_are_enqueued_with_what_the_carrier_says_of_them(
    store: Store, run: Run
) -> None:
    assert sums(run(NUMBERS)) == Reconciled(listed=8, missing=8, enqueued=8)
    (entry,) = entries_of(store, NUMBERS[0])
    assert (entry.profile, entry.state, entry.source) == ("support", State.queued, "telnyx")
    assert entry.event_ids == (f"inventory-{NUMBERS[0]}",)
    assert '"carrier_id":"14155550000"' in entry.metadata


def test_running_it_twice_enqueues_nothing_twice(run: Run) -> None:
    run(NUMBERS)
    assert sums(run(NUMBERS)) == Reconciled(listed=8, known=8, left={State.queued: 8})


def test_a_number_under_any_profile_is_known(store: Store, enqueuer: Enqueuer, run: Run) -> None:
    push(enqueuer, NUMBERS[0], profile="uk")
    assert sums(run(NUMBERS[:1])) == Reconciled(listed=1, known=1, left={State.queued: 1})
    assert [entry.profile for entry in entries_of(store, NUMBERS[0])] == ["uk"]


@pytest.mark.parametrize("written", ["4155550000", "14155550000", "+14155550000", "tel:+1-415-555-0000"])
def test_a_number_that_a_trunk_has_verbatim_is_known(store: Store, enqueuer: Enqueuer, run: Run, written: str) -> None:
    push(enqueuer, written, profile="desk")
    assert sums(run(["+14155550000"])) == Reconciled(listed=1, known=1, left={State.queued: 1})
    assert states(store, "+14155550000", "4155550000", "14155550000") == [State.queued]


def test_a_number_that_a_trunk_has_verbatim_is_looked_for_and_read_back_as_it_has_it(
    store: Store, enqueuer: Enqueuer, run: Run
) -> None:
    push(enqueuer, "4155550000", profile="desk")
    attach(store, claim(store))
    listed = ("desk", "4155550000")
    assert sums(run(["+14155550000"], listed=lambda *asked: asked == listed)).left == {State.attached: 1}
    assert sums(run(["+14155550000"], listed=lambda *asked: asked != listed)).enqueued == 1
    assert states(store, "4155550000", "+14155550000") == [State.queued]


def test_every_page_is_a_step_that_says_what_went_in(run: Run, enqueuer: Enqueuer) -> None:
    push(enqueuer, *NUMBERS[:4])
    assert [(step.so_far.listed, step.enqueued) for step in run(NUMBERS)] == [
        (3, ()),
        (6, tuple(NUMBERS[4:6])),
        (8, tuple(NUMBERS[6:])),
    ]


def test_what_cannot_be_routed_or_read_is_refused_with_its_reason(
    store: Store, settings: Settings, enqueuer: Enqueuer
) -> None:
    nowhere = Reconciler(store, enqueuer, settings.numbers, "unrouted")
    with answering(telnyx(["+14155550100", "+1", "+999"])) as (url, _), closing(Telnyx(api(url))) as carrier:
        (step,) = nowhere.run(carrier)
    assert step.so_far == Reconciled(listed=3, missing=1, refused=3)
    assert sorted((refusal.number, refusal.code.value) for refusal in step.refused) == [
        ("+1", "invalid_number"),
        ("+14155550100", "no_route"),
        ("+999", "invalid_number"),
    ]


# What is left alone


def test_whatever_waits_is_dead_or_was_taken_out_is_left_alone(store: Store, enqueuer: Enqueuer, run: Run) -> None:
    dead, dropped, attached, under_way, waiting = NUMBERS[:5]
    push(enqueuer, dead)
    batch = claim(store)
    refused = Disposition(dead, "dead", dead_code="rejected_by_api", code="x", message="no")
    assert store.settle(batch.id, Settlement(batch.fingerprint, dispositions=(refused,)))
    push(enqueuer, dropped)
    store.cancel([("support", dropped)])
    push(enqueuer, attached)
    attach(store, claim(store))
    push(enqueuer, under_way)
    claim(store)
    push(enqueuer, waiting)
    before = states(store, *NUMBERS)
    found = sums(run(NUMBERS[:5], listed=lambda _, number: number != dead))
    kinds = (State.queued, State.attaching, State.attached, State.dead, State.dropped)
    assert found == Reconciled(listed=5, known=5, left=dict.fromkeys(kinds, 1))
    assert states(store, *NUMBERS) == before


# What the API has lost


def test_an_attached_number_that_the_api_does_not_list_is_read_back(store: Store, enqueuer: Enqueuer, run: Run) -> None:
    push(enqueuer, *NUMBERS[:2])
    attach(store, claim(store))
    found = run(NUMBERS[:2], listed=lambda _, number: number == NUMBERS[0])
    assert sums(found) == Reconciled(listed=2, known=2, missing=1, enqueued=1, left={State.attached: 1})
    assert states(store, *NUMBERS[:2]) == [State.attached, State.queued]
    (leased,) = claim(store).numbers
    assert (leased.number, leased.verify, leased.forced) == (NUMBERS[1], "check", False)


def test_it_is_looked_at_again_each_time_it_is_attached_and_lost_anew(
    store: Store, enqueuer: Enqueuer, run: Run
) -> None:
    push(enqueuer, NUMBERS[0])
    for _ in range(3):
        attach(store, claim(store))
        assert sums(run(NUMBERS[:1], listed=lambda *_: False)).enqueued == 1
        assert sums(run(NUMBERS[:1], listed=lambda *_: False)).enqueued == 0


def test_reading_back_takes_no_direction_from_another_profile(store: Store, enqueuer: Enqueuer, run: Run) -> None:
    push(enqueuer, NUMBERS[0])
    attach(store, claim(store))
    push(enqueuer, NUMBERS[0], profile="uk")  # takes the outbound direction
    while isinstance(batch := claim_or_none(store), Batch):
        attach(store, batch)
    before = routes(store, NUMBERS[0])
    assert sums(run(NUMBERS[:1], listed=lambda profile, _: profile == "uk")).enqueued == 1
    assert routes(store, NUMBERS[0]) == before


def claim_or_none(store: Store) -> object:
    assert store.now_ms is not None
    store.now_ms += 60_000
    return store.claim(60_000)


def routes(store: Store, number: str) -> object:
    return store._client.hgetall(f"{{tl}}:route:default:{number}")


def test_without_a_listing_the_books_alone_count(store: Store, enqueuer: Enqueuer, run: Run) -> None:
    push(enqueuer, NUMBERS[0])
    attach(store, claim(store))
    assert sums(run(NUMBERS[:1])) == Reconciled(listed=1, known=1, left={State.attached: 1})


# Interruptions


def test_a_run_that_was_interrupted_is_continued(run: Run) -> None:
    with pytest.raises(CarrierUnavailable):
        run(troubled(telnyx(NUMBERS), dict.fromkeys(range(1, 5), DOWN)))
    assert sums(run(NUMBERS)) == Reconciled(listed=5, missing=5, enqueued=5, resumed=True)
    assert sums(run(NUMBERS)) == Reconciled(listed=8, known=8, left={State.queued: 8})


def test_the_place_of_an_interrupted_run_is_ignored_where_that_is_asked_for(run: Run) -> None:
    with pytest.raises(CarrierUnavailable):
        run(troubled(telnyx(NUMBERS), dict.fromkeys(range(1, 5), DOWN)))
    assert sums(run(NUMBERS, from_start=True)).listed == 8


@pytest.mark.parametrize("place", ["page%5Bnumber%5D=3&page%5Bsize%5D=3", "of old", "\n", "page%5Bnumber%5D=x"])
def test_a_place_that_the_carrier_has_forgotten_is_given_up(store: Store, run: Run, place: str) -> None:
    checkpoints.keep(store, "inventory", "telnyx", place)
    answer = troubled(telnyx(NUMBERS), {} if place == "\n" else {0: (400, {}, b"no such page")})
    assert sums(run(answer)) == Reconciled(listed=8, missing=8, enqueued=8)


def test_a_refused_key_does_not_cost_the_place(store: Store, run: Run) -> None:
    kept = "page%5Bnumber%5D=2&page%5Bsize%5D=3"
    checkpoints.keep(store, "inventory", "telnyx", kept)
    with pytest.raises(CarrierRefused):
        run(lambda _: (401, {}, b""))
    assert checkpoints.read(store, "inventory", "telnyx") == kept


def test_a_place_is_kept_for_a_limited_time(store: Store) -> None:
    checkpoints.keep(store, "inventory", "telnyx", "x")
    ttl = store._client.ttl("{tl}:inventory:telnyx")
    assert 0 < int(ttl) <= 24 * 3600


def test_a_rehearsal_neither_goes_on_nor_leaves_a_place(store: Store, run: Run) -> None:
    checkpoints.keep(store, "inventory", "telnyx", "page%5Bnumber%5D=2&page%5Bsize%5D=3")
    assert sums(run(NUMBERS, dry=True)).listed == 8
    assert checkpoints.read(store, "inventory", "telnyx") == "page%5Bnumber%5D=2&page%5Bsize%5D=3"


def test_what_reconciling_keeps_is_no_corruption_of_the_store(store: Store, run: Run) -> None:
    with pytest.raises(CarrierUnavailable):
        run(troubled(telnyx(NUMBERS), dict.fromkeys(range(1, 5), DOWN)))
    assert audit(store) == []


# Purchases


@contextmanager
def bought(numbers: list[str], events: list[str] | None = None) -> Iterator[Twilio]:
    with answering(twilio(numbers, numbers if events is None else events)) as (url, _):
        carrier = Twilio(api(url, account=ACCOUNT, audit_url=url))
        with closing(carrier):
            yield carrier


def test_the_first_look_at_purchases_only_notes_the_time(store: Store, enqueuer: Enqueuer) -> None:
    with bought(NUMBERS) as log:
        assert take_purchases(log, store, enqueuer, source="telnyx", now=NOW) == Summary()
        assert take_purchases(log, store, enqueuer, source="telnyx", now=NOW) == Summary(accepted=8)
        assert take_purchases(log, store, enqueuer, source="telnyx", now=NOW) == Summary(duplicate=8)


def test_purchases_are_asked_for_from_the_last_look_on(store: Store, enqueuer: Enqueuer) -> None:
    with answering(twilio([])) as (url, seen), closing(Twilio(api(url, account=ACCOUNT, audit_url=url))) as log:
        take_purchases(log, store, enqueuer, source="telnyx", now=NOW)
        take_purchases(log, store, enqueuer, source="telnyx", now=NOW + timedelta(minutes=15))
        take_purchases(log, store, enqueuer, source="telnyx", now=NOW + timedelta(minutes=30))
    asked = [path.partition("StartDate=")[2].partition("&")[0] for _, path, _, _ in seen.requests]
    assert asked == ["2026-11-23T11%3A00%3A00Z"] * 2 + ["2026-11-23T11%3A15%3A00Z"] * 2


def test_a_number_that_was_taken_out_comes_back_when_it_is_bought_again(
    store: Store, enqueuer: Enqueuer, run: Run
) -> None:
    push(enqueuer, NUMBERS[0])
    store.cancel([("support", NUMBERS[0])])
    assert sums(run(NUMBERS[:1])).left == {State.dropped: 1}
    checkpoints.keep(store, "purchases", "telnyx", NOW.isoformat())
    with bought(NUMBERS[:1]) as log:
        assert take_purchases(log, store, enqueuer, source="telnyx", now=NOW).accepted == 1
    assert states(store, NUMBERS[0]) == [State.queued]


def test_a_purchase_is_taken_once_though_the_store_has_forgotten_its_event(store: Store, enqueuer: Enqueuer) -> None:
    with bought(NUMBERS[:2]) as log:
        for turn in range(2):
            take_purchases(log, store, enqueuer, source="telnyx", now=NOW + timedelta(minutes=15 * turn))
        for days in (8, 16):
            store.cancel([("support", number) for number in NUMBERS[:2]])
            assert forget_events(store) == (2 if days == 8 else 0)
            later = NOW + timedelta(days=days)
            assert take_purchases(log, store, enqueuer, source="telnyx", now=later) == Summary(duplicate=2)
            assert states(store, *NUMBERS[:2]) == [State.dropped] * 2


def test_nor_is_a_purchase_that_was_taken_before_the_log_failed(store: Store, enqueuer: Enqueuer) -> None:
    checkpoints.keep(store, "purchases", "telnyx", NOW.isoformat())
    answer = troubled(twilio(NUMBERS[:1], NUMBERS[:1]), {2: (403, {}, b"")})  # once the first kind of event was read
    with answering(answer) as (url, _), closing(Twilio(api(url, account=ACCOUNT, audit_url=url))) as log:
        with pytest.raises(CarrierRefused):
            take_purchases(log, store, enqueuer, source="telnyx", now=NOW)
        store.cancel([("support", NUMBERS[0])])
        assert forget_events(store) == 1
        assert take_purchases(log, store, enqueuer, source="telnyx", now=NOW + timedelta(days=8)).accepted == 0
    assert states(store, NUMBERS[0]) == [State.dropped]


def test_a_purchase_that_was_refused_is_taken_once_it_can_be(store: Store, enqueuer: Enqueuer) -> None:
    checkpoints.keep(store, "purchases", "unrouted", NOW.isoformat())
    with bought(NUMBERS[:1]) as log:
        for _ in range(2):
            (refusal,) = take_purchases(log, store, enqueuer, source="unrouted", now=NOW).rejected
            assert refusal.code is RefusalCode.no_route


def forget_events(store: Store) -> int:
    """As the store does after seven days; how many there were."""
    seen = store._client.keys("{tl}:seen:*")
    return int(store._client.delete(*seen)) if seen else 0


def test_a_number_that_was_given_back_since_is_passed_over(store: Store, enqueuer: Enqueuer) -> None:
    checkpoints.keep(store, "purchases", "telnyx", NOW.isoformat())
    with bought(NUMBERS[:1], NUMBERS[:2]) as log:
        assert take_purchases(log, store, enqueuer, source="telnyx", now=NOW).accepted == 1
    assert entries_of(store, NUMBERS[1]) == []


def test_purchases_that_could_not_all_be_read_are_read_again(store: Store, enqueuer: Enqueuer) -> None:
    checkpoints.keep(store, "purchases", "telnyx", EPOCH.replace(year=2026).isoformat())
    answer = troubled(twilio(NUMBERS, NUMBERS), {3: (403, {}, b"")})
    with answering(answer) as (url, _), closing(Twilio(api(url, account=ACCOUNT, audit_url=url))) as log:
        with pytest.raises(CarrierRefused):
            take_purchases(log, store, enqueuer, source="telnyx", now=NOW)
        assert take_purchases(log, store, enqueuer, source="telnyx", now=NOW).accepted == 8
