"""What could not be taken in, as an operator sees it: listed, shown as it came, let go of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.worker_harness import Commands, environment
from servers import Server
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


def test_the_list_says_how_many_had_to_go(trunkline: Commands, store: Store) -> None:
    rejections.keep(store, KEPT[0], most=1, counts=True)
    assert trunkline("rejected", "list").out.endswith("2 older ones were let go to make room\n")


def test_check_says_all_that_a_route_asks(trunkline: Commands) -> None:
    asked = "country GB, prefix +4420 or +44113, type fixed_line, metadata plan gold → uk"
    assert asked in trunkline("check").out
