"""Keeps processes alive: starts workers and the programs beside them, restarts those that die, stops all in time."""

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

from trunkline.runtime.orphans import SUPERVISOR_PID, orphan_check
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
    """A program to keep running: its arguments after `python -m`, and the file descriptors it inherits."""

    arguments: tuple[str, ...]
    files: tuple[int, ...] = ()


def end_with_supervisor() -> None:
    """Watch the supervisor that started this process and send SIGINT to itself once it is gone."""
    orphaned = orphan_check(os.environ)

    def watch() -> None:
        while not orphaned():
            time.sleep(ORPHAN_LOOK_S)
        logger().warning(Log.process_orphaned)
        os.kill(os.getpid(), signal.SIGINT)  # at once: whoever starts it again needs its address

    if SUPERVISOR_PID in os.environ:
        Thread(target=watch, name="supervisor", daemon=True).start()


WORKER: Final = Program(("trunkline.app",))


@dataclass(slots=True)
class _Slot:
    """The place of one process: its program, the process that runs now, and when the next may start."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    not_before: float = 0.0
    code: int | None = None  # exit code of the last process


@dataclass(slots=True)
class Supervisor:
    """Runs `processes` workers and the programs `beside` them, with the environment `env`, until stop().

    `in_vain` is called once every worker has ended with code 1, and says if starting them again is of no use.
    """

    env: Mapping[str, str]
    processes: int
    grace_s: float
    stderr: IO[bytes] | None = None  # of the processes; None: that of this process
    beside: Sequence[Program] = ()
    in_vain: Callable[[], bool] = lambda: False
    _slots: list[_Slot] = field(default_factory=list)
    # Plain flags, no locks: a signal handler would wait for ever for a lock that its own thread holds.
    _stopping: bool = False
    _signum: int = signal.SIGTERM
    _hurry: bool = False
    _steady: bool = False  # a process was up: a configuration that broke later must not end the others

    def start(self) -> None:
        """Start every process and return at once."""
        self._slots = [_Slot(program) for program in (*self.beside, *[WORKER] * self.processes)]
        for slot in self._slots:
            self._spawn(slot)

    def run(self) -> int:
        """Keep the processes running until stop() and return once the last has ended.

        The exit code is 0; 2 if the configuration is wrong; 1 if starting workers again is of no use.
        """
        result = 0
        while not self._stopping:
            for slot in self._slots:
                result = self._look_after(slot)
                if result:
                    self.stop()
                    break
            else:
                time.sleep(WATCH_S)
        self._end()
        return result

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Ask run() to end every process within the grace time; a second call ends them at once.

        `signum` is sent to the programs beside the workers: SIGINT if a person is waiting.
        """
        if self._stopping:
            self._hurry = True
        self._signum = signum
        self._stopping = True

    def pids(self) -> list[int]:
        """The ids of the processes that are alive."""
        return [slot.process.pid for slot in self._slots if slot.process and slot.process.poll() is None]

    def _look_after(self, slot: _Slot) -> int:
        """Start the slot's process if it is due and note its end; an exit code other than 0 ends the supervisor."""
        if slot.process is None:
            if time.monotonic() >= slot.not_before:
                self._spawn(slot)
            return 0
        code = slot.process.poll()
        if code is None:
            self._steady = self._steady or time.monotonic() - slot.started >= STEADY_S
            return 0
        if code == USAGE and not self._steady:
            return USAGE
        self._bury(slot, slot.process.pid, code)
        if self._no_worker_is_left() and self.in_vain():
            return FAILED
        return 0

    def _no_worker_is_left(self) -> bool:
        workers = [slot for slot in self._slots if slot.program == WORKER]
        return all(slot.process is None and slot.code == FAILED for slot in workers)

    def _spawn(self, slot: _Slot) -> None:
        env = dict(self.env) | {SUPERVISOR_PID: str(os.getpid())}
        slot.process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *slot.program.arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stderr=self.stderr,
            pass_fds=slot.program.files,
        )
        slot.started = time.monotonic()
        logger().info(Log.process_started, pid=slot.process.pid)

    def _bury(self, slot: _Slot, pid: int, code: int) -> None:
        now = time.monotonic()
        if now - slot.started >= STEADY_S:
            slot.pause_s = FIRST_PAUSE_S
        slot.not_before = now + slot.pause_s
        logger().error(Log.process_died, pid=pid, code=code, again_in_s=slot.pause_s)
        slot.pause_s = min(MAX_PAUSE_S, 2 * slot.pause_s)
        slot.process, slot.code = None, code

    def _end(self) -> None:
        """Ask every process to end, and kill those that are alive after the grace time."""
        alive = []
        for slot in self._slots:
            if slot.process is not None:
                signum = {WORKER: signal.SIGTERM}.get(slot.program, self._signum)
                slot.process.send_signal(signum)
                alive.append(slot.process)
        deadline = time.monotonic() + self.grace_s + AFTER_GRACE_S
        while any(process.poll() is None for process in alive) and time.monotonic() < deadline and not self._hurry:
            time.sleep(WATCH_S)
        for process in alive:
            if process.poll() is None:
                logger().error(Log.process_killed, pid=process.pid)
                process.kill()
                process.wait()
