"""A process of trunkline with its children: what they log, how they are stopped or killed, when the last is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from acceptance.worker_harness import PATIENCE_S, until

WORKER: Final = (sys.executable, "-m", "trunkline.app")
TRUNKLINE: Final = (sys.executable, "-m", "trunkline")


class Running:
    """A process of trunkline and its children: they share its stderr, so the end of that says that all are gone."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,  # a process group of its own, as in a terminal: Ctrl-C reaches all of it
        )  # fmt: skip
        self.lines: list[str] = []
        self.all_gone = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event, of it and its children."""
        lines = (json.loads(line) for line in list(self.lines) if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]

    def says(self, event: str, times: int = 1) -> None:
        """Waits until an event was logged so often."""
        until(lambda: len(self.logged(event)) >= times or not self._talks(event), f"{event} x{times} of {self}")
        assert len(self.logged(event)) >= times, self

    def children(self) -> list[int]:
        """The worker processes that a supervisor has started and not lost again."""
        lost = {line["pid"] for line in self.logged("process_died")}
        return [line["pid"] for line in self.logged("process_started") if line["pid"] not in lost]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        os.killpg(self.pid, number)

    def exit_code(self) -> int:
        """Waits for its end."""
        return self.process.wait(PATIENCE_S)

    def has_left_nobody(self) -> bool:
        """Waits until it and all its children are gone."""
        return self.all_gone.wait(PATIENCE_S)

    def was_surprised(self) -> list[str]:
        """What it and its children logged of exceptions that nobody expected."""
        return [line for line in self.lines if "Traceback" in line]

    def close(self) -> None:
        """Ends what is left of it, stopped or not."""
        if not self.all_gone.is_set():
            with suppress(ProcessLookupError):
                self.signal_group(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)

    def __repr__(self) -> str:
        return f"{self.process.args!r} ({self.pid}), which said:\n" + "\n".join(self.lines[-40:])

    def _talks(self, event: str) -> bool:
        return not self.all_gone.is_set() or bool(self.logged(event))

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
        self.all_gone.set()


def kill(pid: int) -> None:
    """`kill -9`."""
    os.kill(pid, signal.SIGKILL)
