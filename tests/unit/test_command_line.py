"""The command line itself: its version, its help, guesses at what was meant, completion, and what a command loads."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from trunkline import __version__
from trunkline.cli.main import app

HEAVY = (
    "dramatiq",
    "fastapi",
    "uvicorn",
    "trunkline.engine",
    "trunkline.runtime",
    "trunkline.bland",
    "trunkline.sandbox",
    "trunkline_producers.receiver",
    "trunkline_producers.sources",
    "trunkline_producers.carriers",
    "trunkline_producers.deliveries",
)
LIGHT = ("number", "status", "workers", "cancel", "pause", "resume", "audit")
LOADS = """
import sys, typer
from trunkline.cli.main import app
typer.main.get_command(app).commands[sys.argv[1]]
print(*sys.modules)
"""
HELPS = """
import sys
from trunkline.cli.main import app
app(["--help"], standalone_mode=False)
print(*sys.modules)
"""


def said(*words: str) -> str:
    ran = CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "TERM": "dumb"})
    assert ran.exit_code == 2
    assert ran.stdout == ""
    return " ".join(ran.stderr.split())


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_that_of_the_installed_package(option: str) -> None:
    ran = CliRunner().invoke(app, [option])
    assert (ran.exit_code, ran.stdout) == (0, f"trunkline {version('trunkline')}\n")
    assert version("trunkline") == __version__


@pytest.mark.parametrize("words", [[], ["status"], ["dead"], ["dead", "list"]])
def test_help_has_a_short_name_everywhere(words: list[str]) -> None:
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)
    assert "Usage: " in short.stdout


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        ("statsu", "Did you mean 'status'?"),
        ("dead lst", "Did you mean 'list'?"),
        ("--versoin", "Did you mean --version?"),
        ("status --jsn", "Did you mean --json?"),
        ("dead list --profil support", "Did you mean --profile?"),
    ],
)
def test_a_misspelt_command_or_option_is_answered_with_what_was_meant(words: str, guess: str) -> None:
    assert guess in said(*words.split())


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("st", ["status", "store"]),
        ("--ver", ["--version"]),
        ("dead re", ["replay"]),
        ("dead list --pro", ["--profile"]),
    ],
)
def test_a_shell_completes_commands_and_options(typed: str, completed: list[str]) -> None:
    words = f"trunkline {typed}"
    env = os.environ | {
        "_TRUNKLINE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    program = "import sys; sys.argv = ['trunkline']; from trunkline.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == completed


@pytest.mark.parametrize("group", ["", "dead", "rejected", "sources"])
def test_help_says_of_each_command_what_the_command_says_of_itself(group: str) -> None:
    found: Any = typer.main.get_command(app)
    for name in group.split():
        found = found.commands[name]
    shown = " ".join(CliRunner().invoke(app, [*group.split(), "--help"]).stdout.replace("│", " ").split())
    for name, command in found.commands.items():
        first = command.help.partition("\n\n")[0]
        assert " ".join(f"{name} {first}".split()) in shown


def test_help_loads_no_command() -> None:
    ran = subprocess.run([sys.executable, "-c", HELPS], capture_output=True, text=True, check=True)
    loaded = ran.stdout.splitlines()[-1].split()
    assert "trunkline.cli.lazy" in loaded
    assert [name for name in loaded if name.startswith(("trunkline.store", "trunkline.operations", *HEAVY))] == []


@pytest.mark.parametrize("command", LIGHT)
def test_a_command_loads_nothing_that_it_does_not_need(command: str) -> None:
    ran = subprocess.run([sys.executable, "-c", LOADS, command], capture_output=True, text=True, check=True)
    loaded = ran.stdout.split()
    assert f"trunkline.cli.{command}" in loaded or command in ("resume", "audit")
    assert [name for name in loaded if name.startswith(HEAVY)] == []
