"""docs/logs.md has every log event, at the level at which the code logs it."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

import trunkline
import trunkline_producers
from trunkline.telemetry.logs import Log

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "logs.md").read_text("utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
SAID_AS = {"exception": "error"}  # a traceback is an error's


def levels() -> dict[str, set[str]]:
    """Each event that the code logs by name, with its levels."""
    found = defaultdict(set)
    for package in (trunkline, trunkline_producers):
        for path in Path(str(package.__file__)).parent.rglob("*.py"):
            logged = re.findall(r"\.(info|warning|error|exception)\(\s*(?:logs\.)?Log\.(\w+)", path.read_text("utf-8"))
            for level, name in logged:
                found[name].add(SAID_AS.get(level, level))
    return found


def test_the_page_has_every_event_once() -> None:
    assert sorted(row[0].strip("`") for row in ROWS) == sorted(Log)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`"))
def test_a_row_says_the_level_what_happened_and_what_to_do(row: list[str]) -> None:
    name, level, *sentences = row
    assert set(level.split(" or ")) <= {"info", "warning", "error"}
    assert levels().get(name.strip("`"), set()) <= set(level.split(" or "))
    assert len(sentences) == 2
    assert all(sentences)


def test_every_event_is_logged_somewhere() -> None:
    code = "".join(
        path.read_text("utf-8")
        for package in (trunkline, trunkline_producers)
        for path in Path(str(package.__file__)).parent.rglob("*.py")
    )
    assert [name for name in Log if f"Log.{name}" not in code] == []


@pytest.mark.parametrize("name", re.findall(r"`(\w+)`", PAGE[PAGE.index("Alert on") : PAGE.index("## Worker")]))
def test_the_events_to_alert_on_are_there(name: str) -> None:
    assert name in set(Log)
