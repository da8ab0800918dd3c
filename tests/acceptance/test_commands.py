"""Each command as its user meets it: what it prints, its exit code, its JSON, what it says when it is used wrongly."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import ANY
from urllib.parse import unquote, urlsplit

import pytest
import typer
from pydantic import SecretStr

from acceptance.scenes import Scene, Scenes, Stage, playing
from acceptance.terminal import at_a_terminal
from acceptance.worker_harness import PATIENCE_S, TRUNKLINE, Ran, environment, until
from support.servers import running
from trunkline import __version__
from trunkline.cli.main import app
from trunkline.config.example import example_text
from trunkline.lifecycle import State
from trunkline.store.scripts import SCHEMA
from trunkline.store.vault import Vault

scene = Scenes()
STATUS = {"store", "profiles", "accounts", "workers", "totals", "events", "calls", "balanced"}
WORKER = {"id", "host", "pid", "version", "threads", "busy", "configuration", "seen_at"}
TOTALS = {
    "accepted", "coalesced", "queued", "attaching", "attached", "dead", "dropped", "superseded", "archived",
}  # fmt: skip
NUMBER = {
    "number", "profile", "account", "state", "waiting_for", "in_doubt", "attempts", "queued_at", "updated_at",
    "next_attempt_at", "error", "event_ids", "source", "metadata",
}  # fmt: skip
DEAD = {"number", "profile", "code", "api_code", "message", "attempts", "dead_at", "event_ids", "answer"}
ENQUEUED = {"accepted", "coalesced", "duplicate", "rejected"}
PAUSED = {"reason", "since", "until", "by"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with playing(scene, tmp_path_factory.mktemp("commands")) as stage:
        yield stage


def commands() -> list[tuple[str, ...]]:
    """The words of every command there is."""

    def below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, each in group.commands.items():
            if hasattr(each, "commands"):
                yield from below(each, (*words, name))
            else:
                yield (*words, name)

    return list(below(typer.main.get_command(app), ()))


# Help and usage


PROMISED = (
    "demo", "init", "up", "worker", "sandbox", "enqueue", "import", "status", "number", "dead list", "dead replay",
    "dead drop", "cancel", "pause", "resume", "profile secret", "check", "serve", "reconcile", "rejected list",
    "rejected replay", "sources list", "sources test", "workers", "audit", "store migrate",
)  # fmt: skip
ANSWERS = (
    "demo", "init", "enqueue", "import", "status", "number", "dead list", "dead replay", "dead drop", "cancel", "audit",
    "rejected list", "rejected show", "rejected drop", "rejected replay", "sources list", "sources test", "reconcile",
    "workers", "store migrate", "pause", "resume", "check", "profile secret",
)  # fmt: skip
WITHOUT_CONFIGURATION = ("demo", "sandbox")
WITHOUT_STORE = (*WITHOUT_CONFIGURATION, "init")


def test_every_promised_command_is_there() -> None:
    assert {" ".join(words) for words in commands()} >= set(PROMISED)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(stage: Stage, words: tuple[str, ...]) -> None:
    helped = stage.trunkline(*words, "--help")
    assert (helped.code, helped.err) == (0, "")
    assert f"Example: trunkline {' '.join(words)}" in helped.out
    assert ("--config" in helped.out) == (words[0] not in WITHOUT_CONFIGURATION)
    assert ("--sandbox" in helped.out) == (words[0] not in WITHOUT_STORE)
    assert ("--json" in helped.out) == (" ".join(words) in ANSWERS)


def test_the_version_is_told(stage: Stage) -> None:
    told = stage.trunkline("--version")
    assert (told.code, told.out.split()[0]) == (0, "trunkline")


@pytest.mark.parametrize(
    "words",
    [
        "enlist", "status --jsn", "enqueue +14155550100", "enqueue --profile p", "import", "number", "dead replay",
        "dead drop", "cancel", "pause", "resume", "pause a --profile p", "profile secret",
        "rejected replay", "rejected drop", "serve --port 70000", "sources test", "reconcile",
        "worker --processes 0", "sandbox --fail-rate 2", "demo --numbers 0", "sandbox --rule nonsense=1",
    ],
)  # fmt: skip
def test_wrong_use_is_exit_code_2_with_a_sentence_and_an_empty_stdout(stage: Stage, words: str) -> None:
    ran = stage.trunkline(*words.split())
    assert (ran.code, ran.out) == (2, ""), ran
    assert ran.err.strip()


# init


def test_init_writes_a_configuration_that_is_in_order_and_says_what_comes_next(stage: Stage, tmp_path: Path) -> None:
    ran = stage.trunkline("init", cwd=tmp_path, TRUNKLINE_CONFIG="")
    assert ran.code == 0, ran
    assert ran.out.startswith("trunkline.toml is written")
    assert "trunkline up" in ran.out
    first, _, rest = (tmp_path / "trunkline.toml").read_text("utf-8").partition("\n")
    assert rest == example_text()
    schema = Path(unquote(urlsplit(first.removeprefix("#:schema ")).path))
    assert json.loads(schema.read_text("utf-8"))["title"] == "trunkline.toml"
    checked = stage.trunkline("check", cwd=tmp_path, TRUNKLINE_CONFIG="", BLAND_API_KEY="key")
    assert checked.code == 0, checked


def test_init_answers_with_json_and_writes_where_it_is_told(stage: Stage, tmp_path: Path) -> None:
    ran = stage.trunkline("init", "--json", cwd=tmp_path, TRUNKLINE_CONFIG=str(tmp_path / "by-environment.toml"))
    assert ran.json["file"] == str(tmp_path / "by-environment.toml")
    assert Path(ran.json["file"]).read_text("utf-8").startswith(f"#:schema {ran.json['schema']}\n")
    assert "trunkline up" in ran.json["next"]
    named = stage.trunkline("init", "--config", "named.toml", cwd=tmp_path)
    assert named.code == 0
    assert (tmp_path / "named.toml").is_file()


def test_init_leaves_what_is_there(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "trunkline.toml").write_text("# mine\n", "utf-8")
    ran = stage.trunkline("init", cwd=tmp_path, TRUNKLINE_CONFIG="")
    assert (ran.code, ran.out) == (1, "")
    assert "is there already" in ran.err
    assert (tmp_path / "trunkline.toml").read_text("utf-8") == "# mine\n"
    nowhere = stage.trunkline("init", "--config", "no/such/folder.toml", cwd=tmp_path)
    assert nowhere.code == 1
    assert "can't be written: No such file or directory" in nowhere.err


# enqueue


ENQUEUE = scene(count=6, enqueued="")


def enqueue(stage: Stage, scene: Scene, letters: str, *options: str) -> Ran:
    return stage.trunkline("enqueue", "--profile", scene.name, *options, *scene.named(letters))


def test_enqueue_takes_numbers_and_answers_with_the_promised_document(stage: Stage) -> None:
    ran = enqueue(stage, ENQUEUE, "ab", "--json", "--event-id", "order-1")
    assert (ran.code, ran.json) == (0, {"accepted": 2, "coalesced": 0, "duplicate": 0, "rejected": []})
    again = enqueue(stage, ENQUEUE, "ab", "--json", "--event-id", "order-1")
    assert (again.code, again.json) == (0, {"accepted": 0, "coalesced": 0, "duplicate": 1, "rejected": []})
    elsewhere = enqueue(stage, ENQUEUE, "a", "--json", "--event-id", "order-1", "--source", "crm")
    assert elsewhere.json == {"accepted": 1, "coalesced": 1, "duplicate": 0, "rejected": []}


def test_enqueue_tells_people_what_was_taken(stage: Stage) -> None:
    assert enqueue(stage, ENQUEUE, "cd").out == "2 accepted\n"
    assert "seen before" in enqueue(stage, ENQUEUE, "a", "--event-id", "order-1").out


def test_a_refused_number_is_exit_code_1_and_the_rest_goes_in(stage: Stage) -> None:
    ran = stage.trunkline("enqueue", "--json", "--profile", ENQUEUE.name, "12", *ENQUEUE.named("e"))
    assert (ran.code, ran.json["accepted"]) == (1, 1)
    assert [set(each) for each in ran.json["rejected"]] == [{"number", "code", "message"}]
    assert (ran.json["rejected"][0]["number"], ran.json["rejected"][0]["code"]) == ("12", "invalid_number")
    assert "12: " in stage.trunkline("enqueue", "--profile", ENQUEUE.name, "12").err


def test_a_profile_that_is_not_there_is_refused_with_the_ones_that_are(stage: Stage) -> None:
    ran = stage.trunkline("enqueue", "--json", "--profile", "scene-O", *ENQUEUE.named("a"))
    assert (ran.code, ran.json["rejected"][0]["code"]) == (1, "unknown_profile")
    assert "did you mean" in ran.json["rejected"][0]["message"]


@pytest.mark.parametrize("option", [("--source", "two words"), ("--event-id", "x" * 201)])
def test_an_event_that_is_none_is_refused_with_its_place(stage: Stage, option: tuple[str, str]) -> None:
    ran = enqueue(stage, ENQUEUE, "a", *option)
    assert ran.code == 1
    assert option[0].strip("-").replace("-", "_") in ran.err


# profile secret


PBX = scene(enqueued="")


def test_profile_secret_prints_the_last_password_or_all_with_what_they_were_said_to(stage: Stage) -> None:
    vault = Vault(stage.store, stage.settings.secret_key)
    for at_ms, said, numbers in ((1_000, "pbx-first", list(PBX.numbers)), (2_000, "pbx-last", [])):
        sealed = vault.seal(PBX.name, SecretStr(said))
        kept = {"at": at_ms, "sealed": sealed.text, "batch": "1-a", "numbers": numbers}
        stage.store._client.hset(f"{{tl}}:secret:{PBX.name}", sealed.field, json.dumps(kept))
    last = stage.trunkline("profile", "secret", PBX.name)
    assert (last.code, last.out) == (0, "pbx-last\n")
    assert "an earlier one is of 1970-01-01T00:00:01.000Z; --all" in last.err
    document = stage.trunkline("profile", "secret", PBX.name, "--json").json
    assert (document["lost_at"], [each["password"] for each in document["passwords"]]) == (None, ["pbx-last"])
    every = stage.trunkline("profile", "secret", PBX.name, "--all")
    assert every.out.splitlines() == [
        f"pbx-first  1970-01-01T00:00:01.000Z  1 number: {PBX.numbers[0]}",
        "pbx-last  1970-01-01T00:00:02.000Z  its numbers were not noted",
    ]


# import


IMPORT_CSV = scene(count=4, enqueued="")
IMPORT_JSON = scene(count=4, enqueued="")
IMPORT_STDIN = scene(count=2, enqueued="")


def test_import_of_csv_reports_bad_rows_by_line_and_takes_the_rest(stage: Stage, tmp_path: Path) -> None:
    a, b, c, _ = IMPORT_CSV.numbers
    file = tmp_path / "numbers.csv"
    file.write_text(f"customer,number\nAnn,{a}\nBob,not a number\nCid,{b}\nDee,\nEve,{c}\n", "utf-8")
    ran = stage.trunkline("import", str(file), "--profile", IMPORT_CSV.name)
    assert (ran.code, ran.out) == (1, "3 accepted, 2 refused\n")
    store, *refused = ran.err.splitlines()
    assert store == f"store: server at {stage.url}"
    assert [line[:7] for line in refused] == ["line 3:", "line 5:"]
    entry = stage.entry(IMPORT_CSV)
    assert (json.loads(entry.metadata), entry.source) == ({"customer": "Ann"}, "import")


def test_import_twice_enqueues_nothing_twice_unless_it_is_forced(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text("phone\n" + "\n".join(IMPORT_CSV.numbers) + "\n", "utf-8")
    words = ("import", str(file), "--profile", IMPORT_CSV.name, "--number-column", "phone", "--json")
    first, second, forced = stage.trunkline(*words), stage.trunkline(*words), stage.trunkline(*words, "--force")
    assert [ran.code for ran in (first, second, forced)] == [0, 0, 0]
    counts = [(ran.json["accepted"], ran.json["duplicate"]) for ran in (first, second, forced)]
    assert counts == [(4, 0), (0, 4), (4, 0)]
    assert set(first.json) == ENQUEUED


def test_import_of_json_lines_takes_native_events(stage: Stage, tmp_path: Path) -> None:
    a, b, *_ = IMPORT_JSON.numbers
    file = tmp_path / "numbers.jsonl"
    native = {"number": a, "profile": IMPORT_JSON.name, "event_id": "j1", "plan": "gold"}
    rows = [native, {"number": b}, {"number": "1"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n", "utf-8")
    ran = stage.trunkline("import", str(file), "--profile", IMPORT_JSON.name, "--json")
    assert (ran.code, ran.json["accepted"]) == (1, 2)
    assert [(each["line"], each["code"]) for each in ran.json["rejected"]] == [
        (3, "invalid_number"),
        (4, "invalid_event"),
    ]
    assert json.loads(stage.entry(IMPORT_JSON).metadata) == {"plan": "gold"}


def test_import_reads_stdin(stage: Stage) -> None:
    rows = "number\n" + "\n".join(IMPORT_STDIN.numbers) + "\n"
    ran = stage.trunkline("import", "-", "--profile", IMPORT_STDIN.name, stdin=rows)
    assert (ran.code, ran.out) == (0, "2 accepted\n")


def test_a_file_that_is_not_there_or_none_at_all_is_a_sentence(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "numbers.xlsx").write_bytes(b"PK\x03\x04....")
    (tmp_path / "nothing.csv").write_text("name\nAnn\n", "utf-8")
    for name in ("missing.csv", "numbers.xlsx", "nothing.csv"):
        ran = stage.trunkline("import", str(tmp_path / name), "--profile", IMPORT_CSV.name)
        assert (ran.code, ran.out) == (1, "")
        assert name in ran.err


# status, number


SEEN = scene({"status": 503}, count=2, enqueued="")


def test_status_answers_with_the_promised_document(stage: Stage) -> None:
    status = stage.trunkline("status", "--json")
    assert status.code == 0
    assert set(status.json) == STATUS
    assert {frozenset(each) for each in status.json["profiles"]} == {
        frozenset(
            {"profile", "account", "queued", "attaching", "attached", "dead", "paused", "carried", "oldest_waiting_at"}
        )
    }
    assert {frozenset(each) for each in status.json["workers"]} == {frozenset(WORKER)}
    assert {frozenset(each) for each in status.json["accounts"]} == {frozenset({"account", "paused", "retry_at"})}
    assert set(status.json["totals"]) == TOTALS
    assert set(status.json["events"]) == {"accepted", "duplicate", "rejected"}
    assert set(status.json["calls"]) == {"attach", "numbers"}
    assert status.json["balanced"] is True
    assert status.json["store"] == {"kind": "server", "at": stage.url, "schema": SCHEMA, "clock_stepped": None}
    assert "the books balance" in stage.trunkline("status").out


def test_the_workers_that_live_are_listed_a_line_each(stage: Stage) -> None:
    told = stage.trunkline("workers", "--json")
    assert told.code == 0
    assert [set(each) for each in told.json] == [WORKER]
    (worker,) = told.json
    assert (worker["threads"], worker["version"]) == (stage.settings.worker.threads, __version__)
    (line,) = [each for each in stage.trunkline("workers").out.splitlines() if worker["configuration"] in each]
    assert line.split()[:3] == [worker["host"], str(worker["pid"]), __version__]


def test_where_no_worker_lives_the_commands_say_so(stage: Stage, tmp_path: Path) -> None:
    config = tmp_path / "trunkline.toml"
    config.write_text("[profiles.support]\ndirections = [{ type = 'inbound' }]\n", "utf-8")
    words = {"TRUNKLINE_REDIS_URL": f"{stage.url.rpartition('/')[0]}/8", "TRUNKLINE_CONFIG": str(config)}
    assert stage.trunkline("enqueue", "--profile", "support", "+14155550100", **words).code == 0
    idle = stage.trunkline("workers", **words)
    assert (idle.code, idle.out) == (0, "no worker lives; `trunkline up` or `trunkline worker` starts one\n")
    assert stage.trunkline("workers", "--json", **words).json == []
    assert "profile support waits: no worker lives" in stage.trunkline("status", **words).out
    assert "no worker lives" in stage.trunkline("number", "+14155550100", **words).out
    status = stage.trunkline("status", "--json", **words).json
    assert [(each["carried"], bool(each["oldest_waiting_at"])) for each in status["profiles"]] == [(False, True)]


def test_status_watch_shows_what_changes_until_ctrl_c(stage: Stage, tmp_path: Path) -> None:
    config = tmp_path / "trunkline.toml"
    config.write_text("[profiles.watched]\ndirections = [{ type = 'inbound' }]\n", "utf-8")
    words = {"TRUNKLINE_REDIS_URL": f"{stage.url.rpartition('/')[0]}/7", "TRUNKLINE_CONFIG": str(config)}
    assert stage.trunkline("enqueue", "--profile", "watched", "+14155550100", **words).code == 0
    with at_a_terminal([TRUNKLINE, "status", "--watch"], stage.env | words | {"COLUMNS": "160"}) as watching:
        watching.until("the books balance")
        assert "778" not in watching.shown
        numbers = [f"+1415555{each:04}" for each in range(200, 977)]
        assert stage.trunkline("enqueue", "--profile", "watched", *numbers, **words).code == 0
        watching.until("778")
        watching.process.send_signal(signal.SIGINT)
        assert watching.process.wait(PATIENCE_S) == 0
    assert "Traceback" not in watching.shown


def test_number_tells_everything_known_of_a_number_however_it_is_written(stage: Stage) -> None:
    enqueue(stage, SEEN, "ab", "--event-id", "seen-1")
    stage.ends(SEEN, attached="ab")
    number = SEEN.numbers[0]
    for written in (number, number[2:], f"({number[2:5]}) {number[5:8]}-{number[8:]}", number.replace("+", "00")):
        told = stage.trunkline("number", written, "--json")
        assert told.code == 0, told
        assert [set(each) for each in told.json] == [NUMBER]
    entry = told.json[0]
    assert (entry["number"], entry["profile"], entry["state"]) == (number, SEEN.name, "attached")
    assert (entry["event_ids"], entry["source"], entry["metadata"]) == (["seen-1"], "cli", {})
    assert entry["queued_at"].endswith("Z")
    assert entry["updated_at"] >= entry["queued_at"]
    shown = stage.trunkline("number", number)
    assert (shown.code, "attached" in shown.out) == (0, True)


def test_a_number_nobody_knows_is_an_empty_list_and_exit_code_1(stage: Stage) -> None:
    unknown = stage.trunkline("number", "+14155559999", "--json")
    assert (unknown.code, unknown.json) == (1, [])
    assert "nothing is known" in stage.trunkline("number", "+14155559999").err
    nonsense = stage.trunkline("number", "no number at all", "--json")
    assert (nonsense.code, nonsense.out) == (1, "")


# dead letters


def _refusing_four(n: Sequence[str]) -> list[dict[str, Any]]:
    said = ["NUMBER_NOT_OWNED", "BLACKLISTED", "NUMBER_NOT_OWNED", "MOON_IN_THE_WRONG_HOUSE"]
    failed = [{"phone_number": number, "code": code} for number, code in zip(n, said, strict=False)]
    owned = {"failed": {n[0]: "not owned"}}
    return [{"commit": True, "body": {"data": {"configured": [n[4]], "failed": failed}}}, owned]


DEAD_LETTERS = scene(script=_refusing_four, count=5, retry={"max_attempts": 1})


def test_dead_letters_are_listed_replayed_and_dropped(stage: Stage) -> None:
    stage.ends(DEAD_LETTERS, attached="e", dead="abcd")
    letters = listed(stage, "--profile", DEAD_LETTERS.name)
    assert letters == "abcd"
    assert listed(stage, "--profile", DEAD_LETTERS.name, "--code", "rejected_by_api") == "abc"
    assert listed(stage, "--profile", DEAD_LETTERS.name, "--code", "NUMBER_NOT_OWNED") == "ac"
    assert listed(stage, "--code", "attempts_exhausted") == "d"
    shown = stage.trunkline("dead", "list", "--profile", DEAD_LETTERS.name)
    assert (shown.code, "BLACKLISTED" in shown.out) == (0, True)
    assert "next cursor" not in shown.err
    dead_letters_are_listed_page_by_page(stage)

    replayed = stage.trunkline("dead", "replay", DEAD_LETTERS.numbers[0], "--json")
    assert (replayed.code, replayed.json) == (0, {"replayed": 1})
    stage.ends(DEAD_LETTERS, attached="e", dead="abcd")
    by_code = stage.trunkline("dead", "replay", "--code", "rejected_by_api", "--profile", DEAD_LETTERS.name)
    assert (by_code.code, by_code.out) == (0, "3 replayed\n")
    stage.ends(DEAD_LETTERS, attached="abce", dead="d")
    dropped = stage.trunkline("dead", "drop", "--profile", DEAD_LETTERS.name, "--json")
    assert (dropped.code, dropped.json) == (0, {"dropped": 1, "given_back": 0})
    assert stage.entry(DEAD_LETTERS, "d").state is State.dropped
    assert stage.trunkline("dead", "replay", DEAD_LETTERS.numbers[3]).code == 1
    assert "no dead letters" in stage.trunkline("dead", "list", "--profile", DEAD_LETTERS.name).out


def dead_letters_are_listed_page_by_page(stage: Stage) -> None:
    """Three, then the last, as JSON and for people; stderr has the cursor while there is more."""
    words = ("dead", "list", "--profile", DEAD_LETTERS.name, "--limit", "3")
    first = stage.trunkline(*words, "--json")
    assert first.err.startswith("next cursor: ")
    cursor = first.err.split()[-1]
    rest = stage.trunkline(*words, "--json", "--cursor", cursor)
    assert rest.err == ""
    assert DEAD_LETTERS.word([each["number"] for each in [*first.json, *rest.json]]) == "abcd"
    shown = stage.trunkline(*words)
    assert (shown.out.count("+1415"), shown.err.splitlines()[-1]) == (3, f"next cursor: {cursor}")
    wrong = stage.trunkline(*words, "--cursor", "nowhere")
    assert (wrong.code, wrong.out) == (2, "")
    assert "'nowhere' is no cursor" in wrong.err


def listed(stage: Stage, *options: str) -> str:
    """The letters of the dead letters that `dead list` shows, every one with the promised keys."""
    ran = stage.trunkline("dead", "list", "--json", *options)
    assert ran.code == 0
    assert all(set(each) == DEAD for each in ran.json)
    return DEAD_LETTERS.word([each["number"] for each in ran.json])


# pause, resume, cancel


PAUSED_ACCOUNT = scene(count=1, enqueued="")
PAUSED_PROFILE = scene(count=1, enqueued="")
CANCEL = scene(count=6, enqueued="")


def test_a_paused_account_waits_visibly_until_it_is_resumed(stage: Stage) -> None:
    name = PAUSED_ACCOUNT.name
    assert stage.trunkline("pause", name, "--reason", "the PBX moves").out == f"account {name} paused\n"
    enqueue(stage, PAUSED_ACCOUNT, "a")
    account = next(e for e in stage.trunkline("status", "--json").json["accounts"] if e["account"] == name)
    assert set(account["paused"]) == PAUSED
    assert (account["paused"]["reason"], account["paused"]["by"]) == ("the PBX moves", "operator")
    assert account["paused"]["until"] is None
    assert "the PBX moves" in stage.trunkline("status").out
    (waits,) = stage.trunkline("number", PAUSED_ACCOUNT.numbers[0], "--json").json
    assert waits["account"] == name
    assert waits["waiting_for"].startswith(f"the account {name} is paused by an operator: the PBX moves")
    assert stage.entry(PAUSED_ACCOUNT).state is State.queued
    assert stage.trunkline("resume", name).code == 0
    stage.ends(PAUSED_ACCOUNT, attached="a")


def test_a_paused_profile_waits_visibly_until_it_is_resumed(stage: Stage) -> None:
    name = PAUSED_PROFILE.name
    assert stage.trunkline("pause", "--profile", name).code == 0
    enqueue(stage, PAUSED_PROFILE, "a")
    profile = next(e for e in stage.trunkline("status", "--json").json["profiles"] if e["profile"] == name)
    assert profile["paused"]["by"] == "operator"
    assert stage.trunkline("resume", "--profile", name).code == 0
    stage.ends(PAUSED_PROFILE, attached="a")


@pytest.mark.parametrize("words", ["nobody", "--profile nobody"])
@pytest.mark.parametrize("command", ["pause", "resume"])
def test_what_is_not_there_cannot_be_paused(stage: Stage, command: str, words: str) -> None:
    ran = stage.trunkline(command, *words.split())
    assert (ran.code, ran.out) == (1, "")
    assert "there is no" in ran.err


def test_a_pause_answers_with_what_is_paused(stage: Stage) -> None:
    name = PAUSED_PROFILE.name
    for command, done in (("pause", "paused"), ("resume", "resumed")):
        assert stage.trunkline(command, "--profile", name, "--json").json == {"profile": name, "done": done}
        assert stage.trunkline(command, name, "--json").json == {"account": name, "done": done}


@pytest.mark.parametrize(
    ("command", "code"),
    [("dead list", 0), ("dead replay", 1), ("dead drop", 1), ("cancel --yes", 1), ("pause", 1), ("resume", 1)],
)
def test_a_misspelt_profile_is_guessed_at(stage: Stage, command: str, code: int) -> None:
    ran = stage.trunkline(*command.split(), "--profile", "scene-O")
    assert (ran.code, 'did you mean "scene-' in ran.err) == (code, True)


@pytest.mark.parametrize("command", ["rejected list", "rejected drop", "rejected replay", "cancel --yes"])
def test_a_misspelt_source_is_guessed_at(stage: Stage, command: str) -> None:
    assert 'did you mean "import"?' in stage.trunkline(*command.split(), "--source", "imprt").err


def test_cancel_asks_first_and_takes_out_what_waits(stage: Stage) -> None:
    stage.trunkline("pause", CANCEL.name)
    enqueue(stage, CANCEL, "abc", "--source", "wrong")
    enqueue(stage, CANCEL, "def", "--source", "right")
    words = ("cancel", "--profile", CANCEL.name, "--source", "wrong")
    for answer in ("n\n", ""):
        refused = stage.trunkline(*words, stdin=answer)
        assert (refused.code, "3 waiting numbers" in refused.err) == (1, True)
    assert stage.trunkline(*words, stdin="y\n").out.endswith("3 cancelled\n")
    alone = stage.trunkline("cancel", CANCEL.numbers[3], "--yes", "--json")
    assert (alone.code, alone.json) == (0, {"cancelled": 1, "under_way": 0, "in_doubt": 0, "given_back": 0})
    assert stage.trunkline(*words, "--yes").code == 1
    states = [each.state for each in stage.entries(CANCEL)]
    assert states == [State.dropped] * 4 + [State.queued] * 2
    stage.trunkline("resume", CANCEL.name)
    until(lambda: stage.sent(CANCEL) == ["ef"], "a call without the cancelled numbers")


# check and the configuration


BAD = """
[stor]
[accounts.default]
key = "sk-1"
timeout_s = 50
[retry]
max_attempts = 0
[profiles.support]
acount = "default"
[[profiles.support.directions]]
type = "sideways"
"""


def test_check_prints_what_it_understood_and_hides_secrets(stage: Stage) -> None:
    ran = stage.trunkline("check")
    assert ran.code == 0
    assert f"profile {ENQUEUE.name}" in ran.out
    assert "key from env:BLAND_API_KEY" in ran.out
    assert "sandbox-key" not in ran.out
    document = stage.trunkline("check", "--json").json
    assert {"name": "store", "value": ANY} in document["understood"]
    assert (document["store"], document["accounts"]) == (None, [])
    assert "sandbox-key" not in str(document)


def test_check_online_tries_the_store_and_each_key(stage: Stage, tmp_path: Path) -> None:
    config = tmp_path / "trunkline.toml"
    config.write_text(
        f'[store]\nurl = "{stage.url}"\n[accounts.default]\nbase_url = "{stage.sandbox(ENQUEUE).base_url}"\n'
    )
    fine = stage.trunkline("check", "--online", "--config", str(config))
    assert (fine.code, "GET /v1/me answers 200" in fine.out) == (0, True)
    wrong = stage.trunkline("check", "--online", "--config", str(config), BLAND_API_KEY="wrong")
    assert (wrong.code, "GET /v1/me answers 401" in wrong.out) == (1, True)
    words = ("check", "--online", "--json", "--config", str(config))
    for key, ok in (("sandbox-key", True), ("wrong", False)):
        told = stage.trunkline(*words, BLAND_API_KEY=key)
        assert (told.code, [each["ok"] for each in told.json["accounts"]]) == (int(not ok), [ok])
        assert told.json["warnings"] == ["no profile is configured, so nothing can be attached"]


@pytest.mark.parametrize("command", ["check", "status", "worker", "up", "enqueue --profile p +14155550100", "audit"])
def test_every_mistake_of_a_configuration_is_listed_with_its_place(stage: Stage, tmp_path: Path, command: str) -> None:
    (tmp_path / "bad.toml").write_text(BAD, "utf-8")
    ran = stage.trunkline(*command.split(), "--config", str(tmp_path / "bad.toml"))
    assert (ran.code, ran.out) == (2, "")
    for place in (
        "stor", "accounts.default.key", "accounts.default.timeout_s", "retry.max_attempts", "profiles.support.acount",
        "profiles.support.directions[0].type",
    ):  # fmt: skip
        assert f"\n  {place}" in ran.err, ran.err
    assert "sk-1" not in ran.err


def test_a_file_that_is_not_there_or_not_toml_is_exit_code_2(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[accounts\n", "utf-8")
    assert "line 1" in failing(stage, "check", "--config", str(tmp_path / "broken.toml"))
    assert "missing.toml" in failing(stage, "check", "--config", str(tmp_path / "missing.toml"))
    assert "elsewhere.toml" in failing(stage, "status", TRUNKLINE_CONFIG=str(tmp_path / "elsewhere.toml"))


def failing(stage: Stage, *words: str, **env: str) -> str:
    ran = stage.trunkline(*words, **env)
    assert (ran.code, ran.out) == (2, "")
    return ran.err


def test_the_configuration_is_found_in_the_folder_one_is_in(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "trunkline.toml").write_text("[profiles.here]\ndirections = [{ type = 'inbound' }]\n", "utf-8")
    ran = stage.trunkline("check", cwd=tmp_path, TRUNKLINE_CONFIG="")
    assert (ran.code, "profile here" in ran.out) == (0, True)


def test_who_only_asks_needs_no_api_key_and_a_worker_does(stage: Stage) -> None:
    for words in ("status --json", "dead list --json", f"number {SEEN.numbers[0]} --json", "audit --json"):
        ran = stage.trunkline(*words.split(), BLAND_API_KEY="", SIP_PASSWORD="", TRUNKLINE_SECRET_KEY="")
        assert ran.code == 0, ran
        assert ran.json is not None
    for words in ("check", "worker"):
        assert "BLAND_API_KEY is not set" in failing(stage, words, BLAND_API_KEY="")


def test_audit_finds_everything_where_it_belongs(stage: Stage) -> None:
    ran = stage.trunkline("audit", "--json")
    assert (ran.code, ran.json) == (0, {"wrong": [], "undecided": []})


@pytest.mark.parametrize("profile", [ENQUEUE.name, "nobody"])
def test_no_password_is_printed_for_a_profile_that_was_given_none(stage: Stage, profile: str) -> None:
    ran = stage.trunkline("profile", "secret", profile)
    assert (ran.code, ran.out) == (1, "")
    assert "no register password" in ran.err


# The store


def test_a_store_that_is_away_is_a_sentence(stage: Stage) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"
        ran = stage.trunkline("status", "--json", TRUNKLINE_REDIS_URL=url)
    assert (ran.code, ran.out) == (1, "")
    assert "does not answer" in ran.err


def test_a_server_that_would_lose_numbers_is_refused_with_what_to_set(stage: Stage, tmp_path: Path) -> None:
    with running("valkey", tmp_path, maxmemory="100mb", maxmemory_policy="allkeys-lru") as evicting:
        ran = stage.trunkline("status", TRUNKLINE_REDIS_URL=evicting.url)
        assert (ran.code, "maxmemory-policy noeviction" in ran.err) == (1, True)
    with running("valkey", tmp_path) as forgetful:
        ran = stage.trunkline("status", TRUNKLINE_REDIS_URL=forgetful.url)
        assert (ran.code, "appendonly yes" in ran.err) == (1, True)


# Long-running ones


def test_the_sandbox_says_where_it_is_and_ends_with_ctrl_c() -> None:
    command = [TRUNKLINE, "sandbox", "--port", "0", "--latency", "0", "--rule", "poison_every=97"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stderr is not None
        line = sandbox.stderr.readline()
        try:
            sandbox.send_signal(signal.SIGINT)
            assert "http://127.0.0.1:" in line
            assert sandbox.wait(PATIENCE_S) == 0
        finally:
            sandbox.kill()


def test_a_reader_that_has_had_enough_is_no_error(stage: Stage) -> None:
    command = f"'{TRUNKLINE}' status --json | head -1"
    ran = subprocess.run(["/bin/sh", "-c", command], env=stage.env, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("{\n", "")
