"""What a receiver does between SIGTERM and its end: it says that it is not ready, and still takes what comes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx

from acceptance.running import TRUNKLINE, Running
from acceptance.site import Site, site_embedded
from acceptance.test_receiving import address
from acceptance.worker_harness import until

EVENT = {"event_id": "evt_1", "number": "+14155550100", "profile": "support"}


def test_on_sigterm_it_is_not_ready_and_takes_what_still_comes(tmp_path: Path) -> None:
    with site_embedded(tmp_path) as site:
        serving = site.start(*TRUNKLINE, "serve", "--port", "0")
        with httpx.Client(base_url=address(serving), trust_env=False) as client:
            assert client.get("/readyz").status_code == 200
            serving.signal(signal.SIGTERM)
            until(lambda: client.get("/readyz").status_code == 503, "a receiver that is not ready")
            told = client.get("/readyz")
            assert (told.json()["detail"], told.headers["connection"]) == ("The receiver is stopping.", "close")
            taken = client.post("/v1/events", json=EVENT)
            assert (taken.status_code, taken.headers["connection"]) == (202, "close"), taken.text
            assert client.get("/healthz").status_code == 200
        assert serving.exit_code() == 0
        assert serving.was_surprised() == []


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def seconds_to_stop(site: Site, signum: int, times: int, *command: str) -> float:
    process: Running = site.start(*TRUNKLINE, *command, "--port", "0")
    url = address(process)
    until(lambda: answers(url), "a receiver that is ready")
    began = time.monotonic()
    for _ in range(times):
        process.signal(signum)
        time.sleep(0.3)
    assert process.exit_code() == 0
    return time.monotonic() - began


def test_sigterm_drains_and_nobody_waits_after_ctrl_c_or_a_second_sigterm(tmp_path: Path) -> None:
    with site_embedded(tmp_path) as site:
        assert seconds_to_stop(site, signal.SIGTERM, 1, "serve") >= 5
        assert seconds_to_stop(site, signal.SIGINT, 1, "serve") < 4
        assert seconds_to_stop(site, signal.SIGTERM, 2, "serve") < 4


def test_up_drains_its_receiver_too_and_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    with site_embedded(tmp_path) as site:
        assert seconds_to_stop(site, signal.SIGTERM, 1, "up") >= 5
        assert seconds_to_stop(site, signal.SIGINT, 1, "up") < 5


def test_a_ctrl_c_that_comes_twice_is_one(tmp_path: Path) -> None:
    with site_embedded(tmp_path) as site:
        process = site.start(*TRUNKLINE, "serve", "--port", "0")
        url = address(process)
        until(lambda: answers(url), "a receiver that is ready")
        process.signal(signal.SIGINT)
        process.signal(signal.SIGINT)
        assert process.exit_code() == 0
        assert process.was_surprised() == []
