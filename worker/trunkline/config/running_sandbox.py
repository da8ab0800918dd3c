"""The mark that a running sandbox keeps in its folder, by which commands in other terminals find its stand-in API.

stand-in.json   {"url", "pid"}; locked by the process that runs the stand-in for as long as it lives. A mark that
                nobody locks was left behind by one that was killed, and counts as none.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trunkline.errors import TrunklineError

MARK: Final = "stand-in.json"
MAX_BYTES: Final = 4096
WRITTEN_S: Final = 2.0  # between the lock and the mark's text lies one write
LOOKED_AT_S: Final = 0.2  # whoever looks holds the lock for no longer than that
POLL_S: Final = 0.01


class SandboxTaken(TrunklineError):
    """The sandbox of this folder can't be started: it runs already, or the folder can't be written to."""


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that is alive: the base URL of its stand-in API, and its process."""

    url: str
    pid: int


def running_sandbox(folder: Path) -> RunningSandbox | None:
    """The sandbox that runs in this folder now, None where there is none or the folder can't be read."""
    try:
        fd = os.open(folder / MARK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        deadline = time.monotonic() + WRITTEN_S
        while not _lock(fd, fcntl.LOCK_SH):
            if (found := _read(fd)) is not None:
                return found
            if time.monotonic() > deadline:
                return None
            time.sleep(POLL_S)
        return None
    finally:
        os.close(fd)  # and with it the lock, if we had it


@contextmanager
def marked(folder: Path, url: str) -> Iterator[None]:
    """Marks the folder's sandbox as running, with its stand-in at `url`. Raises SandboxTaken."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(folder / MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SandboxTaken(
            f"The sandbox can't use {folder}: {error.strerror or error}. Set store.data_dir (or TRUNKLINE_DATA_DIR) to "
            "a directory on a local disk that this user can write to."
        ) from error
    try:
        _take(fd, folder)
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"url": url, "pid": os.getpid()}).encode("ascii"), 0)
        yield
    finally:
        os.close(fd)


def _take(fd: int, folder: Path) -> None:
    deadline = time.monotonic() + LOOKED_AT_S
    while not _lock(fd, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            found = _read(fd)
            process = f" (process {found.pid})" if found else ""
            raise SandboxTaken(
                f"A sandbox runs in {folder} already{process}: stop that one, or speak to it with --sandbox, as in "
                "`trunkline status --sandbox`."
            )
        time.sleep(POLL_S)


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(fd: int) -> RunningSandbox | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(os.pread(fd, MAX_BYTES, 0))
        return RunningSandbox(str(told["url"]), int(told["pid"]))
    return None
