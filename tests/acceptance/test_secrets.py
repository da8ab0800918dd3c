"""Marked secrets are planted everywhere, everything is run, and then no file and no output may hold one in any form."""

from __future__ import annotations

import base64
import html
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from acceptance.scenes import as_toml
from acceptance.worker_harness import TRUNKLINE, Commands, Ran, Worker, environment, until, working
from support.servers import Server, running
from trunkline.bland.attach import read_answer, request_body
from trunkline.bland.attach.envelope import read_envelope
from trunkline.bland.client import BlandApi, Exchange
from trunkline.bootstrap import open_store
from trunkline.config.settings import ConfigError, load
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store.embedded.server import EmbeddedServer
from trunkline.store.vault import Vault
from trunkline_producers.enqueue.enqueuer import Enqueuer

# Each has what escapes and encodings change: quotes, slashes, signs of URLs, letters beyond ASCII where they may be.
KEY = 'planted-key"A\\b/c+d=e&f<g>'
SIP_PASSWORD = 'planted-sip-ü"\\/&<pässword>+ %'
REGISTER_PASSWORD = 'planted-register-é"\\/&<password>'
TOKEN = 'planted-token"\\/+&='
STORE_PASSWORD = "planted-store@pw/1%#:"
SECRET_KEY = base64.b64encode(b"planted-vault-key-of-32-bytes-\xfb\xff").decode()
NUMBERS = [f"+1415555{index:04d}" for index in range(40)]
SAYING = f"login {SIP_PASSWORD} with Authorization: Bearer {KEY}, or {REGISTER_PASSWORD}"


def forms(secret: str) -> set[str]:
    """How a secret could show: as it is, escaped for JSON, URLs or HTML, in base64 or in hex."""
    octets = secret.encode()
    once = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    found = {secret, *once, *(json.dumps(each)[1:-1] for each in once), repr(secret)[1:-1]}
    found |= {each.replace("/", "\\/") for each in once}
    for quoted in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        found |= {quoted, quoted.lower(), quoted.upper()}
    found |= {html.escape(secret), html.escape(secret, quote=False), octets.hex(), octets.hex().upper()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # what a piece of base64 shows of it wherever it begins, less the characters its neighbours have a part in
            found.add(encode(b" " * shift + octets).decode().rstrip("=")[4 if shift else 0 : -4])
    return found


def said_in_every_form() -> str:
    """What a server that is careless in every way might say."""
    basic = base64.b64encode(f"bland:{SIP_PASSWORD}".encode()).decode()
    encoded = [quote(each, safe="") for each in (KEY, SIP_PASSWORD, REGISTER_PASSWORD)]
    twice = json.dumps(json.dumps({"password": SIP_PASSWORD, "key": KEY}))
    return f"{SAYING}; Basic {basic}; {' '.join(encoded)}; {twice}; {html.escape(SAYING)}"


def error(status: int, message: str, code: str = "STRANGE") -> dict[str, Any]:
    return {"status": status, "body": {"data": None, "errors": [{"error": code, "message": message}]}}


def item(number: str, reason: object, **more: object) -> dict[str, Any]:
    """An answer in which one number failed."""
    failed = {"phone_number": number, "reason": reason}
    return {"body": {"data": {"configured": [], "failed": [failed], **more}, "errors": None}}


# For each account what its API says, call after call; it has a profile of its own that sends one number a call.
ACCOUNTS: Mapping[str, list[dict[str, Any]]] = {
    "echo": [
        {"status": 400},  # with the request's own words
        error(422, said_in_every_form()),
        {"status": 200},
        item(NUMBERS[3], said_in_every_form()),
        item(NUMBERS[4], {"error": KEY, "message": json.dumps({"sip_password": SIP_PASSWORD})}),
        {"status": 500, "body": f"<html>{said_in_every_form()}</html>"},
        {"status": 404, "body": said_in_every_form()},
        {"status": 302, "headers": {"Location": f"https://planted.example/?key={quote(KEY)}"}, "body": "?"},
        error(400, "one of many", code=KEY),
    ],
    "gate": [error(401, f"the key {KEY} is no good: {said_in_every_form()}", "AUTH_FAILURE")] * 50,
    "alike": [error(422, said_in_every_form())] * 3,
    "pbx": [{"status": 200}, {"status": 400}, {"fault": "cut_after"}],
}


@dataclass
class Play:
    """What was run, and everything it said."""

    folder: Path
    env: dict[str, str]
    server: Server
    worker: Worker
    trunkline: Commands
    outputs: list[Ran] = field(default_factory=list)
    derived: str = ""

    def run(self, *args: str, code: int | tuple[int, ...] = (0, 1), **env: str) -> Ran:
        """A command; what it says is searched later."""
        ran = self.trunkline(*args, **env)
        assert ran.code in (code if isinstance(code, tuple) else (code,)), ran
        self.outputs.append(ran)
        return ran

    def states(self, profile: str) -> dict[str, int]:
        profiles = self.run("status", "--json", code=0).json["profiles"]
        found: dict[str, int] = next(each for each in profiles if each["profile"] == profile)
        return found

    def secrets(self) -> dict[str, str]:
        named = {
            "API key": KEY, "SIP password": SIP_PASSWORD, "register password": REGISTER_PASSWORD,
            "derived register password": self.derived, "server token": TOKEN, "store password": STORE_PASSWORD,
            "TRUNKLINE_SECRET_KEY": SECRET_KEY,
            "embedded server's password": (self.folder / "embedded/valkey/password").read_text().strip(),
        }  # fmt: skip
        assert all(len(secret) >= 12 for secret in named.values()), named
        return named


def configuration(sandboxes: Mapping[str, Sandbox], password_file: Path) -> str:
    """An account and a profile for each stand-in; every secret by its name."""
    sip = {"sip_username": "bland", "sip_password": {"env": "PLANTED_SIP_PASSWORD"}, "transport": "tls"}
    login = {"username": "pbx", "password": {"file": str(password_file)}}
    plain = [{"type": "inbound"}, {"type": "outbound", "sip_endpoint": "sip:pbx.example", "options": sip}]
    registering = [{"type": "inbound", "auth_mode": "register", "register_auth": login}]
    lines = ["[server]", 'token = { env = "PLANTED_TOKEN" }', "[worker]", "lease_s = 8.0", "[accounts]"]
    for name, sandbox in sandboxes.items():
        account = {
            "base_url": sandbox.base_url, "key": {"env": "PLANTED_KEY"}, "timeout_s": 5, "max_concurrency": 1,
            "requests_per_second": 200, "pause_initial_s": 2, "pause_max_s": 60,
        }  # fmt: skip
        lines.append(f"{name} = {as_toml(account)}")
    lines.append("[profiles]")
    for name in sandboxes:
        profile = {
            "account": name, "directions": registering if name == "pbx" else plain,
            "batch": {"max_size": 1, "max_wait_s": 0}, "retry": {"max_attempts": 1, "initial_s": 0.1, "max_s": 0.2},
        }  # fmt: skip
        lines.append(f"{name} = {as_toml(profile)}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """A worker under its supervisor, a store with a password, and stand-ins that say again what they were told."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "store").mkdir()
    (folder / "carriers").mkdir()
    password_file = folder / "carriers/register-password"
    password_file.write_text(REGISTER_PASSWORD + "\n", "utf-8")
    with ExitStack() as stack:
        options = {"appendonly": "yes", "appendfsync": "always", "requirepass": STORE_PASSWORD, "loglevel": "debug"}
        server = stack.enter_context(running("valkey", folder / "store", **options))
        rules = SandboxRules(api_key=KEY, latency_s=0, fail_rate=0, echo_400=True)
        sandboxes = {name: stack.enter_context(Sandbox(rules)) for name in ACCOUNTS}
        for name, sandbox in sandboxes.items():
            sandbox.script(ACCOUNTS[name])
        config = folder / "trunkline.toml"
        config.write_text(configuration(sandboxes, password_file), "utf-8")
        env = environment(
            TRUNKLINE_CONFIG=config,
            TRUNKLINE_REDIS_URL=f"redis://:{quote(STORE_PASSWORD, safe='')}@127.0.0.1:{server.port}/0",
            TRUNKLINE_SECRET_KEY=SECRET_KEY,
            PLANTED_KEY=KEY,
            PLANTED_SIP_PASSWORD=SIP_PASSWORD,
            PLANTED_TOKEN=TOKEN,
        )
        trunkline = stack.enter_context(Commands(folder / "carriers", env))
        worker = stack.enter_context(working(folder / "worker.log", env, TRUNKLINE, "worker"))
        yield run_everything(Play(folder, env, server, worker, trunkline))


def run_everything(play: Play) -> Play:
    """Numbers through every kind of answer, every command, mistakes of the configuration, a store that dies."""
    play.run("check", code=0)
    play.run("check", "--online", code=0)
    for index, name in enumerate(ACCOUNTS):
        wanted = NUMBERS[: len(ACCOUNTS["echo"])] if name == "echo" else NUMBERS[10 * index : 10 * index + 3]
        play.run("enqueue", "--profile", name, "--json", *wanted, code=0)
    play.run("enqueue", "--profile", "nobody", NUMBERS[0], code=1)
    (play.folder / "numbers.csv").write_text(f"number,profile\n{NUMBERS[39]},echo\nnonsense,echo\n", "utf-8")
    play.run("import", str(play.folder / "numbers.csv"), code=1)
    until(lambda: play.states("echo")["queued"] + play.states("echo")["attaching"] == 0, "the end of echo")
    until(lambda: play.states("alike")["paused"], "a paused profile")
    until(lambda: play.states("gate")["queued"] == 3, "a gated account")
    until(lambda: play.states("pbx")["queued"] + play.states("pbx")["attaching"] == 0, "the end of pbx")
    told = play.trunkline("profile", "secret", "pbx")
    assert told.code == 0, told
    play.derived = told.out.strip()
    play.outputs.append(Ran(told.args, told.code, "", told.err))
    ask_everything(play)
    make_mistakes(play)
    play.server.process.send_signal(signal.SIGKILL)
    for command in ("status", "check --online", f"enqueue --profile echo {NUMBERS[0]}", "profile secret pbx", "audit"):
        play.run(*command.split(), code=1)
    until(lambda: play.worker.logged("store_unavailable"), "a worker that misses its store")
    assert play.worker.stop() == 0
    embedded = {"TRUNKLINE_REDIS_URL": "", "TRUNKLINE_DATA_DIR": str(play.folder / "embedded")}
    play.run("enqueue", "--profile", "echo", NUMBERS[0], code=0, **embedded)
    play.run("status", code=0, **embedded)
    return play


def ask_everything(play: Play) -> None:
    for command in (
        "status", "status --json", "dead list", "dead list --json", "dead list --code rejected_by_api", "audit",
        "dead replay --all", "pause gate --reason maintenance", "status", "resume gate", "pause --profile echo",
        "resume --profile alike", "dead drop --all", "cancel --profile gate --yes", "status --json", "check",
    ):  # fmt: skip
        play.run(*command.split())
    for number in NUMBERS:
        play.run("number", number)
        play.run("number", number, "--json")


def make_mistakes(play: Play) -> None:
    """A secret in every place of a configuration where somebody may write it by mistake."""
    url = play.env["TRUNKLINE_REDIS_URL"]
    written: list[dict[str, dict[str, Any]]] = [
        {"store": {"url": url}},
        {"accounts": {"default": {"key": KEY}}},
        {"accounts": {"default": {"key": {"env": KEY}}}},
        {"accounts": {"default": {"base_url": f"https://user:{quote(KEY)}@planted.example"}}},
        {"accounts": {"default": {"base_url": f"https://planted.example?key={quote(KEY)}"}}},
        {"accounts": {"default": {"auth_scheme": f"Bearer {KEY}"}}},
        {"accounts": {"default": {"timeout_s": KEY}}},
        {"server": {"token": TOKEN}},
        {"profiles": {"p": {"directions": [{"type": "outbound", "sip_endpoint": "sip:a.example", "options": {
            "sip_username": "a", "sip_password": SIP_PASSWORD}}]}}},
        {"profiles": {"p": {"directions": [{"type": "inbound", "auth_mode": "register", "register_auth": {
            "username": "a", "password": REGISTER_PASSWORD}}]}}},
    ]  # fmt: skip
    bad = play.folder / "carriers/bad.toml"
    for tables in written:
        bad.write_text("\n".join(f"{name} = {as_toml(table)}" for name, table in tables.items()), "utf-8")
        play.run("check", "--config", str(bad), code=2, TRUNKLINE_REDIS_URL="")
        play.run("status", "--config", str(bad), code=(0, 2), TRUNKLINE_REDIS_URL="")
    bad.write_text(f"key = {KEY}\n", "utf-8")
    play.run("check", "--config", str(bad), code=2)
    play.run("check", code=2, TRUNKLINE_SECRET_KEY=SECRET_KEY[:-4])
    play.run("check", code=2, TRUNKLINE_REDIS_URL=url.replace("redis:", "planted:"))
    play.run("check", code=2, PLANTED_KEY="")
    play.run("profile", "secret", "pbx", code=1, TRUNKLINE_SECRET_KEY=base64.b64encode(b"o" * 32).decode())
    play.run("status", code=1, TRUNKLINE_REDIS_URL=url.replace("planted", "wrong"))
    worker = [sys.executable, "-m", "trunkline.app"]
    env = play.env | {"TRUNKLINE_REDIS_URL": url.replace("planted", "wrong")}
    ran = subprocess.run(worker, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode in (1, 2)
    play.outputs.append(Ran(("worker",), ran.returncode, ran.stdout, ran.stderr))


def held(text: str, secrets: Mapping[str, str]) -> list[str]:
    """Which secrets a text holds, in which form."""
    return [f"{name} as {form}" for name, secret in secrets.items() for form in forms(secret) if form in text]


def test_what_the_search_would_find_is_found() -> None:
    for form in (SAYING, said_in_every_form(), SAYING.encode().hex(), base64.b64encode(SAYING.encode()).decode()):
        assert len(held(form, {"key": KEY, "sip": SIP_PASSWORD, "register": REGISTER_PASSWORD})) >= 3


def test_every_kind_of_answer_was_had(play: Play) -> None:
    said = "\n".join(each.out for each in play.outputs)
    assert said.count("[secret]") > 20
    assert "rejected_by_api" in said
    assert "attempts_exhausted" in said
    assert "refused alike" in said
    assert "401 AUTH_FAILURE" in said


def test_no_output_of_a_command_holds_a_secret(play: Play) -> None:
    secrets = play.secrets()
    leaks = {" ".join(ran.args): found for ran in play.outputs if (found := held(ran.out + ran.err, secrets))}
    assert leaks == {}


def test_no_file_holds_a_secret_neither_the_stores_nor_a_log(play: Play) -> None:
    secrets = play.secrets()
    carriers = [play.folder / "carriers", *(play.folder / "embedded/valkey" / f for f in ("password", "valkey.conf"))]
    files = [
        file
        for file in play.folder.rglob("*")
        if file.is_file() and not any(file.is_relative_to(each) for each in carriers)
    ]
    assert sum(file.suffix == ".aof" for file in files) >= 2
    assert any(file.name == "worker.log" for file in files)
    leaks = {str(f): found for f in files if (found := held(f.read_bytes().decode("utf-8", "replace"), secrets))}
    assert leaks == {}


def test_the_files_that_must_hold_a_secret_are_their_owners_alone(play: Play) -> None:
    for name in ("password", "valkey.conf"):
        assert (play.folder / "embedded/valkey" / name).stat().st_mode & 0o077 == 0
    assert (play.folder / "embedded/valkey").stat().st_mode & 0o077 == 0


def test_no_repr_holds_a_secret(play: Play) -> None:
    secrets = play.secrets()
    settings = load(None, play.env | {"TRUNKLINE_CONFIG": str(play.folder / "trunkline.toml")})
    profile, login = settings.profiles["echo"], settings.profiles["pbx"]
    said = json.dumps({"data": {"failed": [SAYING], "register_password_for_pbx": play.derived}}).encode()
    embedded = EmbeddedServer(play.folder / "embedded")
    embedded.open()
    store = open_store(load(None, play.env | {"TRUNKLINE_REDIS_URL": embedded.url()}))
    shown = [
        settings, profile, login, *profile.directions, *login.directions, *settings.accounts.values(), settings.store,
        settings.server, BlandApi(settings.accounts["echo"]), Exchange(400, {"location": KEY}, said),
        read_envelope(said), embedded, embedded.client(), embedded.connection_pool(), store, store.store,
        store.store._client, store.broker_client.connection_pool, Vault(store.store, settings.secret_key),
        Enqueuer.from_settings(store.store, settings), SandboxRules(api_key=KEY),
    ]  # fmt: skip
    store.close()
    embedded.close()
    leaks = {type(each).__name__: found for each in shown if (found := held(f"{each!r} {each}", secrets))}
    assert leaks == {}
    assert held(repr(request_body(profile, NUMBERS[:1])), secrets)  # the one place where they are revealed


def test_no_error_of_the_configuration_holds_a_secret(play: Play) -> None:
    (play.folder / "carriers/inline.toml").write_text(f"[accounts.default]\nkey = {json.dumps(KEY)}\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(play.folder / "carriers/inline.toml", play.env)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.mistakes)
    assert held(told, play.secrets()) == []


def test_an_answer_that_repeats_its_own_register_password_keeps_nothing_of_it() -> None:
    body = json.dumps(item(NUMBERS[0], "use pbx-0123456789", register_password_for_pbx="pbx-0123456789")["body"])
    answer = read_answer(200, {}, body.encode(), NUMBERS[:1], scrub=str, now=datetime.now(UTC))
    assert "pbx-0123456789" not in repr(answer)


def test_no_process_shows_a_secret_on_its_command_line(play: Play) -> None:
    with EmbeddedServer(play.folder / "embedded") as embedded:
        assert embedded.pid is not None
        words = Path(f"/proc/{embedded.pid}/cmdline")
        if not words.exists():
            pytest.skip("no /proc here")
        assert held(words.read_text(), play.secrets()) == []


def test_a_traceback_in_a_librarys_log_is_scrubbed(play: Play) -> None:
    program = (
        "import logging, os\n"
        "from trunkline.cli.session import settings_of\n"
        "settings_of(None)\n"
        "try:\n"
        "    {}['no such key as ' + os.environ['PLANTED_KEY']]\n"
        "except KeyError as error:\n"
        "    logging.getLogger('dramatiq').exception('failed with %s', error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env=play.env, capture_output=True, text=True, check=True, timeout=60
    )
    assert "no such key as" in ran.stderr
    assert held(ran.stderr, play.secrets()) == []
    assert os.environ.get("PLANTED_KEY") is None
