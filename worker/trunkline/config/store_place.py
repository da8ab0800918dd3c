"""Which store the settings name, told without its user and password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

from trunkline.config.settings import Settings

DATABASE: Final = re.compile(r"/?|/[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class StorePlace:
    """A store by its kind and where it is: a folder, or a server's URL."""

    kind: Literal["embedded", "server", "sandbox"]
    at: str

    def __str__(self) -> str:
        """As it stands after "store:"."""
        if self.kind == "server":
            return f"server at {self.at}"
        folder = near(Path(self.at))
        return f"embedded in {folder}" if self.kind == "embedded" else f"the sandbox's, in {folder}"


def place_of(settings: Settings) -> StorePlace:
    """Where the store of these settings is."""
    if settings.store.url is not None:
        return StorePlace("server", without_login(settings.store.url.get_secret_value()))
    folder = str(settings.store.data_dir.absolute())
    return StorePlace("embedded" if settings.stand_in is None else "sandbox", folder)


def without_login(url: str) -> str:
    """A Redis URL without user, password and options.

    Only its scheme is told where they may be in a wrong place, as with a password that has an unquoted `/`.
    """
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    doubtful = parts.scheme != "unix" and not DATABASE.fullmatch(parts.path)
    if doubtful or "@" in parts.path + parts.query + parts.fragment:
        return f"{parts.scheme}://…"
    database = parse_qs(parts.query).get("db", [""])[0]
    return f"{parts.scheme}://{hosts}{parts.path}" + (f"?db={database}" if database.isdecimal() else "")


def near(folder: Path) -> str:
    """A folder as it is typed: from the working directory where it is below that."""
    folder, here = folder.absolute(), Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)
