"""What could not be taken in, as an operator sees it: listed, shown as it came, let go of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from acceptance.worker_harness import Commands, environment
from support.servers import Server
from trunkline.store import Store, rejections
from trunkline.store.rejections import Rejection

LISTED = {"id", "source", "code", "message", "at", "times", "bytes"}
BODY = b'{"data":\x1b[2J "caf\xc3\xa9"}'
KEPT = (
    Rejection("a" * 16, "telnyx", "invalid_event", "has no number", "POST", "https://h/hooks/telnyx", {"x": "1"}, BODY),
    Rejection("b" * 16, "hubspot", "no_route", "no route matches", "POST", "https://h/hooks/hubspot", {}, b"\xff\x00"),
    Rejection("c" * 16, "hubspot", "not_fetched", "the carrier said 404"),
)
ROUTES = """
[profiles.uk]
directions = [{ type = "inbound" }]
[[routes]]
profile = "uk"
when = { country = "GB", prefix = ["+4420", "+44113"], type = "fixed_line", metadata = { plan = "gold" } }
"""


@pytest.fixture
def trunkline(valkey: Server, store: Store, tmp_path: Path) -> Iterator[Commands]:
    for rejection in KEPT:
        rejections.keep(store, rejection, counts=True)
    config = tmp_path / "trunkline.toml"
    config.write_text(f'[store]\nurl = "{valkey.url}"\nacknowledge = "memory"\n{ROUTES}', "utf-8")
    with Commands(tmp_path, environment(TRUNKLINE_CONFIG=config, BLAND_API_KEY="key")) as commands:
        yield commands


@pytest.fixture
def server(valkey: Server) -> Server:
    """One kind of server is enough here."""
    return valkey


def test_they_are_listed_the_newest_first(trunkline: Commands) -> None:
    listed = trunkline("rejected", "list", "--json")
    assert [each["id"][0] for each in listed.json] == ["c", "b", "a"]
    assert {frozenset(each) for each in listed.json} == {frozenset(LISTED)}
    assert (listed.json[2]["bytes"], listed.json[2]["times"], listed.json[2]["at"][-1]) == (len(BODY), 1, "Z")
    found = trunkline("rejected", "list", "--source", "hubspot", "--code", "no_route", "--json").json
    assert [each["id"] for each in found] == ["b" * 16]
    assert "has no number" in trunkline("rejected", "list").out


def test_one_is_shown_as_it_came_and_nothing_in_it_reaches_the_terminal(trunkline: Commands) -> None:
    shown = trunkline("rejected", "show", "a" * 16)
    assert all(words in shown.out for words in ("POST https://h/hooks/telnyx", "invalid_event: has no number", "café"))
    assert "\x1b[2J" not in shown.out
    document = trunkline("rejected", "show", "a" * 16, "--json").json
    assert set(document) == LISTED | {"first_at", "method", "url", "headers", "body"}
    assert (document["headers"], document["body"]) == ({"x": "1"}, BODY.decode())
    assert trunkline("rejected", "show", "a" * 16, "--body").out == BODY.decode()
    assert trunkline("rejected", "show", "b" * 16, "--json").json["body"] is None


def test_what_is_not_there_or_was_not_kept_is_exit_code_1_with_a_sentence(trunkline: Commands) -> None:
    for words in (("show", "d" * 16), ("show", "c" * 16, "--body")):
        ran = trunkline("rejected", *words)
        assert (ran.code, ran.out) == (1, "")
        assert words[1] in ran.err
    assert trunkline("rejected", "drop", "d" * 16).code == 1


def test_they_are_dropped_by_id_by_source_or_all(trunkline: Commands) -> None:
    assert trunkline("rejected", "drop").code == 2
    assert trunkline("rejected", "drop", "a" * 16, "b" * 16, "--source", "telnyx", "--json").json == {"dropped": 1}
    assert trunkline("rejected", "drop", "--source", "hubspot").out == "2 dropped\n"
    assert trunkline("rejected", "list").out == "nothing that was rejected is kept\n"
    assert trunkline("rejected", "drop", "--all").code == 1


def test_list_and_status_say_when_the_room_runs_out(trunkline: Commands, store: Store) -> None:
    with (trunkline.folder / "trunkline.toml").open("a", encoding="utf-8") as config:
        config.write("[server]\nmax_body_bytes = 65536\nmax_kept_bytes = 65536\n")
    asked = ("rejected", "list"), ("status",)
    assert not any("max_kept_bytes" in trunkline(*words).out for words in asked)
    rejections.keep(store, replace(KEPT[0], id="d" * 16, body=b"x" * 60_000), counts=True)
    assert all("of 65,536 bytes for what could not be taken in are used" in trunkline(*words).out for words in asked)


def test_check_says_all_that_a_route_asks(trunkline: Commands) -> None:
    asked = "country GB, prefix +4420 or +44113, type fixed_line, metadata plan gold → uk"
    assert asked in trunkline("check").out
