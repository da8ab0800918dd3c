"""A sandbox in one terminal, commands in another: with --sandbox they speak to its store and its stand-in."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from acceptance.running import TRUNKLINE, Running, kill
from acceptance.test_receiving import address
from acceptance.worker_harness import Commands, environment, until

NUMBER = "+14155550100"
CONFIGURATION = """
[accounts.default]
base_url = "http://127.0.0.1:9"
key = { env = "BLAND_API_KEY" }
[profiles.support]
directions = [{ type = "inbound" }]
"""


@pytest.fixture(scope="module")
def trunkline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands in a folder whose sandbox is not running yet."""
    folder = tmp_path_factory.mktemp("sandbox")
    config = folder / "trunkline.toml"
    config.write_text(CONFIGURATION, "utf-8")
    with Commands(folder, environment(TRUNKLINE_CONFIG=config, BLAND_API_KEY="a-real-key")) as commands:
        yield commands


@contextmanager
def up(trunkline: Commands, *options: str) -> Iterator[Running]:
    """`trunkline up` in a terminal of its own, until Ctrl-C or till it is killed; it receives when the block begins."""
    process = Running((*TRUNKLINE, "up", "--port", "0", *options), trunkline.env)
    try:
        address(process)
        yield process
        if process.process.poll() is None:
            process.signal(signal.SIGINT)
            assert process.exit_code() == 0
    finally:
        process.close()


@pytest.fixture(scope="module")
def sandbox(trunkline: Commands) -> Iterator[Running]:
    """`trunkline up --sandbox`."""
    with up(trunkline, "--sandbox") as process:
        yield process


def state_of(trunkline: Commands, number: str, *options: str) -> str:
    told = trunkline("number", number, "--json", *options)
    return str(told.json[0]["state"]) if told.code == 0 else ""


@pytest.mark.usefixtures("sandbox")
def test_what_is_enqueued_with_the_flag_is_attached_by_the_running_sandbox(trunkline: Commands) -> None:
    assert trunkline("enqueue", "--sandbox", "--profile", "support", NUMBER).code == 0
    until(lambda: state_of(trunkline, NUMBER, "--sandbox") == "attached", "a number that is attached")
    assert [each.name for each in (trunkline.folder / ".trunkline").iterdir()] == ["sandbox"]


@pytest.mark.usefixtures("sandbox")
def test_a_real_number_stays_out_of_the_sandbox(trunkline: Commands) -> None:
    assert trunkline("enqueue", "--profile", "support", "+14155550101").code == 0
    assert state_of(trunkline, "+14155550101") == "queued"
    assert state_of(trunkline, "+14155550101", "--sandbox") == ""


def test_a_stand_in_that_the_environment_names_is_used_without_the_flag(trunkline: Commands, sandbox: Running) -> None:
    mark = json.loads((trunkline.folder / ".trunkline/sandbox/stand-in.json").read_text("utf-8"))
    assert mark["pid"] == sandbox.pid
    told = trunkline("status", "--json", TRUNKLINE_STAND_IN=mark["url"])
    assert (told.json["store"]["kind"], told.err) == ("sandbox", "")


ASKING = ("status", "dead list", "rejected list", "audit", f"number {NUMBER}")


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("words", ASKING)
def test_an_answer_names_its_store(trunkline: Commands, words: str) -> None:
    sandboxed = trunkline(*words.split(), "--sandbox")
    assert sandboxed.err.splitlines()[0] == "store: the sandbox's, in .trunkline/sandbox"
    alone = trunkline(*words.split(), TRUNKLINE_DATA_DIR=str(trunkline.folder / "elsewhere"))
    assert alone.err.splitlines()[0] == "store: embedded in elsewhere"


@pytest.mark.usefixtures("sandbox")
def test_status_tells_programs_which_store_it_is_of(trunkline: Commands) -> None:
    embedded, sandbox = (trunkline("status", "--json", *options).json["store"] for options in ((), ("--sandbox",)))
    folder = trunkline.folder / ".trunkline"
    assert (embedded["kind"], embedded["at"]) == ("embedded", str(folder))
    assert (sandbox["kind"], sandbox["at"]) == ("sandbox", str(folder / "sandbox"))


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("words", ASKING)
def test_a_command_beside_a_running_sandbox_says_so_and_never_on_stdout(trunkline: Commands, words: str) -> None:
    told = (
        "a sandbox is running in .trunkline/sandbox, but this command speaks to the real store (embedded in "
        ".trunkline); type --sandbox to speak to the sandbox's"
    )
    people, programs = trunkline(*words.split()), trunkline(*words.split(), "--json")
    assert people.err.splitlines()[0] == told
    assert programs.err.splitlines() == [told]
    assert "sandbox" not in people.out
    assert programs.json is not None
    assert trunkline(*words.split(), "--sandbox", "--json").err == ""


@pytest.mark.usefixtures("sandbox")
def test_the_stand_in_is_found_by_whoever_would_call_the_api(trunkline: Commands) -> None:
    ran = trunkline("check", "--sandbox", "--online", BLAND_API_KEY="")
    assert (ran.code, "GET /v1/me answers 200" in ran.out) == (0, True), ran


def test_a_second_sandbox_in_the_folder_is_refused(trunkline: Commands, sandbox: Running) -> None:
    ran = trunkline("up", "--sandbox", "--port", "0")
    assert (ran.code, f"runs in {trunkline.folder / '.trunkline/sandbox'} already" in ran.err) == (1, True), ran
    assert f"process {sandbox.pid}" in ran.err


def test_a_sandbox_that_was_killed_counts_as_none_and_its_store_can_be_looked_at(tmp_path: Path) -> None:
    config = tmp_path / "trunkline.toml"
    config.write_text(CONFIGURATION, "utf-8")
    with Commands(tmp_path, environment(TRUNKLINE_CONFIG=config)) as trunkline:
        with up(trunkline, "--sandbox") as sandbox:
            sandbox.says("receiver_started")
            sandbox.says("worker_started")
            kill(sandbox.pid)
            assert sandbox.exit_code() == -signal.SIGKILL
            assert sandbox.has_left_nobody()
        mark = json.loads((tmp_path / ".trunkline/sandbox/stand-in.json").read_text("utf-8"))
        assert mark["pid"] == sandbox.pid
        assert trunkline("enqueue", "--sandbox", "--profile", "support", NUMBER).code == 0
        assert state_of(trunkline, NUMBER, "--sandbox") == "queued"
        assert "a sandbox is running" not in trunkline("check").err
        assert "its stand-in API is not running" in trunkline("status", "--sandbox").err
        checked = trunkline("check", "--sandbox", "--online")
        assert (checked.code, "the sandbox's stand-in API is not running" in checked.err) == (1, True), checked
        assert mark["url"] not in checked.out
        worker = trunkline("worker", "--sandbox")
        assert (worker.code, "the sandbox's stand-in API is not running" in worker.err) == (1, True), worker
        with up(trunkline, "--sandbox"):
            until(lambda: state_of(trunkline, NUMBER, "--sandbox") == "attached", "what had waited")
    assert [each.name for each in (tmp_path / ".trunkline").iterdir()] == ["sandbox"]
