"""The README is run: its commands, its configuration, its program; what it names is there and what it links exists."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import typer
from pydantic import BaseModel

from acceptance.worker_harness import PATIENCE_S, TRUNKLINE, Commands, environment, until, working
from trunkline.cli.main import app
from trunkline.config.sections import Account, ServerSettings, StoreSettings, WorkerSettings
from trunkline.config.settings import load
from trunkline.events.intake import NumberRules
from trunkline.events.routing import When
from trunkline.lifecycle import DeadCode
from trunkline.profiles.directions import CustomHeader, Direction, Headers, Options, RegisterAuth, UuiHeader
from trunkline.profiles.profile import BatchRules, Profile, RetryRules
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline_producers.sources import read_sources

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLE = (ROOT / "deploy/trunkline.example.toml").read_text("utf-8")
KEY = "sandbox-key"


def blocks(language: str) -> list[str]:
    """The fenced blocks in this language, "" for commands."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for said, text in found if said == language]


def typed() -> list[str]:
    """Every command that the README has one type, in blocks and in its text."""
    lines = [part for block in blocks("") for line in block.splitlines() for part in line.split("&&")]
    return [each.strip() for each in lines + re.findall(r"`([^`\n]+)`", README)]


COMMANDS = list(dict.fromkeys(each for each in typed() if each.startswith("trunkline ")))
QUESTIONS = [
    command
    for row in re.findall(r"^\| (.*) \|$", README, re.MULTILINE)
    for command in re.findall(r"`(trunkline [^`]+)`", row)
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_that_the_readme_names_is_there_with_its_options(line: str) -> None:
    words = shlex.split(line)[1:]
    group: Any = typer.main.get_command(app)
    while hasattr(group, "commands"):
        assert words[0] in group.commands, line
        group = group.commands[words.pop(0)]
    with group.make_context(group.name, words) as context:
        assert context.args == []


def test_the_readme_asks_what_a_user_asks() -> None:
    assert len(COMMANDS) >= 15
    assert len(QUESTIONS) >= 8


# Running it


def test_the_demo_ends_by_itself_with_every_number_attached_or_dead() -> None:
    command = [TRUNKLINE, "demo", "--numbers", "300", "--json"]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert set(document) == {
        "store",
        "profiles",
        "accounts",
        "workers",
        "totals",
        "events",
        "calls",
        "balanced",
        "seconds",
    }
    totals = document["totals"]
    assert document["balanced"] is True
    assert totals["accepted"] == totals["attached"] + totals["dead"] + totals["coalesced"] == 300
    assert document["calls"]["attach"] < 100
    assert "Traceback" not in ran.stderr


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Commands, Sandbox]]:
    """A folder as the README has it written, and `trunkline up` in a terminal of its own; its API is a stand-in."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "trunkline.toml").write_text("\n".join(blocks("toml")), "utf-8")
    (folder / "numbers.csv").write_text("number,customer\n(415) 555-0101,Ann\n+14155550102,Bob\n", "utf-8")
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(SandboxRules(latency_s=0, fail_rate=0)))
        sandbox.script([{"failed": {"+14155550101": "not owned"}}])
        env = environment(BLAND_API_KEY=KEY, TRUNKLINE_API_BASE_URL=sandbox.base_url, SHOP_KEY="change-me")
        trunkline = stack.enter_context(Commands(folder, env))
        online = trunkline("check", "--online")
        assert (online.code, "GET /v1/me answers 200" in online.out) == (0, True), online
        with up(folder, env) as terminal:
            yield trunkline, sandbox
        assert terminal.returncode == 0
    assert not list((folder / ".trunkline").rglob("*.pid"))


@contextmanager
def up(folder: Path, env: Mapping[str, str], *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`trunkline up` until Ctrl-C; it is ready when the block begins."""
    log = folder / "up.log"
    with log.open("wb") as file, _up(folder, env, options, file) as terminal:
        until(lambda: "Ctrl-C stops" in log.read_text("utf-8") or terminal.poll() is not None, "an `up` that is ready")
        assert terminal.poll() is None, log.read_text("utf-8")
        yield terminal
        terminal.send_signal(signal.SIGINT)
        terminal.wait(PATIENCE_S)


@contextmanager
def _up(
    folder: Path, env: Mapping[str, str], options: tuple[str, ...], log: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    command = [TRUNKLINE, "up", "--port", "0", *options]  # a free port, as 8080 may be taken where tests run
    with (folder / "up.out").open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=dict(env), stdout=out, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE_S)
    assert (folder / "up.out").read_bytes() == b""  # what it has to tell goes to stderr


def state_of(trunkline: Commands, number: str, *options: str, **env: str) -> str:
    told = trunkline("number", number, "--json", *options, **env)
    return str(told.json[0]["state"]) if told.code == 0 else ""


def becomes(trunkline: Commands, number: str, state: str, *options: str, **env: str) -> None:
    """Waits until a number is in a state."""
    until(lambda: state_of(trunkline, number, *options, **env) == state, f"{number} {state}")


def second_terminal() -> list[str]:
    """What the README has one type beside `trunkline up`, but for what shows until Ctrl-C."""
    (block,) = [block for block in blocks("") if "trunkline import" in block]
    return [line for line in block.splitlines() if "--watch" not in line]


def in_the_sandbox(name: str) -> str:
    """The README's example of a command with --sandbox."""
    (found,) = [command for command in COMMANDS if command.startswith(f"trunkline {name} --sandbox")]
    return found


def test_the_second_terminals_commands_attach_the_numbers(shop: tuple[Commands, Sandbox]) -> None:
    trunkline, sandbox = shop
    ran = {line: trunkline(*shlex.split(line)[1:]) for line in second_terminal()}
    assert list(ran) == [
        "trunkline import numbers.csv --profile support",
        "trunkline enqueue --profile support +14155550100",
        "trunkline number +14155550100",
    ]
    assert [each.code for each in ran.values()] == [0, 0, 0]
    for number, state in (("+14155550100", "attached"), ("+14155550101", "dead"), ("+14155550102", "attached")):
        becomes(trunkline, number, state)
    assert sandbox.log()[0]["directions"] == ["inbound", "outbound"]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="curl and openssl are not here")
def test_the_readmes_curl_command_signs_posts_and_gets_the_numbers_attached(shop: tuple[Commands, Sandbox]) -> None:
    trunkline, _ = shop
    (block,) = [block for block in blocks("") if "curl " in block]
    assert "localhost:8080" in block
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.replace("localhost:8080", receiving_at(trunkline.folder))],
        env=dict(trunkline.env), capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert f"`{ran.stdout}`" in README
    becomes(trunkline, "+14155550123", "attached")
    becomes(trunkline, "+14155550124", "attached")


def receiving_at(folder: Path) -> str:
    """Host and port of the receiver of `up`."""
    found = re.search(r"receiving at http://([\d.]+:\d+)", (folder / "up.log").read_text("utf-8"))
    assert found is not None
    return found[1]


def test_every_question_of_the_readme_has_an_answer(shop: tuple[Commands, Sandbox]) -> None:
    trunkline, _ = shop
    becomes(trunkline, "+14155550101", "dead")
    codes = {line: trunkline(*shlex.split(line)[1:], stdin="y\n").code for line in QUESTIONS}
    assert codes.pop("trunkline cancel --profile support --source import") in (0, 1)  # if the replayed one still waits
    assert codes.pop("trunkline profile secret support") == 1  # the profile does not register
    assert set(codes.values()) == {0}, codes


def test_the_readmes_program_enqueues(shop: tuple[Commands, Sandbox]) -> None:
    trunkline, _ = shop
    (program,) = blocks("python")
    subprocess.run([sys.executable, "-c", program], cwd=trunkline.folder, env=trunkline.env, check=True, timeout=60)
    told = trunkline("number", "+14155550100", "--json")
    assert "order-17" in told.json[0]["event_ids"]


def test_up_with_the_sandbox_needs_no_key_and_touches_nothing_real(tmp_path: Path) -> None:
    (tmp_path / "trunkline.toml").write_text(blocks("toml")[0], "utf-8")
    env = environment(TRUNKLINE_API_BASE_URL="http://127.0.0.1:9", TRUNKLINE_REDIS_URL="redis://127.0.0.1:9/0")
    (tmp_path / "numbers.csv").write_text("number,customer\n(415) 555-0101,Ann\n", "utf-8")
    with up(tmp_path, env, "--sandbox") as terminal, Commands(tmp_path, env) as trunkline:
        ran = [trunkline(*shlex.split(line)[1:], "--sandbox") for line in second_terminal()]
        assert [each.code for each in ran] == [0, 0, 0]
        for number in ("+14155550100", "+14155550101"):
            becomes(trunkline, number, "attached", "--sandbox")
        assert trunkline(*shlex.split(in_the_sandbox("enqueue"))[1:], "+14155550102").code == 0
        becomes(trunkline, "+14155550102", "attached", "--sandbox")
    assert terminal.returncode == 0
    assert [each.name for each in (tmp_path / ".trunkline").iterdir()] == ["sandbox"]


def test_dramatiqs_own_command_runs_the_same_worker(shop: tuple[Commands, Sandbox], tmp_path: Path) -> None:
    trunkline, _ = shop
    assert "dramatiq trunkline.app:main" in typed()
    config = tmp_path / "trunkline.toml"
    config.write_text((trunkline.folder / "trunkline.toml").read_text("utf-8"), "utf-8")
    env = trunkline.env | {"TRUNKLINE_CONFIG": str(config)}
    dramatiq = str(Path(TRUNKLINE).with_name("dramatiq"))
    with working(tmp_path / "log", env, dramatiq, "trunkline.app:main", "--processes", "1", "--threads", "2"):
        trunkline("enqueue", "--profile", "support", "+14155550177", TRUNKLINE_CONFIG=str(config))
        becomes(trunkline, "+14155550177", "attached", TRUNKLINE_CONFIG=str(config))


# What it names


def test_every_link_and_every_path_of_the_readme_exists() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    named = re.findall(r"`((?:worker|producers|tests|deploy|\.ci)(?:/[^` ]*)?)`", README)
    scripts = re.findall(r"python (\S+\.py)", README)
    assert targets
    for each in (*targets, *named, *scripts):
        assert each.startswith("https://") or (ROOT / each).exists(), each


def test_the_codes_of_dead_letters_are_all_told() -> None:
    assert [code for code in DeadCode if f"`{code}`" not in README] == []


# The configuration


def test_the_readmes_configuration_is_valid(shop: tuple[Commands, Sandbox]) -> None:
    ran = shop[0]("check")
    assert (ran.code, ran.err) == (0, "")
    assert "outbound to sip:trunk.provider.com" in ran.out


def test_the_example_configuration_passes_check(shop: tuple[Commands, Sandbox]) -> None:
    ran = shop[0]("check", "--config", str(ROOT / "deploy/trunkline.example.toml"))
    assert (ran.code, ran.err) == (0, "")


def test_the_example_configuration_says_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "example.toml").write_text(EXAMPLE, "utf-8")
    profile = EXAMPLE[EXAMPLE.index("[profiles.support]") :]
    (tmp_path / "least.toml").write_text(profile, "utf-8")
    example, least = (load(tmp_path / name, {"BLAND_API_KEY": KEY}) for name in ("example.toml", "least.toml"))
    for part in ("store", "accounts", "worker", "numbers", "profiles", "routes", "server"):
        assert getattr(example, part) == getattr(least, part), part


SETTINGS: tuple[type[BaseModel], ...] = (
    StoreSettings, Account, BatchRules, RetryRules, WorkerSettings, ServerSettings, NumberRules, When, Profile,
    Direction, Options, RegisterAuth, Headers, CustomHeader, UuiHeader,
)  # fmt: skip
NOT_WRITTEN = {"name", "service"}  # the table's own name; the only service there is


@pytest.mark.parametrize("model", SETTINGS, ids=lambda model: model.__name__)
def test_the_example_configuration_has_every_setting(model: type[BaseModel]) -> None:
    missing = [
        field
        for field in model.model_fields
        if field not in NOT_WRITTEN and not re.search(rf"(?:\b{field} =|\[\[?(?:\w+\.)*{field}\])", EXAMPLE)
    ]
    assert missing == []


def test_what_the_example_configuration_has_commented_out_is_valid_too(tmp_path: Path) -> None:
    said = re.sub(r"^# (?=[a-z_]+ = |\[|  \{|\]$)", "", EXAMPLE, flags=re.MULTILINE)
    said = re.sub(r"^(url|broker_url|options = \{ port).*\n", "", said, flags=re.MULTILINE)
    assert "\nheaders = [" in said
    assert "\n[[routes]]" in said
    (tmp_path / "all.toml").write_text(said.replace('profile = "uk"', 'profile = "support"'), "utf-8")
    env = {"BLAND_API_KEY": KEY, "PBX_PASSWORD": "12345678", "TRUNKLINE_SECRET_KEY": "QUFB" * 10 + "QUE="}
    env |= {"TRUNKLINE_TOKEN": "a-token", "TELNYX_API_KEY": "a-key", "SHOP_KEY": "a-key"}
    env["TELNYX_PUBLIC_KEY"] = b64encode(bytes(range(32))).decode()
    settings = load(tmp_path / "all.toml", env)
    sources, mistakes = read_sources(settings.sources, settings.server, need_secrets=True)
    assert (len(settings.routes), mistakes, list(sources)) == (1, [], ["telnyx", "shop"])
