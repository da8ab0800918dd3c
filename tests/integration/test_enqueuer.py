"""Events go into a real store: each number once, and every refusal says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.servers import Server
from support.store_steps import govern
from trunkline.config.settings import Settings, load
from trunkline.events.event import NumberEvent
from trunkline.events.intake import NumberRules, ProfileRule
from trunkline.lifecycle import RefusalCode, State
from trunkline.store import Store, StoreUnavailable, connect
from trunkline.store.embedded.server import EmbeddedServer
from trunkline.store.model import AccountRule, Policies, ProfilePolicy
from trunkline.store.queries import books, entries_of, published
from trunkline_producers import Enqueuer, Summary, import_rows, read_rows

FILE = """
[profiles.support]
[[profiles.support.directions]]
type = "inbound"

[profiles.trunked]
trunk_id = "trk_1"
[[profiles.trunked.directions]]
type = "inbound"

[sources.crm]
type = "generic"
profile = "support"
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A file with two profiles, one of them bound to a trunk."""
    path = tmp_path / "trunkline.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def settings(configuration: Path) -> Settings:
    return load(configuration, {}, secrets="optional")


@pytest.fixture
def enqueuer(store: Store, settings: Settings) -> Enqueuer:
    return Enqueuer.from_settings(store, settings)


def event(event_id: str, *numbers: str, profile: str | None = "support", source: str = "api") -> NumberEvent:
    return NumberEvent(event_id=event_id, numbers=numbers, profile=profile, source=source)


def elsewhere(*names: str, trunk: bool = False) -> Policies:
    """What a worker with these profiles publishes."""
    policy = ProfilePolicy("default", 100, 1000, "f" * 16, "i", trunk=trunk)
    return Policies({"default": AccountRule(2, 200.0)}, dict.fromkeys(names, policy))


def test_the_first_numbers_go_in_before_any_worker_ran(store: Store, enqueuer: Enqueuer) -> None:
    summary = enqueuer.enqueue([event("1", "+1 415 555 0100", "(415) 555-0101")])
    assert summary == Summary(accepted=2)
    (entry,) = entries_of(store, "+14155550100")
    assert (entry.profile, entry.state) == ("support", State.queued)


def test_an_event_that_comes_again_is_a_duplicate_and_a_new_one_of_a_known_number_coalesces(enqueuer: Enqueuer) -> None:
    again = event("1", "+14155550100")
    assert enqueuer.enqueue([again, again]) == Summary(accepted=1, duplicate=1)
    assert enqueuer.enqueue([event("2", "+14155550100", "+14155550101")]) == Summary(accepted=2, coalesced=1)


def test_the_good_numbers_of_an_event_go_in_and_its_bad_ones_come_back(store: Store, enqueuer: Enqueuer) -> None:
    summary = enqueuer.enqueue([event("1", "+14155550100", "nonsense")])
    assert summary.accepted == 1
    assert [(refusal.number, refusal.code) for refusal in summary.rejected] == [
        ("nonsense", RefusalCode.invalid_number)
    ]
    assert books(store).events == {"accepted": 0, "duplicate": 0, "rejected": 1}


def test_an_event_without_any_good_number_is_counted_as_rejected(store: Store, enqueuer: Enqueuer) -> None:
    assert enqueuer.enqueue([event("1", "nonsense")]).accepted == 0
    assert books(store).events["rejected"] == 1


def test_an_event_without_a_profile_goes_to_its_sources_own(store: Store, enqueuer: Enqueuer) -> None:
    assert enqueuer.enqueue([event("1", "+14155550100", profile=None, source="crm")]) == Summary(accepted=1)
    (refusal,) = enqueuer.enqueue([event("2", "+14155550101", profile=None)]).rejected
    assert refusal.code is RefusalCode.no_route


def test_a_refused_profile_lists_the_profiles_there_are(enqueuer: Enqueuer) -> None:
    (refusal,) = enqueuer.enqueue([event("1", "+14155550100", profile="suport")]).rejected
    assert refusal.code is RefusalCode.unknown_profile
    assert refusal.message == 'there is no profile "suport"; did you mean "support" (known: support, trunked)'


def test_without_any_profile_a_refusal_says_how_to_have_one(store: Store) -> None:
    enqueuer = Enqueuer.from_settings(store, Settings())
    (refusal,) = enqueuer.enqueue([event("1", "+14155550100")]).rejected
    assert refusal.message.endswith("configure one under [profiles.NAME], or start a worker that has one")


def test_profiles_that_only_a_worker_elsewhere_has_are_known_with_their_trunks(store: Store) -> None:
    store.publish(elsewhere("uk"))
    store.publish(elsewhere("pbx", trunk=True))
    assert published(store) == {"pbx": True, "uk": False}
    enqueuer = Enqueuer.from_settings(store, Settings())
    assert enqueuer.enqueue([event("1", "200", profile="pbx")]) == Summary(accepted=1)
    assert enqueuer.enqueue([event("2", "200", profile="uk")]).rejected[0].code is RefusalCode.invalid_number


def test_a_workers_word_on_a_profile_counts_before_the_producers(store: Store, settings: Settings) -> None:
    govern(store, elsewhere("support", trunk=True))
    enqueuer = Enqueuer.from_settings(store, settings)
    assert enqueuer.enqueue([event("1", "200")]) == Summary(accepted=1)


def test_a_profile_that_nobody_published_is_refused_by_the_store_with_what_to_do(store: Store) -> None:
    enqueuer = Enqueuer(store, rules=NumberRules(), profiles={"uk": ProfileRule("uk", trunk=False)})
    summary = enqueuer.enqueue([event("1", "+14155550100", profile="uk")])
    (refusal,) = summary.rejected
    assert (summary.accepted, refusal.number, refusal.code) == (0, "+14155550100", RefusalCode.unknown_profile)
    assert "start a worker" in refusal.message


def test_a_full_queue_refuses_with_its_limit_and_the_event_counts_later(store: Store, enqueuer: Enqueuer) -> None:
    store.max_waiting = 1
    late = event("2", "+14155550101")
    summary = enqueuer.enqueue([event("1", "+14155550100"), late])
    (refusal,) = summary.rejected
    assert (summary.accepted, refusal.number, refusal.code) == (1, "+14155550101", RefusalCode.queue_full)
    assert refusal.message == "the queue is full (max_waiting under [store] is 1); send it again later"
    store.max_waiting = 2
    assert enqueuer.enqueue([late]) == Summary(accepted=1)


def test_events_go_in_as_they_come_and_never_wait_for_the_last_one(store: Store, enqueuer: Enqueuer) -> None:
    made = []

    def endless() -> Iterator[NumberEvent]:
        for n in range(10_000):
            made.append(n)
            yield event(str(n), f"+1415{5550000 + n}")

    given = enqueuer.each(endless())
    assert next(given) == Summary(accepted=1)
    assert len(made) == books(store).totals["accepted"] == 500


def test_a_store_that_is_away_is_an_error_and_the_same_events_may_come_again(tmp_path: Path) -> None:
    client = connect("redis://127.0.0.1:1/0")
    rules = {"support": ProfileRule("support", trunk=False)}
    with pytest.raises(StoreUnavailable):
        Enqueuer(Store(client), rules=NumberRules(), profiles=rules).enqueue([event("1", "+14155550100")])
    client.close()


def test_a_file_goes_in_once_and_every_refusal_has_its_line(store: Store, enqueuer: Enqueuer, tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    good = "".join(f"+1415{5550000 + n},{n}\n" for n in range(1_200))
    path.write_text(f"number,customer\nnonsense,a\n{good},b\n+14155550000,c\n")

    def imported() -> list[tuple[int, Summary]]:
        rows = read_rows(path, profile="support")
        return [(row.line, summary) for row, summary in import_rows(enqueuer, rows)]

    first = imported()
    assert [line for line, _ in first] == list(range(2, 1_205))
    assert sum(summary.accepted for _, summary in first) == 1_201
    assert first[-1] == (1_204, Summary(accepted=1, coalesced=1))
    assert [(line, s.rejected[0].code.value) for line, s in first if s.rejected] == [
        (2, "invalid_number"),
        (1_203, "invalid_number"),
    ]
    assert all(s == Summary(duplicate=1) for _, s in imported() if not s.rejected)
    assert books(store).totals["queued"] == 1_200


def test_a_program_of_ones_own_opens_an_enqueuer_by_its_configuration(
    valkey: Server, configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey.client() as client:
        client.flushdb()
        monkeypatch.setenv("TRUNKLINE_REDIS_URL", valkey.url)
        configuration.write_text('[store]\nacknowledge = "memory"\n' + FILE)
        with Enqueuer.open(configuration) as enqueuer:
            assert enqueuer.enqueue([event("1", "+14155550100")]) == Summary(accepted=1)
        assert books(Store(client)).totals["queued"] == 1


def test_a_program_of_ones_own_needs_no_server_and_what_it_enqueued_is_there_after_it(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRUNKLINE_REDIS_URL", raising=False)
    monkeypatch.delenv("TRUNKLINE_DATA_DIR", raising=False)
    with Enqueuer.open(configuration) as enqueuer:
        assert enqueuer.enqueue([event("1", "+14155550100")]) == Summary(accepted=1)
    server = EmbeddedServer(tmp_path / ".trunkline")
    server.open()
    try:
        client = server.client(0, decode_responses=True)
        assert books(Store(client)).totals["queued"] == 1
        client.close()
    finally:
        server.close()
