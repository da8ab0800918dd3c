"""The scripts as they lie in the package: no part is unused, no name unknown, and the linter has nothing to say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from trunkline.store import fields, scripts

ROOT = Path(__file__).parents[2]
LIBRARY = sorted(path.stem for path in (ROOT / "worker/trunkline/store/lua/lib").glob("*.lua"))
DEFINED = re.compile(r"^local (?:function )?([\w, ]+?)(?:\(| = |$)", re.MULTILINE)
FILES = [*scripts.NAMES, *(f"lib/{name}" for name in LIBRARY)]


def defined_in(text: str) -> set[str]:
    return {name.strip() for names in DEFINED.findall(text) for name in names.split(",")}


def is_used(part: str, by: str) -> bool:
    names = defined_in(scripts.source(f"lib/{part}"))
    return any(re.search(rf"\b{name}\b", by) for name in names)


@pytest.mark.parametrize("name", FILES)
def test_a_script_includes_what_it_uses_and_nothing_else(name: str) -> None:
    text = scripts.source(name)
    whole = scripts.joined(text)
    for part in scripts.INCLUDE.findall(text):
        others = whole.replace(scripts.INCLUDE.sub("", scripts.source(f"lib/{part}")), "")
        assert is_used(part, others), f"{name} has no use for {part}"


def test_every_part_is_included_somewhere() -> None:
    included = {part for name in FILES for part in scripts.INCLUDE.findall(scripts.source(name))}
    assert included | {scripts.CORE} == set(LIBRARY)


def test_an_unknown_part_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        scripts.joined("#!lua\n-- @include nowhere\n")


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(KeyError, match="colour"):
        scripts.assembled("x", "#!lua\nreturn E.colour\n")


def test_every_field_is_used_by_a_script() -> None:
    text = "\n".join(scripts.source(name) for name in FILES)
    used = set(scripts.NAMED.findall(text))
    known = {(space, member.name) for space, letters in fields.SCRIPT_NAMES.items() for member in letters}
    assert known - used == set()


def test_the_linter_has_nothing_to_say(tmp_path: Path) -> None:
    if shutil.which("luacheck") is None:
        assert not os.environ.get("TRUNKLINE_REQUIRE_LUACHECK"), "luacheck is missing (Debian: lua-check)"
        pytest.skip("luacheck is not installed (Debian: lua-check)")
    parts = sorted({name for part in LIBRARY for name in defined_in(scripts.source(f"lib/{part}"))})
    for name in scripts.NAMES:
        _, _, text = scripts.joined(scripts.source(name)).partition("\n")
        (tmp_path / f"{name}.lua").write_text(text, "utf-8")
    told = subprocess.run(
        ["luacheck", "--config", ROOT / ".luacheckrc", "--no-color", "--codes", "-q", ".", "--ignore"]
        + [f"211/^{name}$" for name in parts],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout
