"""The store is full, away, frozen or asked for much at once: nobody is told that something is stored that is not."""

from __future__ import annotations

import gc
import json
import logging
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import httpx
import pytest

from acceptance.worker_harness import until
from support.raw_http import connected
from support.receivers import PATIENCE_S, Site, receiving, settings_with
from support.servers import READY, Server, running
from support.store_audit import audit
from trunkline.bootstrap import policies_of
from trunkline.events.intake import Delivery
from trunkline.store import Store, rejections
from trunkline.store.model import Pushed
from trunkline.store.queries import books, entries_of

GOOD, OTHER = "+14155550100", "+14155550101"
OPEN = {"verify": {"scheme": "none"}}
CRM = {"type": "native", "profile": "support", **OPEN}
SOURCES: dict[str, dict[str, Any]] = {
    "crm": CRM,
    "hurried": {**CRM, "answer_within_s": 0.3},
    "once": {**CRM, "on_rejected": "accept"},
}
AT_ONCE = 50


def number(index: int) -> str:
    return f"+1415{5_550_000 + index:07d}"


def event(event_id: str, *numbers: str) -> str:
    return json.dumps({"event_id": event_id, "numbers": numbers or (GOOD,)})


def counted(store: Store) -> dict[str, int]:
    return dict(books(store).events)


class Held(Store):
    """A store whose pushes wait, once `hold` is set, until they are let go."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._client)
        self.now_ms = store.now_ms
        self.hold, self.reached, self.go = Event(), Event(), Event()

    def push(self, deliveries: list[Delivery]) -> list[Pushed]:  # type: ignore[override]  # what is handed in is a list
        if self.hold.is_set():
            self.reached.set()
            assert self.go.wait(PATIENCE_S)
        return super().push(deliveries)


def test_a_full_queue_sends_away_and_what_it_sent_away_is_new_when_it_comes_again(store: Store) -> None:
    store.max_waiting = 1
    with receiving(store, settings_with(SOURCES)) as site:
        assert site.post("crm", event("evt_1")).status_code == 200
        answer = site.post("crm", event("evt_2", OTHER))
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "queue_full", "60")
        assert (entries_of(store, OTHER), rejections.listed(store)) == ([], [])
        store.max_waiting = 10
        assert site.post("crm", event("evt_2", OTHER)).json()["accepted"] == 1
        assert site.post("crm", event("evt_2", OTHER)).json()["duplicate"] == 1


def test_what_a_full_queue_sent_away_is_kept_where_its_source_never_repeats_it(store: Store) -> None:
    store.max_waiting = 0
    with receiving(store, settings_with(SOURCES)) as site:
        assert site.post("once", event("evt_1")).status_code == 429
        (kept,) = rejections.listed(store)
        assert (kept.code, kept.body) == ("queue_full", event("evt_1").encode())


SMALL = 65_536  # bytes of what can't be taken in that are kept
NO_EVENT = "x" * 30_000


def no_event(index: int) -> str:
    return f"{index} {NO_EVENT}"


def test_what_there_is_no_room_to_keep_is_sent_away_and_nothing_that_was_kept_goes_for_it(store: Store) -> None:
    with receiving(store, settings_with(SOURCES, max_body_bytes=SMALL, max_kept_bytes=SMALL)) as site:
        assert [site.post("crm", no_event(index)).status_code for index in range(2)] == [422, 422]
        answer = site.post("crm", no_event(2))
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "60")
        assert [kept.body.decode() for kept in rejections.listed(store)] == [no_event(1), no_event(0)]
        assert site.post("crm", event("evt_1")).status_code == 200, "what can be taken in is"
        assert counted(store) == {"accepted": 1, "duplicate": 0, "rejected": 2}

        rejections.drop(store, [rejections.listed(store)[-1].id])
        assert site.post("crm", no_event(2)).status_code == 422
        assert len(rejections.listed(store)) == 2


def test_what_its_source_never_repeats_is_kept_when_others_are_sent_away(store: Store) -> None:
    with receiving(store, settings_with(SOURCES, max_body_bytes=SMALL, max_kept_bytes=SMALL)) as site:
        for index in range(2):
            site.post("crm", no_event(index))
        short = NO_EVENT[:14_000]
        assert site.post("crm", short).status_code == 503
        assert site.post("once", short).status_code == 200
        assert site.post("once", f"another {short}").status_code == 503, "nobody is told that it is kept if it is not"
        assert [kept.source for kept in rejections.listed(store)] == ["once", "crm", "crm"]


def test_a_program_is_told_to_come_again_where_what_the_operator_could_mend_has_no_room(store: Store) -> None:
    settings = settings_with(SOURCES, max_body_bytes=SMALL, max_kept_bytes=SMALL, public_url=None)
    with receiving(store, settings) as site:
        for index in range(2):
            site.post("crm", no_event(index))
        events = [{"event_id": f"evt_{index}", "number": number(index)} for index in range(80)]  # and no route
        answer = site.client.post("/v1/events", json=events)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert (
            site.client.post("/v1/events", json=[{**each, "profile": "support"} for each in events]).status_code == 202
        )


def restarted(server: Server) -> subprocess.Popen[str]:
    """The server's process again, with the same port and directory; ready."""
    process = subprocess.Popen(server.process.args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    assert any(READY in line for line in process.stdout)
    return process


def test_a_store_that_is_away_sends_away_and_what_it_sent_away_is_new_when_it_is_back(tmp_path: Path) -> None:
    with running("valkey", tmp_path, appendonly="yes", appendfsync="always") as server, server.client() as client:
        store = Store(client)
        with receiving(store, settings_with(SOURCES)) as site:
            assert site.client.get("/readyz").json() == {"status": "ready"}
            assert site.post("crm", event("evt_1")).status_code == 200
            server.process.kill()
            server.process.wait(30)

            answer = site.post("crm", event("evt_2", OTHER))
            assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
                503,
                "unavailable",
                "5",
            )
            assert site.post("crm", "no JSON").status_code == 503, "what can't be kept is not answered as if it were"
            until(lambda: site.client.get("/readyz").status_code == 503, "a receiver that is not ready")
            assert site.client.get("/healthz").status_code == 200

            process = restarted(server)
            try:
                until(lambda: site.client.get("/readyz").status_code == 200, "a receiver that is ready again")
                assert site.post("crm", event("evt_2", OTHER)).json()["accepted"] == 1
                assert site.post("crm", event("evt_1")).json()["duplicate"] == 1
                assert counted(store) == {"accepted": 2, "duplicate": 1, "rejected": 0}
            finally:
                process.terminate()
                process.wait(30)
                assert process.stdout is not None
                process.stdout.close()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_a_store_that_hangs_is_not_waited_for_and_its_event_is_one_however_often_it_came(tmp_path: Path) -> None:
    with running("valkey", tmp_path) as server, server.client() as client:
        store = Store(client)
        with receiving(store, settings_with(SOURCES)) as site:
            with frozen(server):
                answers = [site.post("hurried", event("evt_1")) for _ in range(3)]
                assert [answer.status_code for answer in answers] == [503] * 3
                assert {answer.headers["retry-after"] for answer in answers} == {"5"}
                assert all(answer.elapsed.total_seconds() < 2 for answer in answers)
                assert site.client.get("/healthz").status_code == 200
            site.post("hurried", event("evt_1"))
            totals = counted(store)
            assert (totals["accepted"], totals["rejected"]) == (1, 0)
            assert books(store).totals["accepted"] == 1
            assert audit(store) == []


def test_the_same_delivery_fifty_times_at_once_over_two_receivers_is_one_event(server: Server, store: Store) -> None:
    with server.client() as client, ExitStack() as stack:
        other = Store(client)
        other.now_ms = store.now_ms
        sites = [stack.enter_context(receiving(each, settings_with(SOURCES))) for each in (store, other)]
        barrier = Barrier(AT_ONCE)

        def deliver(index: int) -> httpx.Response:
            barrier.wait(PATIENCE_S)
            return sites[index % 2].post("crm", event("evt_1", GOOD, OTHER))

        with ThreadPoolExecutor(AT_ONCE) as threads:
            answers = list(threads.map(deliver, range(AT_ONCE)))
        assert {answer.status_code for answer in answers} == {200}
        said = [answer.json() for answer in answers]
        assert sorted((each["accepted"], each["duplicate"]) for each in said) == [(0, 1)] * (AT_ONCE - 1) + [(2, 0)]
        assert counted(store) == {"accepted": 1, "duplicate": AT_ONCE - 1, "rejected": 0}
        assert audit(store) == []


@pytest.fixture
def held(store: Store) -> Held:
    return Held(store)


def at_once(site: Site, held: Held, bodies: list[str]) -> list[httpx.Response]:
    """Answers to deliveries that are pushed together: they come while the push of another one is under way."""
    with ThreadPoolExecutor(len(bodies) + 1) as threads:
        held.hold.set()
        first = threads.submit(site.post, "crm", event("evt_first", number(9_999)))
        assert held.reached.wait(PATIENCE_S)
        barrier = Barrier(len(bodies) + 1)

        def deliver(body: str) -> httpx.Response:
            barrier.wait(PATIENCE_S)
            return site.post("crm", body)

        answers = [threads.submit(deliver, body) for body in bodies]
        barrier.wait(PATIENCE_S)
        until_handed_in(site, len(bodies) + 1)
        held.hold.clear()
        held.go.set()
        assert first.result().status_code == 200
        return [answer.result() for answer in answers]


def until_handed_in(site: Site, deliveries: int) -> None:
    """Until that many wait for the store."""
    pause = Event()
    for _ in range(20_000):
        if site.receiver._hooks._under_way == deliveries:
            return
        pause.wait(0.001)
    raise AssertionError("they did not come")


def test_deliveries_that_are_pushed_together_are_each_answered_for_itself(held: Held) -> None:
    with receiving(held, settings_with(SOURCES)) as site:
        bodies = [
            event(f"evt_{index}", *(number(index * 10 + each) for each in range(index % 5 + 1))) for index in range(40)
        ]
        bodies += [event("evt_7", number(7)), event("evt_x", "nonsense"), event("evt_y", number(0), "nonsense")]
        answers = [answer.json() for answer in at_once(site, held, bodies)]
        for index, said in enumerate(answers[:40]):
            assert said["accepted"] in ({index % 5 + 1} if index != 7 else {0, 3, 1})
        by_id = Counter(said["duplicate"] for said in (answers[7], answers[40]))
        assert by_id == {0: 1, 1: 1}, "one of the two with the same id came first"
        assert (answers[41]["code"], answers[41]["accepted"]) == ("invalid_number", 0)
        assert (answers[42]["accepted"], len(answers[42]["rejected"])) == (1, 1)
        assert audit(held) == []


def until_nobody_listens(url: str) -> None:
    """Knocks until the port is closed; who knocks while it closes may be let in and shown out."""
    while True:
        try:
            with connected(url):
                pass
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            pass


def test_a_stop_answers_what_is_under_way_and_takes_nothing_more(held: Held) -> None:
    with ThreadPoolExecutor(2) as threads, ExitStack() as stack:
        site = stack.enter_context(receiving(held, settings_with(SOURCES)))
        held.hold.set()
        answer = threads.submit(httpx.post, f"{site.url}/hooks/crm", content=event("evt_1"), timeout=PATIENCE_S)
        assert held.reached.wait(PATIENCE_S)
        stopping = threads.submit(stack.close)
        until_nobody_listens(site.url)
        assert not stopping.done()
        held.go.set()
        assert (answer.result().status_code, answer.result().json()["accepted"]) == (200, 1)
        stopping.result(PATIENCE_S)
    assert counted(held)["accepted"] == 1


def test_a_profile_that_a_worker_publishes_later_is_known_without_a_restart(store: Store) -> None:
    with receiving(store, settings_with({"crm": {**CRM, "profile": "later"}})) as site:
        answer = site.post("crm", event("evt_1"))
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_profile")
        store.publish(policies_of(settings_with({}, profiles=("later",))))
        assert site.post("crm", event("evt_1")).json()["accepted"] == 1


def test_a_look_for_a_profile_that_nobody_waits_for_any_more_may_fail_quietly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running("valkey", tmp_path) as server, server.client() as client:
        with receiving(Store(client), settings_with({"hurried": {**SOURCES["hurried"], "profile": "later"}})) as site:
            server.process.send_signal(signal.SIGSTOP)
            assert site.post("hurried", event("evt_1")).status_code == 503
            server.process.kill()
            server.process.wait(30)
            assert site.post("hurried", event("evt_1")).status_code == 503
        gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
