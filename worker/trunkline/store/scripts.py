"""The Lua scripts, one a move, each with the prelude in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final

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
    "audit",
)


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and the name the server knows it by."""

    name: str
    text: str
    sha: str


def load() -> dict[str, Script]:
    """Every script, read from the package's data."""
    folder = files(__package__) / "lua"
    prelude = (folder / "prelude.lua").read_text(encoding="utf-8")
    prelude = prelude.replace("-- @ownership\n", (folder / "ownership.lua").read_text(encoding="utf-8"))
    return {name: assembled(name, prelude, (folder / f"{name}.lua").read_text(encoding="utf-8")) for name in NAMES}


def assembled(name: str, prelude: str, body: str) -> Script:
    """A script of its own first line (`#!lua` with the flags that the server needs), the prelude and the rest."""
    shebang, rest = "", body
    if body.startswith("#!"):
        shebang, _, rest = body.partition("\n")
        shebang += "\n"
    text = f"{shebang}{prelude}\n{rest}"
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())  # what EVALSHA asks for
