"""What the papers name is there: links, files, commands of the justfile, settings, sentences, the layers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import trunkline
from support.store_mutations import MUTATIONS
from trunkline.lifecycle import DeadCode, State
from trunkline.store import scripts

ROOT = Path(__file__).parents[2]
PAPERS = (ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md")))
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
UPGRADING = (ROOT / "docs/upgrading.md").read_text("utf-8")
JUST = (ROOT / "justfile").read_text("utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FOLDERS = r"(?:worker|producers|tests|docs|deploy|\.ci)"
OPEN = re.compile(r"[A-Z]{3,}|\*")  # NAME stands for whatever is added, * for several


def name(paper: Path) -> str:
    return str(paper.relative_to(ROOT))


def anchors(paper: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", paper.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("paper", PAPERS, ids=name)
def test_every_link_leads_somewhere(paper: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", paper.read_text("utf-8"), flags=re.DOTALL)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        page = (paper.parent / file) if file else paper
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


@pytest.mark.parametrize("paper", PAPERS, ids=name)
def test_every_file_that_a_paper_names_is_there(paper: Path) -> None:
    named = re.findall(rf"`({FOLDERS}/[^`\s]+)`", paper.read_text("utf-8"))
    assert [each for each in named if not (OPEN.search(each) or (ROOT / each).exists())] == []


def test_the_files_that_the_justfile_names_are_there() -> None:
    assert [each for each in re.findall(r"tests/[\w/]+\.py", JUST) if not (ROOT / each).is_file()] == []


@pytest.mark.parametrize("recipe", sorted(set(re.findall(r"`just ([a-z-]+)", CONTRIBUTING))))
def test_the_recipes_that_contributing_names_are_there(recipe: str) -> None:
    assert re.search(rf"^{recipe}\b[^\n]*:", JUST, re.MULTILINE)


def test_every_layer_is_in_the_table_of_layers_in_its_order() -> None:
    (contract,) = [each for each in PYPROJECT["tool"]["importlinter"]["contracts"] if each["id"] == "layers"]
    table = ARCHITECTURE[ARCHITECTURE.index("| layer, highest first") :]
    rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.split("\n\n")[0].splitlines()[2:]]
    layers = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    assert [sorted(row) for row in rows] == [sorted(layer) for layer in layers if layer != ["__main__"]]


def test_every_script_is_in_the_table_of_scripts() -> None:
    table = ARCHITECTURE[ARCHITECTURE.index("| script | does |") :].split("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert len(named) == len(set(named))
    assert set(named) == set(scripts.NAMES)


def test_the_scripts_and_parts_without_a_mutation_are_named() -> None:
    said = CONTRIBUTING[CONTRIBUTING.index("Without one of their own are the scripts") :].split(" of `lua/lib`")[0]
    named = [re.findall(r"`(\w+)`", half) for half in said.split("and the parts")]
    files = {each.file for each in MUTATIONS}
    parts = {path.stem for path in (Path(scripts.__file__).parent / "lua/lib").glob("*.lua")}
    assert set(named[0]) == set(scripts.NAMES) - files
    assert set(named[1]) == {part for part in parts if f"lib/{part}" not in files}


def test_every_state_is_in_the_diagram() -> None:
    diagram = ARCHITECTURE[ARCHITECTURE.index("## The life of a number") : ARCHITECTURE.index("## Layers")]
    assert [state for state in State if state not in diagram] == []


def test_every_decision_is_listed() -> None:
    pages = sorted(page.name for page in (ROOT / "docs/decisions").glob("0*.md"))
    assert re.findall(r"\]\((0[^)]+)\)", (ROOT / "docs/decisions/README.md").read_text("utf-8")) == pages


@pytest.mark.parametrize("page", sorted((ROOT / "docs/decisions").glob("0*.md")), ids=lambda page: page.stem)
def test_a_decision_says_why_what_and_what_follows(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
    assert headings == ["Context", "Decision", "Measurements", "Consequences"]


def test_the_sentences_that_upgrading_quotes_are_those_of_the_code() -> None:
    code = "".join(path.read_text("utf-8") for path in Path(str(trunkline.__file__)).parent.rglob("*.py"))
    quotes = [line.removeprefix("> ") for line in UPGRADING.splitlines() if line.startswith("> ")]
    assert len(quotes) >= 4
    assert [quote for quote in quotes if quote.partition(" (")[0] not in code] == []


def test_upgrading_names_the_schema_of_this_release() -> None:
    assert f"This release writes schema {scripts.SCHEMA};" in UPGRADING


@pytest.mark.parametrize("code", DeadCode)
def test_every_code_of_a_dead_letter_is_in_a_paper(code: DeadCode) -> None:
    assert any(f"`{code}`" in paper.read_text("utf-8") for paper in (*PAPERS, ROOT / "README.md"))
