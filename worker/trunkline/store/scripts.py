"""The Lua scripts, one a move, each with the prelude in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final

SCHEMA: Final = 2  # of the keys and their fields; another number wherever they are read or written differently

NAMES: Final = (
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
    "reject",
    "publish",
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
    scripts = {}
    for name in NAMES:
        text = f"{prelude}\n{(folder / f'{name}.lua').read_text(encoding='utf-8')}"
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()  # what EVALSHA asks for
        scripts[name] = Script(name, text, digest)
    return scripts
