"""Operations as values: pages, filters, names that are guessed at, documents; without a store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from support.receivers import settings_with
from trunkline.config.settings import ConfigError
from trunkline.events.intake import NumberRules
from trunkline.events.phone import NumberRefused
from trunkline.lifecycle import Refusal, RefusalCode, State
from trunkline.operations import sources
from trunkline.operations.carriers import api_of
from trunkline.operations.configuration import understood
from trunkline.operations.import_report import MAX_REFUSALS, ImportReport
from trunkline.operations.names import WrongUse, spellings, spellings_of_each, unknown_source
from trunkline.operations.paging import Page
from trunkline.operations.passwords import RegisterPasswords
from trunkline.operations.reconcile_report import MAX_SHOWN, Report
from trunkline.operations.rejected import rejection_document
from trunkline.operations.selection import Selection
from trunkline.operations.upkeep import Audited
from trunkline.store.model import Entry
from trunkline.store.rejections import StoredRejection
from trunkline.store.vault import StoredPassword
from trunkline_producers import Row, Summary
from trunkline_producers.reconcile.reconcile import Reconciled, Step
from trunkline_producers.sources import read_sources

NUMBER = "+14155550100"
LETTER = Entry(
    "support", NUMBER, State.dead, 1, 0, 0, None, ("e",), "crm", "", "x", "NUMBER_NOT_OWNED", "", "", "poison", 0
)
OPEN = {"number": "numbers", "event_id": "id", "verify": {"scheme": "none"}}
TELNYX = {"type": "telnyx", "profile": "support", "api": {"url": "https://t.example", "page_size": 3}}


# Pages


@pytest.mark.parametrize(
    ("limit", "given", "cursor"), [(None, 5, None), (9, 5, None), (5, 5, None), (4, 4, "after 3"), (1, 1, "after 0")]
)
def test_a_page_ends_at_its_limit_and_says_where_the_next_begins(
    limit: int | None, given: int, cursor: str | None
) -> None:
    page = Page(iter(range(5)), limit, "after {}".format)
    assert list(page) == list(range(given))
    assert page.next_cursor == cursor
    assert list(page) == []
    assert page.next_cursor == cursor


def test_a_page_of_nothing_has_no_cursor() -> None:
    page: Page[int] = Page(iter(()), 3, str)
    assert (list(page), page.next_cursor) == ([], None)


def test_a_page_reads_one_item_further_than_its_limit_and_not_before_it_is_asked_to() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            read.append(item)
            yield item

    page = Page(items(), 2, str)
    assert read == []
    assert next(page) == 0
    assert read == [0]
    assert list(page) == [1]
    assert read == [0, 1, 2]


# Filters and names


@pytest.mark.parametrize(
    ("selection", "takes"),
    [
        (Selection(), True),
        (Selection(profile="support"), True),
        (Selection(profile="sales"), False),
        (Selection(code="poison"), True),
        (Selection(code="NUMBER_NOT_OWNED"), True),
        (Selection(code="x"), False),
        (Selection(source="crm"), True),
        (Selection(source="import"), False),
        (Selection(profile="support", code="poison", source="import"), False),
    ],
)
def test_a_filter_takes_what_has_all_that_it_names(selection: Selection, takes: bool) -> None:
    assert selection.takes(LETTER) == takes


def test_a_number_is_read_as_it_may_stand_in_the_store() -> None:
    rules = NumberRules()
    assert spellings(rules, "(415) 555-0100") == (NUMBER,)
    assert spellings(rules, "4155550100") == (NUMBER, "4155550100")
    assert spellings(rules, "100") == ("100",)
    assert spellings_of_each(rules, ["100", NUMBER]) == ("100", NUMBER)
    with pytest.raises(NumberRefused, match="neither a phone number nor an identity"):
        spellings(rules, "no number at all")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (None, None),
        ("shop", None),
        ("import", None),
        ("somebody", None),
        ("shpo", 'there is no source "shpo" in the configuration; did you mean "shop"?'),
        ("imprt", 'there is no source "imprt" in the configuration; did you mean "import"?'),
    ],
)
def test_a_misspelt_source_is_guessed_at(name: str | None, sentence: str | None) -> None:
    assert unknown_source(settings_with({"shop": OPEN}), name) == sentence


# Documents


def refusals(count: int) -> tuple[Refusal, ...]:
    return tuple(Refusal(str(n), RefusalCode.invalid_number, "too short") for n in range(count))


def test_an_import_counts_every_refusal_and_holds_the_first() -> None:
    report = ImportReport()
    report.take(Row(2, None, None, 10), Summary(accepted=3, coalesced=1, duplicate=2))
    assert report.document() == {"accepted": 3, "coalesced": 1, "duplicate": 2, "rejected": []}
    report.take(Row(3, None, None, 20), Summary(rejected=refusals(MAX_REFUSALS - 1)))
    report.take(Row(4, None, None, 30), Summary(rejected=refusals(2)))
    document = report.document()
    assert (report.refused, len(document["rejected"]), document["rejected_total"]) == (1001, 1000, 1001)
    assert document["rejected"][-1] == {
        "line": 4,
        "number": "0",
        "code": "invalid_number",
        "message": "too short",
    }


def test_a_round_is_told_by_its_sums() -> None:
    report = Report("telnyx", dry_run=True, compared=False)
    left = {State.queued: 1, State.dead: 1_000}
    sums = Reconciled(listed=1_003, known=1_001, missing=2, enqueued=1, left=left, refused=2, resumed=True)
    report.take(Step(sums, (NUMBER,), refusals(2)))
    assert report.sentence() == (
        "telnyx: 1,003 numbers since the interruption, 2 missing, 1 would be enqueued, 2 refused; "
        "left alone: 1 queued, 1,000 dead"
    )
    document = report.document()
    assert (document["numbers"], len(document["rejected"]), "rejected_total" in document) == ([NUMBER], 2, False)
    assert (document["dry_run"], document["compared_with_api"], document["purchases"]) == (True, False, 0)


def test_a_round_holds_the_first_refusals_and_the_numbers_of_a_dry_run_only() -> None:
    report = Report("telnyx", dry_run=False, compared=True)
    for done in (600, 1_200):
        report.take(Step(Reconciled(refused=done), (NUMBER,), refusals(600)))
    report.purchases = 7
    document = report.document()
    assert (len(document["rejected"]), document["rejected_total"]) == (MAX_SHOWN, 1_200)
    assert "numbers" not in document
    assert report.sentence() == "telnyx: 0 numbers, 0 missing, 0 enqueued, 7 bought since the last run, 1,200 refused"


def test_an_audit_says_what_was_mended_where_that_was_asked_for() -> None:
    assert Audited(("a",), ("b",), None).document() == {"wrong": ["a"], "undecided": ["b"]}
    assert Audited((), (), ()).document() == {"wrong": [], "undecided": [], "mended": []}


def test_register_passwords_are_all_given_or_the_last() -> None:
    kept = (StoredPassword(SecretStr("first"), 1_000, "1-a", (NUMBER,)), StoredPassword(SecretStr("last"), 2_000))
    passwords = RegisterPasswords("support", kept, None)
    last = {"password": "last", "at": "1970-01-01T00:00:02.000Z", "numbers": []}
    assert passwords.document(every=False) == {"profile": "support", "lost_at": None, "passwords": [last]}
    first, *rest = passwords.document(every=True)["passwords"]
    assert (first["password"], first["numbers"], rest) == ("first", [NUMBER], [last])
    assert "last" not in repr(passwords)


@pytest.mark.parametrize(("body", "told"), [(b"caf\xc3\xa9", "café"), (b"\xff", None), (b"", "")])
def test_a_body_is_text_or_null(body: bytes, told: str | None) -> None:
    whole = StoredRejection("a", "crm", "no_route", "why", "POST", "/hooks/crm", {"x": "1"}, body)
    assert rejection_document(whole)["body"] == told
    assert rejection_document(StoredRejection("a", "crm", "no_route", "why"))["body"] is None


# Sources, carriers, the configuration


def test_a_source_that_is_not_there_is_guessed_at() -> None:
    settings = settings_with({"shop": OPEN})
    found, _ = read_sources(settings.sources, settings.server, need_secrets=False)
    assert sources.source_named(found, "shop").name == "shop"
    with pytest.raises(WrongUse, match=r'no source "shp" .*; did you mean "shop"\? `trunkline sources list`'):
        sources.source_named(found, "shp")
    with pytest.raises(WrongUse, match='no source "other" in the configuration; `trunkline sources list`'):
        sources.source_named(found, "other")


def test_a_payload_is_tried_and_nothing_is_stored() -> None:
    settings = settings_with({"shop": OPEN | {"profile": "support"}})
    found, _ = read_sources(settings.sources, settings.server, need_secrets=False)

    def tried(body: bytes) -> dict[str, object]:
        request = sources.request_to(
            found["shop"],
            settings,
            method="post",
            query="a=b",
            headers=[("Content-Type", "application/json")],
            body=body,
        )
        assert (request.method, request.url.endswith("/hooks/shop?a=b")) == ("POST", True)
        return sources.tested(found["shop"], request, settings, 0)

    good = tried(b'{"id": "1", "numbers": ["4155550100"]}')
    assert good["numbers"] == [{"number": NUMBER, "profile": "support", "refused": None}]
    assert (good["faults"], sources.is_fine(good)) == ([], True)
    assert not sources.is_fine(tried(b'{"id": "1", "numbers": ["12"]}'))
    assert not sources.is_fine(tried(b"{"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("twilio", "there is no \\[sources.twilio\\]; write\n\n\\[server\\]"),
        ("telnix", 'there is no \\[sources.telnix\\]; did you mean "telnyx"\\?'),
        ("shop", "sources.shop is no carrier that can be asked; its type must be telnyx, twilio, bandwidth"),
        ("bare", "\\[sources.bare\\] does not say how its API is reached; write\n\n\\[sources.bare.api\\]\nkey"),
    ],
)
def test_a_carrier_that_can_not_be_asked_is_answered_with_what_to_write(name: str, said: str) -> None:
    settings = settings_with({"shop": {"type": "generic"}, "bare": {"type": "telnyx"}})
    with pytest.raises(WrongUse, match=said):
        api_of(settings, name)


def test_mistakes_of_a_carriers_section_have_their_place() -> None:
    with pytest.raises(ConfigError, match=r"sources\.telnyx\.api\.key"):
        api_of(settings_with({"telnyx": TELNYX}), "telnyx")


def test_the_configuration_is_told_without_a_secret() -> None:
    settings = settings_with({"shop": OPEN, "telnyx": TELNYX})
    found, _ = read_sources({"shop": OPEN}, settings.server, need_secrets=False)
    told = dict(understood(settings, found))
    assert told["file"] == "none: defaults and the environment"
    assert told["profile support"] == "account default: inbound"
    assert "key from env:API" in told["account default"]
    assert told["source shop"] == "generic, at /hooks/shop, NOT VERIFIED: whatever reaches it is taken"
    assert told["source telnyx"] == "telnyx, only polled"
    assert "api-key" not in repr(told)
