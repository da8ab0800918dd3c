"""The Lua scripts, one a move, each assembled from the parts of `lua/lib` that it includes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final

from trunkline.store.fields import SCRIPT_NAMES

SCHEMA: Final = 2  # of the keys and their fields, as in lib/core.lua; another wherever they change
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
    "pause",
    "probed",
    "replay",
    "drop",
    "archive",
    "retime",
    "books",
    "reject",
    "forget",
    "checkpoint",
    "inspect",
    "mend",
)
NAMED: Final = re.compile(rf"\b({'|'.join(SCRIPT_NAMES)})\.(\w+)\b")
INCLUDE: Final = re.compile(r"^-- @include (\w+)\n", re.MULTILINE)
LIBRARY: Final = "lib"
CORE: Final = "core"  # the part that every script begins with


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and the name the server knows it by."""

    name: str
    text: str
    sha: str


def load() -> dict[str, Script]:
    """Every script, read from the package's data."""
    return {name: assembled(name, source(name)) for name in NAMES}


def source(name: str) -> str:
    """A file of Lua as it lies in the package: a script, or a part as `lib/NAME`. Raises FileNotFoundError."""
    return (files(__package__) / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def parts_of(text: str) -> list[str]:
    """The parts that a script includes, and what those include, each once and after what it needs."""
    found: list[str] = []
    for name in INCLUDE.findall(text):
        needed = parts_of(source(f"{LIBRARY}/{name}"))
        found += [each for each in (*needed, name) if each not in found]
    return found


def joined(text: str, read: Callable[[str], str] = source) -> str:
    """A script with its parts in front of it, behind its first line (`#!lua` with the flags that the server needs)."""
    shebang, _, body = text.partition("\n")
    parts = [read(f"{LIBRARY}/{name}") for name in (CORE, *parts_of(text))]
    return "\n".join([shebang, *(INCLUDE.sub("", each) for each in (*parts, body))])


def assembled(name: str, text: str, read: Callable[[str], str] = source) -> Script:
    """A script as the server gets it: with its parts, and letters in place of names."""
    whole = _with_letters(joined(text, read))
    return Script(name, whole, sha1(whole.encode(), usedforsecurity=False).hexdigest())  # what EVALSHA asks for


def _with_letters(text: str) -> str:
    def letters(name: re.Match[str]) -> str:
        return f"'{SCRIPT_NAMES[name[1]][name[2]].value}'"

    return NAMED.sub(letters, text)
