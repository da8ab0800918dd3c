"""The page about the store's server: its user does for all that trunkline does, and its TLS options work."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from acceptance.running import TRUNKLINE, Running
from acceptance.test_store_moves import WHERE
from acceptance.worker_harness import Commands, environment, until, working
from support.servers import HOST, require_redis, running
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store.rights import OF_DRAMATIQ, OF_STORE

PAGE = (Path(__file__).parents[2] / "docs" / "store-server.md").read_text("utf-8")
ACL = re.search(r"^ACL SETUSER trunkline .*$", PAGE, re.MULTILINE)
CONFIGURATION = """
[store]
url = {{ env = "STORE_URL" }}
[server]
drain_s = 0
[batch]
max_wait_s = 0.05
[profiles.support]
directions = [{{ type = "inbound" }}]
[sources.acme]
verify = {{ scheme = "none" }}
number = "phone"
event_id = "id"
profile = "support"
on_rejected = "accept"
"""

FILES = {"tls_cert_file": "ca.pem", "tls_key_file": "ca.key", "tls_ca_cert_file": "ca.pem"}


def words() -> list[str]:
    assert ACL is not None
    return ACL[0].replace(">PASSWORD", ">sesame").split()


def test_the_page_grants_what_is_tried_and_nothing_else() -> None:
    granted = {word[1:].upper() for word in words() if word.startswith("+")}
    wanted = {"SCRIPT|LOAD" if name == "SCRIPT" else name for name in {*OF_STORE, *OF_DRAMATIQ}}
    assert granted == wanted | {"@CONNECTION", "INFO", "CONFIG|GET"}


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_user_with_these_rights_does_for_everything(kind: str, tmp_path: Path) -> None:
    if kind == "redis":
        require_redis()
    (tmp_path / "data").mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(running(kind, tmp_path / "data", appendonly="yes", appendfsync="always"))
        admin = stack.enter_context(server.client())
        admin.execute_command(*words())
        sandbox = stack.enter_context(Sandbox(SandboxRules(latency_s=0, fail_rate=0)))
        config = tmp_path / "trunkline.toml"
        config.write_text(CONFIGURATION.format(), "utf-8")
        env = environment(
            TRUNKLINE_CONFIG=config, BLAND_API_KEY="sandbox-key", TRUNKLINE_API_BASE_URL=sandbox.base_url,
            TRUNKLINE_LOG="json", STORE_URL=f"redis://trunkline:sesame@{HOST}:{server.port}/0",
        )  # fmt: skip
        trunkline = stack.enter_context(Commands(tmp_path, env))
        assert trunkline("check", "--online").code == 0
        stack.enter_context(working(tmp_path / "worker.log", env))
        receiver = Running((*TRUNKLINE, "serve", "--port", "0"), env)
        stack.callback(receiver.close)
        receiver.says("receiver_started")
        walk(tmp_path, trunkline, receiver)
        assert admin.execute_command("ACL", "LOG") == []


@pytest.mark.parametrize("command", ["worker", "up --port 0", "serve --port 0", "check --online"])
def test_a_right_that_is_missing_ends_what_runs_with_a_sentence(command: str, tmp_path: Path) -> None:
    with running("valkey", tmp_path) as server, server.client() as admin:
        admin.execute_command(*words(), "-hincrby")
        config = tmp_path / "trunkline.toml"
        config.write_text(
            '[store]\nacknowledge = "memory"\n[accounts.default]\nkey = { env = "BLAND_API_KEY" }\n', "utf-8"
        )
        url = f"redis://trunkline:sesame@{HOST}:{server.port}/0"
        env = environment(TRUNKLINE_CONFIG=config, TRUNKLINE_REDIS_URL=url, BLAND_API_KEY="key")
        with Commands(tmp_path, env) as trunkline:
            ran = trunkline(*command.split())
        assert (ran.code, "grant it +hincrby" in ran.err) == (1, True), ran


def walk(folder: Path, trunkline: Commands, receiver: Running) -> None:
    """Takes numbers in, attaches them, and asks and does what commands can."""
    found = WHERE.search("\n".join(receiver.lines))
    assert found is not None
    with httpx.Client(base_url=found[1], trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        event = {"event_id": "evt_1", "numbers": ["+14155550100", "+14155550101"], "profile": "support"}
        assert client.post("/v1/events", json=event).status_code == 202
        assert client.post("/v1/events", json=event).json()["duplicate"] == 1
        assert client.post("/hooks/acme", json={"id": "a", "phone": "nonsense"}).status_code == 200

    def attached(number: str) -> bool:
        entries = trunkline("number", number, "--json").json
        return bool(entries and entries[0]["state"] == "attached")

    until(lambda: attached("+14155550101"), "an attached number")
    (folder / "numbers.csv").write_text("number\n+14155550102\n+14155550103\n", "utf-8")
    for line in (
        "pause default",
        "import numbers.csv --profile support",
        "enqueue --profile support --force +14155550100",
        "status --json",
        "cancel +14155550102 --yes",
        "resume default",
        "pause --profile support",
        "resume --profile support",
        "dead list --json",
        "rejected list --json",
        "rejected drop --all",
        "audit",
    ):
        ran = trunkline(*line.split())
        assert ran.code == 0, ran
    until(lambda: attached("+14155550103"), "an attached number")
    trunkline("dead", "replay", "--all")
    trunkline("dead", "drop", "--all")


@dataclass(frozen=True)
class Guarded:
    """A server that speaks TLS, and the authority that signed its certificate and a client's."""

    port: int
    folder: Path

    def url(self, *options: str) -> str:
        return f"rediss://{HOST}:{self.port}/0?{'&'.join(options)}"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    require_redis()
    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-addext", f"subjectAltName=IP:{HOST}")
    openssl(tmp_path, "req", "-x509", *key, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    port = str(free_port())
    tls = {name: str(tmp_path / file) for name, file in FILES.items()}
    with running("redis", tmp_path, tls_port=port, **tls):
        yield Guarded(int(port), tmp_path)


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def test_the_options_of_the_page_work_with_tls(guarded: Guarded, tmp_path: Path) -> None:
    ca = f"ssl_ca_certs={tmp_path / 'ca.pem'}"
    mine = f"ssl_certfile={tmp_path / 'ca.pem'}&ssl_keyfile={tmp_path / 'ca.key'}"
    config = tmp_path / "trunkline.toml"
    config.write_text('[store]\nacknowledge = "memory"\n[accounts]\n', "utf-8")
    with Commands(tmp_path, environment(TRUNKLINE_CONFIG=config)) as trunkline:
        for options, code in (((ca, mine), 0), ((mine, "ssl_cert_reqs=none"), 0), ((mine,), 1)):
            ran = trunkline("check", "--online", TRUNKLINE_REDIS_URL=guarded.url(*options))
            assert ran.code == code, ran
        assert "CERTIFICATE_VERIFY_FAILED" in ran.err
