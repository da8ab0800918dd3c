"""Keeps processes alive: starts the workers and what runs beside them, restarts what dies, stops all in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Thread
from typing import IO, Final

from trunkline.telemetry.logs import Log, logger

WATCH_S: Final = 0.1
FIRST_PAUSE_S: Final = 0.2  # before a process that died is started again; doubled while it keeps dying early
MAX_PAUSE_S: Final = 10.0
STEADY_S: Final = 10.0  # a process that lived this long starts the pauses anew
FAILED: Final = 1  # exit code: of every end with a sentence
USAGE: Final = 2  # exit code: the configuration is wrong, so starting again changes nothing
AFTER_GRACE_S: Final = 5.0
ORPHAN_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is kept running: its arguments after `python -m`, and the open files it is handed."""

    arguments: tuple[str, ...]
    files: tuple[int, ...] = ()


def end_with_supervisor() -> None:
    """Ends this process (SIGINT to itself) when the supervisor that started it is gone, however it went."""
    supervisor = os.environ.get("TRUNKLINE_SUPERVISOR_PID")

    def watch() -> None:
        while str(os.getppid()) == supervisor:  # it may have gone before we looked for the first time
            time.sleep(ORPHAN_LOOK_S)
        logger().warning(Log.process_orphaned)
        os.kill(os.getpid(), signal.SIGINT)  # at once: whoever starts it again needs its address

    if supervisor:
        Thread(target=watch, name="supervisor", daemon=True).start()


WORKER: Final = Program(("trunkline.app",))


@dataclass(slots=True)
class _Slot:
    """One process's place: what runs in it, whoever is in it now, and when the next may start."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    not_before: float = 0.0
    code: int | None = None  # of the last one that ended


@dataclass(slots=True)
class Supervisor:
    """Runs `processes` workers, and what else is named, with this environment until stop().

    `in_vain` is asked whether it is no use to start workers again, when every one of them has ended with a sentence.
    """

    env: Mapping[str, str]
    processes: int
    grace_s: float
    stderr: IO[bytes] | None = None  # where the processes log to; None: where we do
    beside: Sequence[Program] = ()
    in_vain: Callable[[], bool] = lambda: False
    _slots: list[_Slot] = field(default_factory=list)
    # Plain flags: a signal's handler that takes a lock waits for ever if its own thread held that lock just then.
    _stopping: bool = False
    _signum: int = signal.SIGTERM
    _hurry: bool = False
    _steady: bool = False  # a process has been up: a configuration broken since then must not end the others

    def start(self) -> None:
        """Starts every process; returns at once."""
        self._slots = [_Slot(program) for program in (*self.beside, *[WORKER] * self.processes)]
        for slot in self._slots:
            self._spawn(slot)

    def run(self) -> int:
        """Watches until stop() and the last process is gone.

        Exit code 0; 2 where the configuration is wrong; 1 where it is no use to start workers again.
        """
        while not self._stopping:
            for slot in self._slots:
                if slot.process is None:
                    if time.monotonic() >= slot.not_before:
                        self._spawn(slot)
                elif (code := slot.process.poll()) is None:
                    self._steady = self._steady or time.monotonic() - slot.started >= STEADY_S
                else:
                    if code == USAGE and not self._steady:
                        self.stop()
                        self._end()
                        return USAGE
                    self._bury(slot, code)
                    if self._no_worker_is_left() and self.in_vain():
                        self.stop()
                        self._end()
                        return FAILED
            time.sleep(WATCH_S)
        self._end()
        return 0

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Asks run() to end everything within the grace time; asked again, at once.

        `signum` is what the programs beside the workers are sent: SIGINT where a person is waiting.
        """
        if self._stopping:
            self._hurry = True
        self._signum = signum
        self._stopping = True

    def pids(self) -> list[int]:
        """The processes that are alive now."""
        return [slot.process.pid for slot in self._slots if slot.process and slot.process.poll() is None]

    def _no_worker_is_left(self) -> bool:
        workers = [slot for slot in self._slots if slot.program == WORKER]
        return all(slot.process is None and slot.code == FAILED for slot in workers)

    def _spawn(self, slot: _Slot) -> None:
        env = dict(self.env) | {"TRUNKLINE_SUPERVISOR_PID": str(os.getpid())}
        slot.process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *slot.program.arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stderr=self.stderr,
            pass_fds=slot.program.files,
        )
        slot.started = time.monotonic()
        logger().info(Log.process_started, pid=slot.process.pid)

    def _bury(self, slot: _Slot, code: int) -> None:
        now = time.monotonic()
        if now - slot.started >= STEADY_S:
            slot.pause_s = FIRST_PAUSE_S
        slot.not_before = now + slot.pause_s
        logger().error(
            Log.process_died, pid=slot.process.pid if slot.process else None, code=code, again_in_s=slot.pause_s
        )
        slot.pause_s = min(MAX_PAUSE_S, 2 * slot.pause_s)
        slot.process, slot.code = None, code

    def _end(self) -> None:
        for slot in self._slots:
            if slot.process is not None:
                slot.process.send_signal(signal.SIGTERM if slot.program == WORKER else self._signum)
        alive = [slot.process for slot in self._slots if slot.process is not None]
        deadline = time.monotonic() + self.grace_s + AFTER_GRACE_S
        while any(process.poll() is None for process in alive) and time.monotonic() < deadline and not self._hurry:
            time.sleep(WATCH_S)
        for process in alive:
            if process.poll() is None:
                logger().error(Log.process_killed, pid=process.pid)
                process.kill()
                process.wait()
