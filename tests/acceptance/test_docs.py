"""The pages of docs/sources are run: sections read, commands print what their page says, links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from acceptance.worker_harness import environment
from support.receivers import Clock, Site, receiving, settings_with
from support.servers import Server
from trunkline.bootstrap import policies_of
from trunkline.cli.main import app
from trunkline.config.settings import Settings, load
from trunkline.store import Store
from trunkline.telemetry import logs
from trunkline_producers.receiver.webhooks import PREFIX
from trunkline_producers.sources import presets, read_sources
from trunkline_producers.sources.config import CaseTable, SourceTable
from trunkline_producers.sources.presets import KEY_FIELDS
from trunkline_producers.verify.config import SCHEMES

FOLDER = Path(__file__).parents[2] / "docs" / "sources"
PAGES = sorted(path.name for path in FOLDER.glob("*.md"))
LOCAL = "http://localhost:8080"
BASE = '[profiles.support]\ndirections = [{ type = "inbound" }]\n'
SHELL = """
set -eu
trunkline() { printf '%s\\0' trunkline "$@" > "ran.$BLOCK"; }
curl() { printf '%s\\0' curl "$@" > "ran.$BLOCK"; }
"""
FENCE = re.compile(
    r"(?:Save as `(?P<file>[^`]+)`[^\n]*\n\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the file as which the page has it saved."""

    kind: str
    text: str
    file: str | None


@dataclass(frozen=True)
class Played:
    """A page whose shell blocks were run up to each `trunkline` and `curl`: their words and what they should print."""

    folder: Path
    env: Mapping[str, str]
    commands: tuple[tuple[list[str], str], ...]
    configured: Mapping[str, Path] = field(default_factory=dict)  # by source, the file that has its section


@cache
def blocks(page: str) -> tuple[Block, ...]:
    found = FENCE.finditer((FOLDER / page).read_text("utf-8"))
    return tuple(Block(each["kind"], each["text"], each["file"]) for each in found)


def sections(page: str) -> list[str]:
    return [block.text for block in blocks(page) if block.kind == "toml" and "[sources." in block.text]


def runnable(page: str) -> bool:
    return any(block.kind == "sh" for block in blocks(page))


def written(folder: Path, section: str) -> Path:
    """A configuration with this section, and the files of its secrets beside it."""
    (folder / "secret").write_text("change-me", "utf-8")
    file = folder / f"{abs(hash(section))}.toml"
    file.write_text(BASE + re.sub(r'\bfile = "[^"]+"', 'file = "secret"', section), "utf-8")
    return file


def env_of(section: str, said: Mapping[str, str]) -> dict[str, str]:
    """Every variable that a section names: as its page says, or something of the right form."""
    form = {"HEX_KEY": "00ff", "CLOSE_SIGNATURE_KEY": "00ff", "BILLING_WEBHOOK_SECRET": "whsec_AAECAw=="}
    form["CRM_WEBHOOK_SECRET"] = "whsec_AAECAw=="
    form["TELNYX_PUBLIC_KEY"] = "A" * 43 + "="
    named = re.findall(r'env = "(\w+)"', section)
    return {name: said.get(name) or form.get(name, "change-me") for name in named}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Played]:
    """Every page that has one type commands."""
    found = shutil.which("openssl")
    said = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout if found else "none"
    if not re.match("OpenSSL [3-9]", said):
        pytest.skip(f"the pages sign with OpenSSL 3 or newer, and here is {said.strip()}")
    return {page: play(page, tmp_path_factory.mktemp("page")) for page in PAGES if runnable(page)}


def play(page: str, folder: Path) -> Played:
    script, commands = [SHELL], []
    all_ = blocks(page)
    for index, block in enumerate(all_):
        if block.file:
            (folder / block.file).write_text(block.text, "utf-8")
        if block.kind == "sh":
            assert all_[index + 1].kind == "text", block.text
            script.append(f"BLOCK={index}\n{block.text}")
            commands.append((index, all_[index + 1].text))
    script.append(f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))' > env.json")
    ran = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    env = json.loads((folder / "env.json").read_text("utf-8"))
    configured: dict[str, Path] = {}
    for section in sections(page):
        for name in tomllib.loads(section)["sources"]:
            configured.setdefault(name, written(folder, section))
    words = [((folder / f"ran.{index}").read_text("utf-8").split("\0")[:-1], text) for index, text in commands]
    return Played(folder, env, tuple(words), configured)


@pytest.fixture(scope="module")
def site(valkey: Server, played: Mapping[str, Played]) -> Iterator[Site]:
    """A receiver with every source that a page posts to."""
    sources: dict[str, Mapping[str, object]] = {}
    for page in played.values():
        posted = {
            name for words, _ in page.commands for name in re.findall(rf"{LOCAL}{PREFIX}([\w-]+)", " ".join(words))
        }
        assert sources.keys().isdisjoint(posted)
        sources |= {name: settings_of(page.configured[name], page.env).sources[name] for name in posted}
    with (
        valkey.client() as client,
        receiving(Store(client), settings_with(sources), clock=Clock(time.time())) as site,
    ):
        yield site


def settings_of(file: Path, said: Mapping[str, str]) -> Settings:
    env = env_of(file.read_text("utf-8"), said)
    return load(file, env, secrets="optional")


@pytest.mark.parametrize("page", PAGES)
def test_every_section_reads_without_a_mistake(page: str, tmp_path: Path) -> None:
    assert sections(page)
    for section in sections(page):
        settings = settings_of(written(tmp_path, section), {})
        sources, mistakes = read_sources(settings.sources, settings.server, need_secrets=True)
        assert [str(each) for each in mistakes] == [], section
        assert set(sources) == set(settings.sources)


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)])
def test_every_command_prints_what_the_page_says(
    page: str, played: Mapping[str, Played], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = played[page]
    monkeypatch.chdir(it.folder)
    monkeypatch.setattr(logs, "configure", lambda **_: None)  # else the logs of this process go where a command's did
    site.store._client.flushdb()
    site.store.publish(policies_of(settings_with({})))
    told = [curled(words, site) if words[0] == "curl" else tried(words, it) for words, _ in it.commands]
    assert told == [text.strip() for _, text in it.commands]


def tried(words: list[str], page: Played) -> str:
    assert words[1:3] == ["sources", "test"]
    config = page.configured[words[3]]
    env = env_of(config.read_text("utf-8"), page.env)
    ran = CliRunner().invoke(app, [*words[1:], "--config", str(config)], env=env, catch_exceptions=False)
    return str(ran.stdout).strip()


def curled(words: list[str], site: Site) -> str:
    command = [word.replace(LOCAL, site.url) for word in words]
    ran = subprocess.run([*command, "--noproxy", "*"], capture_output=True, text=True, check=True, timeout=20)
    return ran.stdout.strip()


def test_every_page_shows_a_delivery(played: Mapping[str, Played]) -> None:
    assert set(PAGES) - set(played) == {"README.md"}
    assert all(block.file for page in played for block in blocks(page) if block.kind == "xml")
    for page in played:
        for block in blocks(page):
            if block.kind == "json":
                json.loads(block.text)


# The first page


def rows(heading: str) -> set[str]:
    """What the first column of the table under a heading names."""
    text = (FOLDER / "README.md").read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)} - {"field", "scheme"}


def test_every_field_and_every_scheme_has_its_row() -> None:
    assert rows("The section") == {*SourceTable.model_fields, *CaseTable.model_fields, *KEY_FIELDS, "verify", "api"}
    assert rows("Verify") == set(SCHEMES)


def test_every_type_is_named_and_has_a_page() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    assert [kind for kind in presets() if f"`{kind}`" not in text] == []
    everything = "".join("\n".join(sections(page)) for page in PAGES)
    named = {*re.findall(r'^type = "([\w-]+)"', everything, re.MULTILINE), "generic", "svix"}
    assert named == set(presets())


@pytest.mark.parametrize("page", [page for page in PAGES if "up --sandbox" in (FOLDER / page).read_text("utf-8")])
def test_a_number_that_goes_into_the_sandbox_is_asked_for_there(page: str) -> None:
    text = (FOLDER / page).read_text("utf-8")
    asked = re.findall(r"`trunkline number ([^`]+)`", text)
    shown = re.findall(r"^(\+\d+) → ", text, re.MULTILINE)
    assert asked == [f"--sandbox {shown[0]}"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", (FOLDER / page).read_text("utf-8")):
        file = (FOLDER / target) if target else FOLDER / page
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, f"{target}#{anchor}"
