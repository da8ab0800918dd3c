"""A Debian in a folder, from its packages alone, in which commands run as on a machine that somebody just set up.

What this machine needs to reach package indexes (configuration of pip and uv, proxies, certificates, indexes that are
folders) is there too, under the same paths.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGES: Final = ("python3", "python3-venv", "ca-certificates")
PATIENCE_S: Final = 1200.0
TO_INDEXES: Final = re.compile(r"(PIP|UV)_\w+|(https?|all|no)_proxy|SSL_CERT_\w+|\w+_CA_BUNDLE", re.IGNORECASE)
ANY_PATH: Final = re.compile(r"(?:^|(?<=[\s=\"',]))(?:file://)?(/[^\s\"',:]+)", re.MULTILINE)
MOUNTS_AND_RUNS: Final = """
mount -t proc proc "$ROOT/proc"
for path in $BOUND; do
  if [ -d "$path" ]; then mkdir -p "$ROOT$path"; else mkdir -p "$ROOT${path%/*}"; touch "$ROOT$path"; fi
  mount --bind "$path" "$ROOT$path"
done
exec chroot "$ROOT" /bin/bash -euc "$RUN"
"""


def missing() -> str:
    """Why there can be none here, "" where there can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "a bare Debian takes root on Linux"
    lacking = [name for name in ("debootstrap", "unshare", "chroot") if shutil.which(name) is None]
    return f"a bare Debian takes {', '.join(lacking)}" if lacking else ""


@dataclass(frozen=True, slots=True)
class BareDebian:
    """A root that debootstrap made; `run` puts it into order for one command, and leaves no mount behind."""

    root: Path

    def run(self, command: str, *, cwd: str = "/", within: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """Runs a shell command in it, its stderr with its stdout; the exit code may be any."""
        ours = {name: value for name, value in os.environ.items() if TO_INDEXES.fullmatch(name)}
        env = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(Path.home()), "LC_ALL": "C.UTF-8"}
        env |= ours | {"ROOT": str(self.root), "BOUND": " ".join(map(str, _paths(ours))), "RUN": f"cd {cwd}; {command}"}
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "bash", "-euc", MOUNTS_AND_RUNS],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=within,
        )  # fmt: skip


def debootstrapped(suite: str, folder: Path) -> BareDebian:
    """Makes one in an empty folder."""
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
    return BareDebian(folder)


def _paths(env: Mapping[str, str]) -> list[Path]:
    """The files and folders by which indexes are reached: configurations, and what they and the variables name."""
    files = [path for path in _configurations(env) if path.is_file()]
    texts = [*env.values(), *(path.read_text("utf-8") for path in files)]
    named = {Path(path) for text in texts for path in ANY_PATH.findall(text)}
    named |= {path.parent for path in named if path.name == "simple"}  # an index in a folder has its files beside it
    return sorted({*files, *(path for path in named if path.exists() and path != Path("/"))})


def _configurations(env: Mapping[str, str]) -> Iterator[Path]:
    """Where pip and uv look for a configuration."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for folder in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
        yield from (Path(folder, "pip/pip.conf"), Path(folder, "uv/uv.toml"))
    yield from (Path("/etc/pip.conf"), config / "pip/pip.conf", Path.home() / ".pip/pip.conf")
    yield from (Path("/etc/uv/uv.toml"), config / "uv/uv.toml")
    yield from (Path(env[name]) for name in ("PIP_CONFIG_FILE", "UV_CONFIG_FILE") if env.get(name))
