"""A command at a terminal, and what it shows there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from acceptance.worker_harness import PATIENCE_S


class Terminal:
    """What one process has shown so far, colours and movements of the cursor included."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self.shown = ""
        self._screen = screen

    def until(self, words: str) -> None:
        """Waits until the words have been shown; AssertionError with everything shown if they never are."""
        deadline = time.monotonic() + PATIENCE_S
        while words not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0, f"{words!r} was never shown:\n{self.shown}"
            if select.select([self._screen], [], [], left)[0]:
                self.shown += os.read(self._screen, 65_536).decode(errors="replace")


@contextmanager
def at_a_terminal(command: Sequence[str], env: Mapping[str, str]) -> Iterator[Terminal]:
    """The command with its output on a terminal of its own; killed at the end if it still runs."""
    screen, line = pty.openpty()
    process = subprocess.Popen(command, env=dict(env), stdin=subprocess.DEVNULL, stdout=line, stderr=line)
    os.close(line)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait()
        os.close(screen)
