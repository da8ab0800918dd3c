"""After `kill -9` of anything at any instant: nothing lost, nothing sent again that was settled, taken up in time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.pushing import Pushing
from acceptance.running import TRUNKLINE, kill
from acceptance.site import Site, site_by_url, site_embedded
from acceptance.store_proxy import Point
from acceptance.worker_harness import until
from trunkline.lifecycle import State
from trunkline.store import queries
from trunkline.store.embedded.process import Home

A_FEW = 12  # numbers: a batch that a read-back asks for one by one


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_by_url(tmp_path) as site:
        yield site


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Site]:
    with site_embedded(tmp_path, max_size=20) as site:
        yield site


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Site]:
    """Small batches, a slow API and a low rate: at any instant some calls are out and some wait for leave."""
    rates = {"max_size": 10, "requests_per_second": 10, "max_concurrency": 8}
    with site_embedded(tmp_path, **rates, timeout_s=10, lease_s=20) as site:
        site.sandbox.change(latency_s=0.3)
        yield site


# kill -9 of a worker


@pytest.mark.parametrize("script", ["claim", "permit"])
def test_a_worker_killed_before_its_call_leaves_the_numbers_to_another(site: Site, script: str) -> None:
    caught = site.proxy.catch(script, at="reply")
    site.start_workers("a", "b")
    site.push(A_FEW)
    site.workers[caught.wait()].signal(signal.SIGKILL)
    site.ends()
    site.was_taken_up_in_time()
    assert [len(call["numbers"]) for call in site.attach_calls()] == [A_FEW]


def test_a_worker_killed_during_a_call_that_did_nothing_has_its_numbers_sent_by_another(site: Site) -> None:
    site.sandbox.script([{"fault": "hang_before", "seconds": 30}])
    kill_the_worker_in_the_call(site)
    site.ends()
    site.was_taken_up_in_time()
    assert [call["answered"] for call in site.attach_calls()] == [False, True]
    assert site.read_backs() > 0


def test_a_worker_killed_during_a_call_that_attached_has_its_numbers_read_back_and_not_sent_again(site: Site) -> None:
    site.sandbox.script([{"fault": "hang_after", "seconds": 30}])
    kill_the_worker_in_the_call(site)
    site.ends()
    site.was_taken_up_in_time()
    assert len(site.attach_calls()) == 1
    assert site.read_backs() > 0


def test_a_worker_killed_after_the_answer_has_its_numbers_read_back_and_not_sent_again(site: Site) -> None:
    caught = site.proxy.catch("settle", at="request")
    site.start_workers("a", "b")
    site.push(A_FEW)
    site.workers[caught.wait()].signal(signal.SIGKILL)
    assert {entry.state for entry in site.entries()} == {State.attaching}
    site.ends()
    site.was_taken_up_in_time()
    assert [call["answered"] for call in site.attach_calls()] == [True]
    assert site.read_backs() > 0
    assert site.sandbox.stats()["sent_again_after_success"] == 0


def test_a_worker_killed_during_the_settle_has_settled(site: Site) -> None:
    caught = site.proxy.catch("settle", at="reply")
    site.start_workers("a", "b")
    site.push(A_FEW)
    site.workers[caught.wait()].signal(signal.SIGKILL)
    assert {entry.state for entry in site.entries()} == {State.attached}
    assert site.leases() == 0
    site.push(1)
    site.ends()
    assert [len(call["numbers"]) for call in site.attach_calls()] == [A_FEW, 1]
    assert site.read_backs() == 0


@pytest.mark.parametrize("at", ["request", "reply"])
def test_a_settle_that_is_lost_on_the_way_is_made_again(site: Site, at: Point) -> None:
    caught = site.proxy.catch("settle", at=at)
    site.start_workers("a")
    site.push(A_FEW)
    caught.wait()
    caught.lose()
    site.ends()
    assert len(site.attach_calls()) == 1
    assert len(site.proxy.passed("claim", having=b"batch")) == 1


@pytest.mark.parametrize("at", ["request", "reply"])
def test_a_leave_to_send_that_is_lost_on_the_way_costs_no_lease(site: Site, at: Point) -> None:
    caught = site.proxy.catch("permit", at=at)
    site.start_workers("a")
    site.push(A_FEW)
    caught.wait()
    caught.lose()
    site.ends()
    assert len(site.attach_calls()) == 1
    assert site.workers["a"].logged("batch_handed_back")
    assert not site.workers["a"].logged("leases_reaped")


def kill_the_worker_in_the_call(site: Site) -> None:
    sending = site.proxy.catch("permit", at="reply")
    site.start_workers("a", "b")
    site.push(A_FEW)
    victim = site.workers[sending.wait()]
    sending.release()
    until(site.attach_calls, "the call")
    victim.signal(signal.SIGKILL)


# zombies: stopped past the lease, then gone on with


def test_a_zombie_that_wakes_with_an_answer_changes_nothing(site: Site) -> None:
    site.sandbox.script([{"fault": "hang_after", "seconds": 1.3}])
    sending = site.proxy.catch("permit", at="reply")
    site.start_workers("a", "b")
    site.push(A_FEW)
    zombie = site.workers[sending.wait()]
    sending.release()
    until(site.attach_calls, "the call")
    zombie.signal(signal.SIGSTOP)
    site.ends()
    site.was_taken_up_in_time()
    before = site.dump()
    zombie.signal(signal.SIGCONT)
    zombie.says("batch_stale")
    assert site.dump() == before
    assert len(site.attach_calls()) == 1


@pytest.mark.parametrize(
    ("script", "at"),
    [("permit", "request"), ("permit", "reply")],
    ids=["the store says that the lease is over", "its own clock says that its time is over"],
)
def test_a_zombie_that_had_not_sent_yet_does_not_send(site: Site, script: str, at: Point) -> None:
    caught = site.proxy.catch(script, at=at)
    site.start_workers("a", "b")
    site.push(A_FEW)
    zombie = site.workers[caught.wait()]
    zombie.signal(signal.SIGSTOP)
    site.ends()
    site.was_taken_up_in_time()
    before = site.dump()
    zombie.signal(signal.SIGCONT)
    caught.release()
    zombie.says("batch_stale")
    assert site.dump() == before
    assert len(site.attach_calls()) == 1


# the supervisor


def test_a_worker_killed_is_started_again_and_a_killed_supervisors_workers_stop(site: Site) -> None:
    site.sandbox.script([{"fault": "hang_after", "seconds": 30}])
    supervisor = site.start(*TRUNKLINE, "worker", "--processes", "2")
    supervisor.says("worker_started", times=2)
    site.push(A_FEW)
    until(site.attach_calls, "a call")
    for pid in supervisor.children():
        kill(pid)
    supervisor.says("worker_started", times=4)
    site.ends()
    supervisor.signal(signal.SIGKILL)
    assert supervisor.has_left_nobody()
    assert len(supervisor.logged("worker_stopped")) == 2
    assert supervisor.was_surprised() == []


# stops


@pytest.mark.parametrize("whom", ["the supervisor", "the whole group"])
def test_sigterm_under_load_settles_what_was_sent_and_hands_back_the_rest(slow: Site, whom: str) -> None:
    slow.open_store()
    supervisor = slow.start(*TRUNKLINE, "worker")
    supervisor.says("worker_started")
    slow.push(120)
    until(lambda: len(slow.attach_calls()) > 3, "some calls")
    (supervisor.signal if whom == "the supervisor" else supervisor.signal_group)(signal.SIGTERM)
    assert supervisor.exit_code() == 0
    assert supervisor.has_left_nobody()
    assert supervisor.was_surprised() == []
    assert supervisor.logged("batch_handed_back")
    nothing_is_under_way_and_what_was_sent_is_settled(slow)
    slow.start(*TRUNKLINE, "worker")
    slow.ends()
    each_number_was_sent_once(slow)


def test_ctrl_c_on_up_settles_before_the_server_goes_and_leaves_nobody(slow: Site) -> None:
    terminal = slow.start(*TRUNKLINE, "up", "--processes", "2")
    terminal.says("worker_started", times=2)
    slow.open_store()
    slow.push(120)
    slow.close_store()
    until(lambda: len(slow.attach_calls()) > 3, "some calls")
    terminal.signal_group(signal.SIGINT)
    assert terminal.exit_code() == 0
    assert terminal.has_left_nobody()
    assert terminal.was_surprised() == []
    assert not Home(slow.settings.store.data_dir / "valkey").serving()
    slow.open_store()
    nothing_is_under_way_and_what_was_sent_is_settled(slow)
    slow.start(*TRUNKLINE, "worker")
    slow.ends()
    each_number_was_sent_once(slow)


def nothing_is_under_way_and_what_was_sent_is_settled(site: Site) -> None:
    assert site.leases() == 0
    site.is_whole()
    totals = queries.books(site.store).totals
    sent = [number for call in site.attach_calls() for number in call["configured"]]
    attached = [entry.number for entry in site.entries() if entry.state is State.attached]
    assert sorted(sent) == sorted(attached)
    assert totals["queued"] == len(site.pushed) - len(sent) > 0


def each_number_was_sent_once(site: Site) -> None:
    assert sorted(number for call in site.attach_calls() for number in call["numbers"]) == sorted(site.pushed)
    assert site.read_backs() == 0


# the embedded server, and everything


def test_every_push_that_returned_survives_the_server_killed_again_and_again(embedded: Site) -> None:
    embedded.open_store()
    embedded.start(*TRUNKLINE, "worker", "--processes", "2").says("worker_started", times=2)
    with Pushing(embedded) as pushing:
        for _ in range(3):
            pushing.has_pushed(50)
            killed = embedded.server()
            kill(killed)
            pushing.has_pushed(50)
            assert embedded.server() != killed
    embedded.ends()


def test_everything_killed_at_once_goes_on_when_a_worker_is_started(embedded: Site) -> None:
    embedded.sandbox.script([{"fault": "hang_after", "seconds": 30}] * 3)
    embedded.open_store()
    supervisor = embedded.start(*TRUNKLINE, "worker", "--processes", "2")
    supervisor.says("worker_started", times=2)
    embedded.push(200)
    until(lambda: len(embedded.attach_calls()) >= 3, "some calls")
    for pid in (embedded.server(), supervisor.pid, *supervisor.children()):
        kill(pid)
    assert supervisor.has_left_nobody()
    embedded.start(*TRUNKLINE, "worker", "--processes", "2").says("worker_started", times=2)
    embedded.ends()
