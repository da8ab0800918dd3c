"""The Lua scripts, one a move, each with the prelude in front of it, and with the parts that several share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final

from trunkline.store.fields import SCRIPT_NAMES

SCHEMA: Final = 2  # of the keys and their fields, as in prelude.lua; another wherever they change
NAMES: Final = (
    "meta",
    "beat",
    "configure",
    "govern",
    "publish",
    "push",
    "look",
    "claim",
    "permit",
    "settle",
    "reap",
    "gate",
    "replay",
    "drop",
    "archive",
    "retime",
    "books",
    "reject",
    "forget",
    "inspect",
    "mend",
)
NAMED: Final = re.compile(rf"\b({'|'.join(SCRIPT_NAMES)})\.(\w+)\b")
PART: Final = re.compile(r"^-- @(\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and the name the server knows it by."""

    name: str
    text: str
    sha: str


def load() -> dict[str, Script]:
    """Every script, read from the package's data."""
    prelude = source("prelude")
    return {name: assembled(name, prelude, source(name)) for name in NAMES}


def source(name: str) -> str:
    """A file of Lua as it lies in the package, each line `-- @NAME` replaced by the file of that name."""
    text = (files(__package__) / "lua" / f"{name}.lua").read_text(encoding="utf-8")
    return PART.sub(lambda part: source(part[1]), text)


def _on_disk(text: str) -> str:
    """The text of a script with every name of store/fields.py replaced by its letters."""

    def letters(name: re.Match[str]) -> str:
        return f"'{SCRIPT_NAMES[name[1]][name[2]].value}'"

    return NAMED.sub(letters, text)


def assembled(name: str, prelude: str, body: str) -> Script:
    """A script of its own first line (`#!lua` with the flags that the server needs), the prelude and the rest."""
    shebang, rest = "", body
    if body.startswith("#!"):
        shebang, _, rest = body.partition("\n")
        shebang += "\n"
    text = _on_disk(f"{shebang}{prelude}\n{rest}")
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())  # what EVALSHA asks for
