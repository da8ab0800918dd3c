"""A store that was brought to a newer trunkline ends every older process and command, with a sentence and code 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from acceptance.running import TRUNKLINE, Running
from acceptance.worker_harness import PATIENCE_S, Commands, environment, until, working
from support.servers import Server
from trunkline.store.scripts import SCHEMA

SENTENCE = "upgrade trunkline on this host"
CONFIGURATION = '[store]\nacknowledge = "memory"\n[profiles.support]\ndirections = [{ type = "inbound" }]\n'


@dataclass(frozen=True)
class Place:
    """A store, and the environment of processes that speak to it."""

    server: Server
    env: dict[str, str]
    folder: Path

    def becomes_newer(self) -> None:
        with self.server.client() as client:
            client.hset("{tl}:meta", "least", SCHEMA + 1)


@pytest.fixture
def place(valkey: Server, tmp_path: Path) -> Iterator[Place]:
    with valkey.client() as client:
        client.flushall()
    (tmp_path / "trunkline.toml").write_text(CONFIGURATION, "utf-8")
    variables = {"TRUNKLINE_CONFIG": tmp_path / "trunkline.toml", "TRUNKLINE_REDIS_URL": valkey.url}
    yield Place(valkey, environment(**variables, BLAND_API_KEY="key", TRUNKLINE_LOG="json"), tmp_path)
    with valkey.client() as client:
        client.flushall()


def test_a_worker_at_work_stops_with_the_sentence(place: Place) -> None:
    with working(place.folder / "worker.log", place.env) as worker:
        place.becomes_newer()
        assert worker.process.wait(PATIENCE_S) == 1
        (told,) = worker.logged("store_newer")
        assert SENTENCE in told["error"]
        said = worker.log.read_text("utf-8")
        assert said.splitlines()[-1].startswith("trunkline: "), said
        assert SENTENCE in said.splitlines()[-1]
        assert "Traceback" not in said


def test_the_supervisor_ends_once_all_its_processes_have_refused(place: Place) -> None:
    with ExitStack() as stack:
        running = Running([*TRUNKLINE, "worker", "--processes", "2"], place.env)
        stack.callback(running.close)
        running.says("worker_started", 2)
        place.becomes_newer()
        assert running.exit_code() == 1
        assert running.has_left_nobody()
        assert running.was_surprised() == []
        until(lambda: SENTENCE in running.lines[-1], f"the sentence: {running}")


@pytest.mark.parametrize(
    "words",
    ["status", "status --json", "number +14155550100", "dead list", "enqueue --profile support +14155550100",
     "cancel --profile support --yes", "pause default", "audit", "audit --repair",
     "store migrate", "worker", "serve --port 0", "check --online"],
)  # fmt: skip
def test_commands_say_so_and_change_nothing(place: Place, words: str) -> None:
    place.becomes_newer()
    with Commands(place.folder, place.env) as trunkline, place.server.client() as client:
        ran = trunkline(*words.split())
        assert (ran.code, ran.out == "" or words == "check --online") == (1, True)
        assert SENTENCE in ran.err
        assert client.keys("*") == ["{tl}:meta"]
