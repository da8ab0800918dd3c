"""Every built-in source, from its documented payload signed as it signs to the numbers in the store, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from support.carrier_standins import didww, telnyx
from support.http_servers import answering
from support.receivers import Clock, Site, receiving, settings_with
from support.servers import Server
from support.source_samples import (
    BOUGHT,
    KEY,
    NOW,
    ORDER,
    PORTED,
    SAMPLES,
    UNSIGNED,
    Headers,
    Sample,
    basic,
    changed,
    sections,
)
from trunkline.bootstrap import policies_of
from trunkline.store import Store, rejections
from trunkline.store.queries import books, entries_of
from trunkline.store.rejections import StoredRejection
from trunkline_producers.sources import presets

ACK = "<Ack>true</Ack>"


@pytest.fixture(scope="module")
def site(valkey: Server) -> Iterator[Site]:
    """A receiver with all sources; the carriers' APIs are stand-ins."""
    with (
        valkey.client() as client,
        answering(telnyx(PORTED, order=ORDER)) as (telnyx_api, _),
        answering(didww(BOUGHT)) as (didww_api, _),
        receiving(Store(client), settings_with(sections(telnyx_api, didww_api)), clock=Clock(float(NOW))) as site,
    ):
        yield site


@pytest.fixture(autouse=True)
def _empty(site: Site) -> None:
    """Nothing is in the store but the profiles."""
    site.store._client.flushdb()
    site.store.publish(policies_of(settings_with({})))


def deliver(site: Site, sample: Sample, body: bytes | None = None, headers: Headers | None = None) -> httpx.Response:
    content = sample.body if body is None else body
    signed = sample.headers(content)
    return site.client.post(sample.target, content=content, headers=signed if headers is None else headers)


def states(site: Site, number: str) -> list[str]:
    return [entry.state.value for entry in entries_of(site.store, number)]


def kept(site: Site) -> list[StoredRejection]:
    return rejections.listed(site.store)


@pytest.fixture(params=list(SAMPLES))
def sample(request: pytest.FixtureRequest) -> Sample:
    return SAMPLES[request.param]


def test_there_is_a_sample_of_every_type() -> None:
    assert {sample.source for sample in SAMPLES.values()} == set(presets())


def test_its_numbers_end_in_the_store_once_however_often_it_comes(site: Site, sample: Sample) -> None:
    first, again = deliver(site, sample), deliver(site, sample)

    assert (first.status_code, again.status_code) == (200, 200), first.text
    for number, event_id in zip(sample.numbers, sample.event_ids, strict=True):
        (entry,) = entries_of(site.store, number)
        assert (entry.profile, entry.source, entry.event_ids) == ("support", sample.source, (event_id,))
        metadata = json.loads(entry.metadata or "{}")
        assert {name: metadata.get(name) for name in sample.metadata} == sample.metadata
    found = books(site.store)
    assert found.totals["accepted"] == len(sample.numbers)
    assert found.events["duplicate"] == len(set(sample.event_ids))
    if sample.source != "salesforce":
        said = {"accepted": len(sample.numbers), "ignored": sample.ignored}
        told = first.json()
        assert {"accepted": told["accepted"], "ignored": told.get("ignored", 0)} == said
        assert len(told["rejected"]) == sample.refused
        assert again.json()["accepted"] == 0


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.source not in UNSIGNED])
def test_a_changed_body_is_not_taken(site: Site, name: str) -> None:
    sample = SAMPLES[name]
    answer = deliver(site, sample, sample.body.replace(b"1", b"2"), sample.headers())
    assert answer.status_code == 401
    assert books(site.store).totals["accepted"] == 0


def test_a_wrong_secret_is_not_taken(site: Site, sample: Sample) -> None:
    wrong = {name: value for name, value in sample.headers().items() if name == "Content-Type"}
    body = sample.body.replace(b"45XXYYZZa08", b"45XXYYZZa09").replace(b"t0ken-of-zoho", b"t0ken-of-ohoz")
    answer = site.client.post(sample.target.replace(KEY, "5eC7e8"), content=body, headers=wrong)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert (books(site.store).totals["accepted"], kept(site)) == (0, [])


# Telnyx


def test_a_failed_number_of_an_order_is_left_out(site: Site) -> None:
    assert deliver(site, SAMPLES["telnyx: a number order"]).status_code == 200
    assert entries_of(site.store, "+19705555099") == []


@pytest.mark.parametrize(("status", "ignored"), [("pending", 0), ("ported", 0), ("rejected", 1), ("canceled", 1)])
def test_a_port_out_is_noticed_and_detaches_nothing(site: Site, status: str, ignored: int) -> None:
    order = SAMPLES["telnyx: a number order"]
    sample = Sample("telnyx", "telnyx-port-out.json", order.sign)
    body = sample.body.replace(b'"pending"', f'"{status}"'.encode())
    answer = deliver(site, sample, body)
    assert (answer.status_code, answer.json().get("ignored", 0)) == (200, ignored)
    assert (books(site.store).totals["accepted"], kept(site)) == (0, [])


def test_a_port_in_that_is_under_way_is_ignored(site: Site) -> None:
    sample = SAMPLES["telnyx: a port-in, its numbers fetched"]
    answer = deliver(site, sample, sample.body.replace(b'"ported"', b'"foc-date-confirmed"'))
    assert answer.json() == {"accepted": 0, "coalesced": 0, "duplicate": 0, "rejected": [], "ignored": 1}


def test_what_cannot_be_fetched_is_kept_and_asked_for_again(site: Site) -> None:
    sample = SAMPLES["telnyx: a port-in, its numbers fetched"]
    body = sample.body.replace(ORDER.encode(), b"00000000-0000-0000-0000-000000000000")
    answer = deliver(site, sample, body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    (rejection,) = kept(site)
    assert rejection.code == rejections.NOT_FETCHED


def test_personal_data_of_an_order_is_not_kept(site: Site) -> None:
    sample = SAMPLES["telnyx: a number order"]
    assert deliver(site, sample, sample.body.replace(b"+19705555098", b"ask Ann")).status_code == 422
    (rejection,) = kept(site)
    assert b"45f45a04-b4be-4592-95b1-9306b9db2b21" not in rejection.body
    assert b'"field_value":"[redacted]"' in rejection.body


# Twilio


@pytest.mark.parametrize(("status", "taken"), [("COMPLETED", 1), ("completed", 1), ("in-progress", 0), ("rejected", 0)])
def test_twilios_status_decides_whatever_its_letters(site: Site, status: str, taken: int) -> None:
    sample = SAMPLES["twilio: a form"]
    answer = deliver(site, sample, sample.body.replace(b"Completed", status.encode()))
    assert answer.json()["accepted"] == taken


def test_a_request_without_a_number_is_the_whole_ports_and_ignored(site: Site) -> None:
    body = b"port_in_request_sid=KW1&status=completed&last_date_updated=2026-11-22T12%3A00%3A00Z"
    assert deliver(site, SAMPLES["twilio: a form"], body).json()["ignored"] == 1


def test_numbers_of_one_port_are_told_apart_without_their_ids(site: Site) -> None:
    for last in "12":
        text = f"port_in_request_sid=KW1&status=completed&phone_number=%2B1415555267{last}&last_date_updated=x"
        assert deliver(site, SAMPLES["twilio: a form"], text.encode()).json()["accepted"] == 1


# Bandwidth


def test_the_first_request_is_answered_with_a_challenge_and_the_second_is_taken(site: Site) -> None:
    challenged = site.client.post("/hooks/bandwidth")
    assert (challenged.status_code, challenged.headers["www-authenticate"]) == (401, 'Basic realm="trunkline"')
    assert deliver(site, SAMPLES["bandwidth, v1"]).json()["accepted"] == 2
    assert (kept(site), books(site.store).events["rejected"]) == ([], 0)


def test_asking_for_the_challenge_is_no_attempt_to_get_in(valkey: Server) -> None:
    section = sections("http://127.0.0.1:9", "http://127.0.0.1:9")["bandwidth"]
    with (
        valkey.client() as client,
        receiving(Store(client), settings_with({"bandwidth": section})) as site,
        capture_logs() as logs,
    ):
        site.client.post("/hooks/bandwidth")
        assert logs == []
        site.client.post("/hooks/bandwidth", content="<a/>")
        assert [each["event"] for each in logs] == ["delivery_unverified"]


def bandwidth(site: Site, **replaced: str) -> dict[str, Any]:
    sample = SAMPLES["bandwidth, v1"]
    text = sample.body.decode()
    for old, new in replaced.items():
        text = text.replace(old, new)
    answer = deliver(site, sample, text.encode())
    assert answer.status_code == 200  # whatever is in it, as it is never sent again
    found: dict[str, Any] = answer.json()
    return found


def test_a_partial_order_and_what_completes_it_are_two_events(site: Site) -> None:
    only = "<TelephoneNumber>9195551235</TelephoneNumber>"
    assert bandwidth(site, COMPLETE="PARTIAL", **{only: ""})["accepted"] == 1
    assert bandwidth(site)["accepted"] == 2
    assert states(site, "+19195551235") == ["queued"]


@pytest.mark.parametrize("kind", ["portins", "importtnorders", "externalTns", "OrderId"])
def test_every_kind_of_order_that_brings_numbers_is_taken(site: Site, kind: str) -> None:
    assert bandwidth(site, **{">orders<": f">{kind}<"})["accepted"] == 2


@pytest.mark.parametrize("kind", ["disconnects", "portouts", "removeImportedTnOrders"])
def test_numbers_on_their_way_out_are_noticed(site: Site, kind: str) -> None:
    told = bandwidth(site, **{">orders<": f">{kind}<"})
    assert (told["accepted"], "ignored" in told) == (0, False)


@pytest.mark.parametrize("replaced", [{">orders<": ">e911s<"}, {">orders<": ">lidb<"}, {">COMPLETE<": ">FAILED<"}])
def test_orders_that_bring_no_numbers_are_ignored(site: Site, replaced: dict[str, str]) -> None:
    assert bandwidth(site, **replaced)["ignored"] == 1


def test_an_order_without_an_id_or_a_date_is_told_from_another_by_its_content(site: Site) -> None:
    gone = {
        "<OrderId>d30883f4-ed4f-4ab5-8b7a-4f7b0bbf1d1e</OrderId>": "",
        "<CustomerOrderId>PO-17</CustomerOrderId>": "",
    }
    assert bandwidth(site, **gone)["accepted"] == 2
    assert bandwidth(site, **gone, **{"9195551234": "9195551244", "9195551235": "9195551245"})["accepted"] == 2
    assert bandwidth(site, **gone)["duplicate"] == 1


def test_what_bandwidth_sends_and_cannot_be_read_is_kept_and_answered_200(site: Site) -> None:
    answer = deliver(site, SAMPLES["bandwidth, v1"], b"<Notification><Status>COMPLETE</Status></Notification>")
    assert (answer.status_code, answer.json()["accepted"]) == (200, 0)
    assert deliver(site, SAMPLES["bandwidth, v1"], b"not XML").status_code == 200
    assert len(kept(site)) == 2


def test_an_update_whose_names_are_others_than_we_know_is_kept(site: Site) -> None:
    sample = SAMPLES["bandwidth, v2"]
    for body in (b'{"state": "COMPLETE", "tns": []}', b'{"status": "COMPLETE", "tns": ["+19195551236"]}'):
        assert deliver(site, sample, body).json()["rejected"][0]["code"] == "invalid_event"
    assert len(kept(site)) == 2
    assert deliver(site, sample, b'{"eventType": "note", "orderId": "1"}').json()["ignored"] == 1


def test_updates_without_an_id_are_not_taken_for_one(site: Site) -> None:
    for last in "67":
        body = b'{"status": "COMPLETE", "phoneNumbers": ["+1919555123' + last.encode() + b'"]}'
        assert deliver(site, SAMPLES["bandwidth, v2"], body).json()["accepted"] == 1


# HubSpot


def test_one_bad_item_of_a_batch_is_told_and_kept_and_the_others_go_in(site: Site) -> None:
    told = deliver(site, SAMPLES["hubspot: a batch"]).json()
    assert (told["accepted"], told["ignored"]) == (2, 2)
    assert [(each["number"], each["code"]) for each in told["rejected"]] == [("ask Ann", "invalid_number")]
    assert len(kept(site)) == 1


def test_an_old_batch_is_not_taken(site: Site) -> None:
    sample = SAMPLES["hubspot: a batch"]
    headers = sample.headers()
    site.clock.now = NOW + 301.0
    try:
        answer = deliver(site, sample, headers=headers)
    finally:
        site.clock.now = float(NOW)
    assert (answer.status_code, answer.json()["code"]) == (401, "stale")


# Aircall, Sinch, Zoho: tokens and moments


def test_tokens_and_sessions_are_never_kept(site: Site) -> None:
    for name, secret_text in (
        ("aircall", b"45XXYYZZa08"),
        ("salesforce", b"00Dxx!SESSION"),
        ("zoho", b"t0ken-of-zoho"),
    ):
        sample = SAMPLES[name]
        body = sample.body
        for number in (b"+33 1 76 36 06 95", b"+1-415-555-2675", b"%2B14155552681"):
            body = body.replace(number, b"ask Ann")
        deliver(site, sample, body)
        (rejection,) = rejections.listed(site.store, source=name)
        assert secret_text not in rejection.body
        assert b"[redacted]" in rejection.body
    everything = " ".join(str(site.store._client.dump(name)) for name in site.store._client.scan_iter("*"))
    assert "SESSION" not in everything


def test_a_failure_is_answered_200_where_failures_switch_a_webhook_off(site: Site) -> None:
    for name in ("aircall", "sinch", "pipedrive", "close", "salesforce"):
        sample = SAMPLES[name]
        assert b'"phones"' in sample.body or b"+" in sample.body
        broken = sample.body.replace(b"+", b"x+")
        assert deliver(site, sample, broken).status_code == 200, name


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("aircall", changed(SAMPLES["aircall"], event="number.deleted")),
        ("sinch", changed(SAMPLES["sinch"], eventType="DEPROVISIONING_FROM_VOICE_PLATFORM")),
    ],
)
def test_a_number_that_leaves_is_only_noticed(site: Site, name: str, body: bytes) -> None:
    told = deliver(site, SAMPLES[name], body).json()
    assert (told["accepted"], told["rejected"], "ignored" in told) == (0, [], False)


def test_a_failed_provisioning_is_ignored(site: Site) -> None:
    assert deliver(site, SAMPLES["sinch"], changed(SAMPLES["sinch"], status="FAILED")).json()["ignored"] == 1


# DIDWW


def test_didww_by_get_is_read_from_the_query(site: Site) -> None:
    sample = SAMPLES["didww: a form, its numbers fetched"]
    signed = sample.sign(sample.body, f"https://hooks.example.com/hooks/didww?{sample.body.decode()}")
    answer = site.client.get(f"/hooks/didww?{sample.body.decode()}", headers=signed)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1), answer.text
    assert deliver(site, sample).json()["duplicate"] == 1


def test_a_canceled_order_is_ignored(site: Site) -> None:
    sample = SAMPLES["didww: a form, its numbers fetched"]
    assert deliver(site, sample, sample.body.replace(b"completed", b"canceled")).json()["ignored"] == 1


# Salesforce


def test_salesforce_hears_ack_and_nothing_else(site: Site) -> None:
    sample = SAMPLES["salesforce"]
    for answer in (deliver(site, sample), deliver(site, sample), deliver(site, sample, b"<a/>")):
        assert (answer.status_code, answer.headers["content-type"]) in {
            (200, "text/xml"),
            (401, "application/problem+json"),
        }
        assert (ACK in answer.text) is (answer.status_code == 200)


def test_a_foreign_organization_is_refused_and_not_kept(site: Site) -> None:
    sample = SAMPLES["salesforce"]
    for organization in (b"00Dxx0000000000EAB", b"", b"00Dxx"):
        body = sample.body.replace(b"00Dxx0000000000EAA", organization)
        assert deliver(site, sample, body).status_code == 401
    assert (kept(site), books(site.store).totals["accepted"]) == ([], 0)


def test_several_notifications_are_several_events(site: Site) -> None:
    sample = SAMPLES["salesforce"]
    text = sample.body.decode()
    one = text[text.index("<Notification>") : text.index("</Notification>") + len("</Notification>")]
    other = one.replace("04lxx000000000AAAA", "04lxx000000000AAAB").replace("2675", "2676")
    assert deliver(site, sample, text.replace(one, one + other).encode()).status_code == 200
    assert states(site, "+14155552675") == states(site, "+14155552676") == ["queued"]


# CRMs


def test_close_takes_a_field_only_when_it_changed(site: Site) -> None:
    sample = SAMPLES["close"]
    event = json.loads(sample.body)["event"]
    other = {**event, "id": "ev_2", "changed_fields": ["name"]}
    assert deliver(site, sample, changed(sample, event=other)).json()["ignored"] == 1
    created = {**event, "id": "ev_3", "changed_fields": [], "action": "created"}
    assert deliver(site, sample, changed(sample, event=created)).json()["accepted"] == 2


def test_gohighlevels_events_of_other_types_are_ignored(site: Site) -> None:
    sample = SAMPLES["gohighlevel"]
    assert deliver(site, sample, changed(sample, type="Contact")).json()["ignored"] == 1


def test_contacts_without_ids_of_their_events_are_told_apart(site: Site) -> None:
    sample = SAMPLES["gohighlevel"]
    for last in "34":
        body = changed(sample, webhookId=None, timestamp=None, phone=f"+1415555267{last}")
        assert deliver(site, sample, body).json()["accepted"] == 1


def test_a_deleted_person_is_ignored(site: Site) -> None:
    assert deliver(site, SAMPLES["pipedrive"], changed(SAMPLES["pipedrive"], data=None)).json()["ignored"] == 1


# Programs


def test_one_bad_cloudevent_does_not_drop_the_others(site: Site) -> None:
    sample = SAMPLES["cloudevents, batched"]
    events = json.loads(sample.body)
    del events[0]["id"]
    told = deliver(site, sample, json.dumps(events).encode()).json()
    assert (told["accepted"], len(told["rejected"])) == (1, 1)


def test_a_source_speaks_in_its_own_name_alone(site: Site) -> None:
    sample = SAMPLES["a program's own"]
    assert deliver(site, sample, changed(sample, source="telnyx", event_id="evt_2")).status_code == 200
    (entry,) = entries_of(site.store, "+14155552686")
    assert entry.source == "native"


def test_basic_credentials_of_another_are_refused(site: Site) -> None:
    headers = {**SAMPLES["pipedrive"].headers(), **basic(b"", "")}
    headers["Authorization"] = headers["Authorization"][:-4] + "AAA="
    assert deliver(site, SAMPLES["pipedrive"], headers=headers).status_code == 401
