"""A configuration that breaks while workers run ends none of them; one that was never right ends the command."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from threading import Thread

import pytest

from acceptance.worker_harness import environment, until
from support.servers import Server
from trunkline.runtime import supervisor as supervising
from trunkline.runtime.supervisor import USAGE, Supervisor

CONFIGURATION = '[profiles.support]\n[[profiles.support.directions]]\ntype = "inbound"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "trunkline.toml"
    path.write_text('[store]\nacknowledge = "memory"\n' + CONFIGURATION, "utf-8")
    return path


def test_a_file_broken_since_the_start_does_not_end_the_processes_that_run(
    valkey: Server, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "STEADY_S", 0.0)  # up at all is up long enough here
    log = tmp_path / "worker.log"
    env = environment(TRUNKLINE_CONFIG=config, TRUNKLINE_REDIS_URL=valkey.url, BLAND_API_KEY="key")
    with log.open("wb") as stderr:
        supervisor = Supervisor(env, 2, 5.0, stderr=stderr)
        supervisor.start()
        watch = Thread(target=supervisor.run)
        watch.start()
        try:
            until(lambda: log.read_text("utf-8").count('"worker_started"') == 2, "both processes are up")
            killed, kept = supervisor.pids()
            config.write_text("[stroe]\n", "utf-8")
            os.kill(killed, signal.SIGKILL)
            until(lambda: log.read_text("utf-8").count("stroe") >= 2, "two processes in a row could not start")
            assert watch.is_alive()
            assert kept in supervisor.pids()
        finally:
            supervisor.stop()
            watch.join()


def test_a_file_that_was_never_right_ends_everything_with_2(valkey: Server, config: Path, tmp_path: Path) -> None:
    config.write_text("[stroe]\n", "utf-8")
    env = environment(TRUNKLINE_CONFIG=config, TRUNKLINE_REDIS_URL=valkey.url, BLAND_API_KEY="key")
    with (tmp_path / "worker.log").open("wb") as stderr:
        supervisor = Supervisor(env, 2, 5.0, stderr=stderr)
        supervisor.start()
        assert supervisor.run() == USAGE
        assert supervisor.pids() == []
