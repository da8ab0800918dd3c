"""docs/store.md names every key of the store, and the table in lib/core.lua every key that a script uses."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from trunkline.store import scripts

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "store.md").read_text("utf-8")
CORE = scripts.source("lib/core")
TABLE = CORE[CORE.index("-- Keys (") : CORE.index("local P = KEYS[1]")]
TYPES = "hash|zset|set|list|string|stream"
KEY = r"[a-z_]+(?::<[a-z_]+>)*"
FIELDS = {"a:", "p:"}  # of a configuration
NAMED = re.compile(r"P \.\. '([a-z_]+)")


@cache
def keys_of_the_table() -> frozenset[str]:
    """Names up to their first part that varies: "due:<a>" is "due:"."""
    found = {each for each in re.findall(r"\b[a-z_]+:(?=<)", TABLE) if each not in FIELDS}
    for line in TABLE.splitlines():
        for names in re.findall(rf"(?:^-- {{3}}|[;,]  ?)({KEY}(?:, {KEY})*) +(?:{TYPES})\b", line):
            found |= {each.partition("<")[0] for each in names.split(", ")}
    return frozenset(found)


def keys_of_the_page() -> set[str]:
    rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    return {re.sub(r"[A-Z].*", "", each) for row in rows for each in re.findall(r"`([^`]+)`", row)}


def test_the_table_is_read() -> None:
    assert {
        "meta",
        "rejected_of:",
        "due",
        "due:",
        "books",
        "books:",
        "closed:",
        "forced:",
        "accounts",
        "ended",
    } <= keys_of_the_table()
    assert len(keys_of_the_table()) == 40


def test_every_key_of_the_table_is_on_the_page() -> None:
    assert keys_of_the_table() - keys_of_the_page() == set()


@pytest.mark.parametrize("script", scripts.NAMES)
def test_every_key_of_a_script_is_in_the_table(script: str) -> None:
    known = {each.rstrip(":") for each in keys_of_the_table()}
    assert set(NAMED.findall(scripts.load()[script].text)) - known == set()


def test_the_pages_name_one_another() -> None:
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (DOCS / link).is_file()
    assert "(store.md)" in (DOCS / "store-server.md").read_text("utf-8")
