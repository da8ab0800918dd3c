"""The README's first commands on a machine as it comes: a Debian refuses to install into its own Python."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.bare_debian import BareDebian, debootstrapped, missing
from acceptance.worker_harness import environment

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
SUITE = "bookworm"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".trunkline", "__pycache__", ".*_cache", "uv.lock")


def block(heading: str, begin: str) -> str:
    """The block of commands under a heading that begins so."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (found,) = re.findall(rf"^```\n({re.escape(begin)}.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return str(found)


VENV = block("See it run", "python3 -m venv")
UV = block("See it run", "uv run")
TEST = block("Develop", "python3 -m venv")


@pytest.mark.parametrize("commands", [VENV, TEST], ids=["demo", "test"])
def test_the_readme_installs_with_the_pip_of_the_environment_that_it_makes(commands: str, tmp_path: Path) -> None:
    stand_ins = 'pip() { type -P pip; printf "%s\\n" "$*"; }; trunkline() { echo "$@"; }; pytest() { echo tested; }'
    ran = subprocess.run(
        ["bash", "-euc", f"{stand_ins}\n{commands}"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    pip, installed, done = ran.stdout.splitlines()
    assert pip == str(tmp_path / ".venv/bin/pip")
    assert (installed, done) in [("install .", "demo"), ("install .[test]", "tested")]


def test_the_readme_gives_uv_as_the_other_way() -> None:
    assert UV == "uv run trunkline demo\n"
    assert "`uv run --extra test pytest`" in README


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareDebian]:
    """A Debian with Python and its venv, which nothing was installed into."""
    if why := missing():
        pytest.skip(why)
    root = tmp_path_factory.mktemp("debian") / "root"
    debian = debootstrapped(SUITE, root)
    assert list(root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"))
    yield debian
    shutil.rmtree(root)


def copied(debian: BareDebian, name: str) -> str:
    """A copy of the project in the Debian; its path there."""
    shutil.copytree(ROOT, debian.root / "srv" / name, ignore=LEFT_OUT)
    return f"/srv/{name}"


@pytest.mark.deploy
def test_the_demo_runs_on_a_bare_debian_through_a_virtual_environment(debian: BareDebian) -> None:
    ran = debian.run(VENV, cwd=copied(debian, "venv"))
    assert ran.returncode == 0, ran.stdout
    assert "the books balance" in ran.stdout


@pytest.mark.deploy
def test_the_demo_and_the_tests_run_on_a_bare_debian_through_uv(debian: BareDebian) -> None:
    had = debian.run("python3 -m venv /opt/uv && /opt/uv/bin/pip install uv && ln -s /opt/uv/bin/uv /usr/local/bin/uv")
    assert had.returncode == 0, had.stdout
    folder = copied(debian, "uv")
    ran = debian.run(UV, cwd=folder)
    assert ran.returncode == 0, ran.stdout
    assert "the books balance" in ran.stdout
    tests = debian.run(
        "uv run --extra test pytest --version && . .venv/bin/activate && trunkline --version", cwd=folder
    )
    assert tests.returncode == 0, tests.stdout
