"""`trunkline reconcile` as its user meets it: rehearsed, killed in the middle, run again, left alone, used wrongly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from acceptance.running import TRUNKLINE, Running, kill
from acceptance.worker_harness import Commands, environment, until
from support.carrier_standins import ACCOUNT, KEY, answer_json, bandwidth, query, telnyx, troubled, twilio, us_numbers
from support.http_servers import Reply, answering
from support.servers import Server
from support.store_audit import audit
from trunkline.lifecycle import State
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import Store, checkpoints
from trunkline.store.model import Batch, Settlement
from trunkline.store.queries import books, entries_of

NUMBERS = us_numbers(8)
CONFIGURATION = f"""
[store]
acknowledge = "memory"

[profiles.support]
[[profiles.support.directions]]
type = "inbound"

[server]
public_url = "https://hooks.example.com"

[sources.crm]
type = "generic"
number = "number"
verify = {{ scheme = "bearer" }}
keys = [{{ env = "CRM_TOKEN" }}]

[sources.telnyx]
type = "telnyx"
profile = "support"
public_keys = [{{ env = "TELNYX_PUBLIC_KEY" }}]
[sources.telnyx.api]
url = "URL"
key = {{ env = "CARRIER_KEY" }}
page_size = 3

[sources.numbers]
type = "twilio"
profile = "support"
keys = [{{ env = "CARRIER_KEY" }}]
[sources.numbers.api]
url = "URL"
audit_url = "URL"
account = "{ACCOUNT}"
key = {{ env = "CARRIER_KEY" }}

[sources.bandwidth]
type = "bandwidth"
profile = "support"
verify = {{ username = "bandwidth" }}
keys = [{{ env = "BANDWIDTH_CALLBACK_PASSWORD" }}]
[sources.bandwidth.api]
url = "URL"
account = "5000"
user = "client"
key = {{ env = "CARRIER_KEY" }}
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory, valkey: Server) -> Iterator[Commands]:
    env = environment(TRUNKLINE_REDIS_URL=valkey.url, CARRIER_KEY=KEY)
    with Commands(tmp_path_factory.mktemp("reconcile"), env) as commands:
        yield commands


@pytest.fixture
def store(valkey: Server) -> Iterator[Store]:
    with valkey.client() as client:
        client.flushdb()
        yield Store(client)


Configure = Callable[[str], None]


@pytest.fixture
def configure(commands: Commands) -> Configure:
    """Writes a configuration whose carriers are all at one address."""

    def write(url: str) -> None:
        (commands.folder / "trunkline.toml").write_text(CONFIGURATION.replace("URL", url))

    return write


def start(commands: Commands, *args: str) -> Running:
    env = commands.env | {"TRUNKLINE_CONFIG": str(commands.folder / "trunkline.toml")}
    return Running((*TRUNKLINE, "reconcile", *args), env)


def test_rehearsed_killed_in_the_middle_continued_and_run_again(
    commands: Commands, configure: Configure, store: Store
) -> None:
    whole, over = telnyx(NUMBERS), threading.Event()

    def stuck_at_page_3(path: str) -> Reply:
        if query(path)["page[number]"] == "3":
            over.wait(30)
        return whole(path)

    with answering(whole) as (url, _):
        configure(url)
        rehearsed = commands("reconcile", "--source", "telnyx", "--dry-run")
    assert (rehearsed.code, rehearsed.out.splitlines()[:-1]) == (0, NUMBERS)
    assert rehearsed.out.splitlines()[-1] == "telnyx: 8 numbers, 8 missing, 8 would be enqueued"
    assert "no key of the account default is at hand" in rehearsed.err
    assert store._client.keys() == ["{tl}:meta"], "nothing but the version of the data"

    with answering(stuck_at_page_3) as (url, seen):
        configure(url)
        process = start(commands, "--source", "telnyx")
        until(lambda: len(seen.requests) == 3, "the third page")
        kill(process.pid)
        process.close()
        over.set()
    assert books(store).totals["queued"] == 6

    with answering(whole) as (url, seen):
        configure(url)
        continued = commands("reconcile", "--source", "telnyx", "--json")
        assert len(seen.requests) == 1
        again = commands("reconcile", "--source", "telnyx", "--json")
    sums = {"listed": 2, "known": 0, "missing": 2, "enqueued": 2, "left": {}, "resumed": True}
    assert continued.json == {
        "source": "telnyx", "dry_run": False, "compared_with_api": False, **sums, "purchases": 0, "rejected": [],
    }  # fmt: skip
    assert again.json | {"left": {"queued": 8}} == again.json
    assert (again.json["listed"], again.json["missing"], again.json["enqueued"]) == (8, 0, 0)
    totals = books(store).totals
    assert (totals["accepted"], totals["queued"], totals["coalesced"]) == (8, 8, 0)
    assert audit(store) == []


def test_twilio_and_bandwidth_are_asked_likewise(commands: Commands, configure: Configure, store: Store) -> None:
    checkpoints.keep(store, "purchases", "numbers", "2026-11-22T00:00:00+00:00")
    with answering(twilio(NUMBERS[:4], bought=NUMBERS[:1])) as (url, _):
        configure(url)
        ran = commands("reconcile", "--source", "numbers", "--json")
    assert (ran.code, ran.json["purchases"], ran.json["enqueued"], ran.json["left"]) == (0, 1, 3, {"queued": 1})
    with answering(bandwidth(NUMBERS)) as (url, _):
        configure(url)
        ran = commands("reconcile", "--source", "bandwidth")
    assert ran.out == "bandwidth: 8 numbers, 4 missing, 4 enqueued; left alone: 4 queued\n"


def test_what_the_api_has_lost_is_read_back(commands: Commands, configure: Configure, store: Store) -> None:
    with answering(telnyx(NUMBERS[:1])) as (url, _), Sandbox(SandboxRules(api_key="org_1")) as api:
        configure(url)
        commands("reconcile", "--source", "telnyx")
        batch = until(lambda: _batch(store), "a batch")
        assert batch is not None
        assert store.settle(batch.id, Settlement(batch.fingerprint, attached=(NUMBERS[0],), healthy=True))
        env = {"BLAND_API_KEY": "org_1", "TRUNKLINE_API_BASE_URL": api.base_url}
        ran = commands("reconcile", "--source", "telnyx", "--json", **env)
        assert (ran.json["compared_with_api"], ran.json["enqueued"]) == (True, 1)
        assert ran.err == ""
        refused = commands("reconcile", "--source", "telnyx", "--json", **env | {"BLAND_API_KEY": "another"})
    assert refused.json["compared_with_api"] is False
    assert "gives no listing (it answers 401)" in refused.err
    assert [entry.state for entry in entries_of(store, NUMBERS[0])] == [State.queued]


def _batch(store: Store) -> Batch | None:
    found = store.claim(60_000)
    return found if isinstance(found, Batch) else None


def test_left_running_it_survives_a_carrier_that_is_away_and_ends_when_told(
    commands: Commands, configure: Configure, store: Store
) -> None:
    away: Reply = (503, {"Retry-After": "99999"}, b"")
    with answering(troubled(telnyx(NUMBERS), {1: away})) as (url, _):
        configure(url)
        process = start(commands, "--source", "telnyx", "--every", "1s")
        try:
            process.says("inventory_failed")
            process.signal(signal.SIGTERM)
            assert process.exit_code() == 0
            (failure,) = process.logged("inventory_failed")
            assert failure["source"] == "telnyx"
            assert "Telnyx answers 503 (3 numbers were done; the next run goes on from there)" in failure["error"]
            assert process.was_surprised() == []
        finally:
            process.close()
        process = start(commands, "--source", "telnyx", "--every", "1s")
        try:
            process.says("inventory_reconciled", times=2)
            process.signal(signal.SIGINT)
            assert process.exit_code() == 0
            first, second = process.logged("inventory_reconciled")[:2]
            assert (first["resumed"], first["enqueued"], second["resumed"], second["enqueued"]) == (True, 5, False, 0)
        finally:
            process.close()


def test_a_carrier_that_refuses_the_key_is_exit_code_1_and_no_key_is_shown(
    commands: Commands, configure: Configure, store: Store
) -> None:
    with answering(answer_json({"errors": [{"detail": f"{KEY} is wrong"}]}, 401)) as (url, _):
        configure(url)
        ran = commands("reconcile", "--source", "telnyx")
    assert ran.code == 1
    assert "telnyx: Telnyx answers 401: the key is not accepted" in ran.err
    assert KEY not in ran.out + ran.err


def test_a_refused_number_is_exit_code_1_and_told(commands: Commands, configure: Configure, store: Store) -> None:
    with answering(telnyx([*NUMBERS[:1], "+1"])) as (url, _):
        configure(url)
        ran = commands("reconcile", "--source", "telnyx", "--json")
    assert ran.code == 1
    assert ran.json["rejected"] == [
        {"number": "+1", "code": "invalid_number", "message": ran.json["rejected"][0]["message"]}
    ]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--source", "tlnyx"), 'did you mean "telnyx"?'),
        (("--source", "twilio"), '[sources.twilio.api]\naccount = "AC'),
        (("--source", "crm"), "its type must be telnyx, twilio, bandwidth"),
        (("--source", "telnyx", "--every", "soon"), "such as 90s, 15m or 2h"),
        (("--source", "telnyx", "--every", "0s"), "such as 90s, 15m or 2h"),
    ],
)
def test_wrong_use_is_exit_code_2_and_says_what_to_write(
    commands: Commands, configure: Configure, args: tuple[str, ...], words: str
) -> None:
    configure("http://127.0.0.1:9")
    ran = commands("reconcile", *args)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err


def test_mistakes_in_the_configuration_are_told_at_their_place(commands: Commands, configure: Configure) -> None:
    configure("http://carrier.example.com")
    ran = commands("reconcile", "--source", "telnyx", CARRIER_KEY="")
    assert (ran.code, ran.out) == (2, "")
    assert "sources.telnyx.api.url: is http, so the key would travel in clear" in ran.err


def test_what_it_says_to_write_is_a_configuration(commands: Commands, store: Store) -> None:
    file = commands.folder / "trunkline.toml"
    profile = '[profiles.support]\n[[profiles.support.directions]]\ntype = "inbound"\n'
    for carrier in ("telnyx", "twilio", "bandwidth"):
        file.write_text(profile)
        said = commands("reconcile", "--source", carrier).err.partition("; write\n")[2]
        file.write_text(profile + said.replace("PROFILE", "support"))
        ran = commands("reconcile", "--source", carrier)
        assert ran.code == 2
        assert ran.err.count("sources.") == 1
        assert f"sources.{carrier}.api.key: is empty (env:" in ran.err
