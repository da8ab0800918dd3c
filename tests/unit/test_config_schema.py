"""The JSON schema that ships for editors is that of the models, and takes what they take."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pydantic
import pytest

from support.config_schema import FILE, as_text, config_schema
from trunkline.config.example import EXAMPLE, SCHEMA, example_text

ROOT = Path(__file__).parents[2]
SHIPPED = json.loads((files("trunkline.config") / SCHEMA).read_text("utf-8"))
LOCKED = re.search(r"^pydantic==(\d+\.\d+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)


def mistakes(text: str) -> list[str]:
    """Where the schema finds something wrong."""
    document = json.loads(json.dumps(tomllib.loads(text), default=str))  # a time as text, as editors have it
    found = jsonschema_rs.Draft202012Validator(SHIPPED).iter_errors(document)
    return [".".join(map(str, error.instance_path)) for error in found]


def names(schema: dict[str, Any]) -> dict[str, list[str]]:
    """The fields of every table."""
    return {name: sorted(table["properties"]) for name, table in schema["$defs"].items()}


def test_the_shipped_schema_has_the_tables_and_fields_of_the_models() -> None:
    assert names(SHIPPED) == names(config_schema())


def test_the_shipped_schema_is_what_is_made_anew() -> None:
    if LOCKED is None or not pydantic.VERSION.startswith(f"{LOCKED[1]}."):
        pytest.skip(f"pydantic {pydantic.VERSION} is not the locked one and may say the same in other words")
    assert FILE.read_text("utf-8") == as_text(), "run `just schema`"


def test_the_schema_is_one() -> None:
    jsonschema_rs.meta.validate(SHIPPED)


def test_the_example_fits_the_schema() -> None:
    assert mistakes(example_text()) == []


def test_the_shipped_example_is_that_of_the_repository() -> None:
    assert example_text() == (ROOT / "deploy" / EXAMPLE).read_text("utf-8")


@pytest.mark.parametrize("page", sorted((ROOT / "docs/sources").glob("*.md")), ids=lambda page: page.stem)
def test_the_sections_of_a_source_s_page_fit_the_schema(page: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert [mistakes(block) for block in blocks] == [[] for _ in blocks]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[stor]", ""),
        ("[store]\nurl = 7", "store.url"),
        ('[store]\nacknowledge = "never"', "store.acknowledge"),
        ('[accounts.default]\nkey = "sk-1"', "accounts.default.key"),
        ("[batch]\nmax_size = 101", "batch.max_size"),
        ("[profiles.support]", "profiles.support"),
        ('[profiles.p]\ndirections = [{ type = "inbound", kind = "sip" }]', "profiles.p.directions.0"),
        ('[[routes]]\nprofile = "p"\nwhen = { type = "fax" }', "routes.0.when.type"),
        ('[sources.crm]\ntype = "hubspott"', "sources.crm.type"),
        ('[sources.crm]\ntype = "generic"\nverify = { scheme = "hmak" }', "sources.crm.verify.scheme"),
    ],
)
def test_a_mistake_is_shown_at_its_place(text: str, place: str) -> None:
    assert mistakes(text) == [place]
