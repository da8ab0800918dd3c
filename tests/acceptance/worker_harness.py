"""Real processes for acceptance tests: commands, each in a process of its own, and worker processes with their logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, TypeVar

Found = TypeVar("Found")

PATIENCE_S = 40.0  # of a machine that is busy with other things
TRUNKLINE = str(Path(sys.executable).with_name("trunkline"))

# A process that has the commands imported and forks for each: a real process a command, without its second of imports.
FORKS = """
import importlib, json, os, pkgutil, sys, traceback
from trunkline import cli
from trunkline.cli import main

for each in pkgutil.iter_modules(cli.__path__):
    importlib.import_module(f"trunkline.cli.{each.name}")
for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if pid == 0:
        try:
            for fd, (name, flags) in enumerate(zip(asked["files"], (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY))):
                os.dup2(os.open(name, flags), fd)
            os.environ.clear()
            os.environ.update(asked["env"])
            os.chdir(asked["cwd"])
            sys.argv = ["trunkline", *asked["args"]]
            sys.stdin = open(0, closefd=False)
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else end.code is not None
        except BaseException:
            traceback.print_exc()
            code = 70
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def until(condition: Callable[[], Found], what: str | Callable[[], str], within: float = PATIENCE_S) -> Found:
    """The first thing the condition returns that is true; fails with `what` was waited for when time is up."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what if isinstance(what, str) else what()}: not within {within:g} s")
        time.sleep(0.03)
    return found


def environment(**variables: object) -> dict[str, str]:
    """This process's environment without anything that configures trunkline, and with these variables."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("TRUNKLINE_", "BLAND_"))}
    return ours | {name: str(value) for name, value in variables.items()}


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended: its exit code and what it wrote. No command may end in a traceback."""

    args: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class Commands:
    """Runs `trunkline ...` with an environment and a working directory; a context manager."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.env = dict(env)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.env
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.communicate(timeout=PATIENCE_S)

    def __call__(self, *args: str, stdin: str = "", cwd: Path | str | None = None, **env: str) -> Ran:
        """Runs one command to its end; `env` comes over the environment of all, "" takes a variable out."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        files = [self.folder / f".command-{name}" for name in ("in", "out", "err")]
        for file in files:
            file.write_text(stdin if file.name.endswith("in") else "", "utf-8")
        variables = self.env | {"COLUMNS": "200"} | env
        asked = {
            "args": args, "files": list(map(str, files)), "cwd": str(cwd or self.folder),
            "env": {name: value for name, value in variables.items() if value},
        }  # fmt: skip
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        ran = Ran(args, code, files[1].read_text("utf-8"), files[2].read_text("utf-8"))
        assert "Traceback" not in ran.err, ran.err
        return ran


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process, and where it logs to."""

    process: subprocess.Popen[bytes]
    log: Path

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one event name."""
        lines = (json.loads(line) for line in self.log.read_text("utf-8").splitlines() if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]

    def stop(self) -> int:
        """Asks it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextmanager
def working(log: Path, env: Mapping[str, str], *args: str) -> Iterator[Worker]:
    """A worker process, up and looking for work, until the block ends; `args`: another command that works."""
    command = args or (sys.executable, "-m", "trunkline.app")
    with log.open("ab") as file, _spawned(command, env, file) as process:
        before = log.read_text("utf-8").count('"worker_started"')
        worker = Worker(process, log)
        until(lambda: _is_up(worker, before), f"a worker that starts, see {log}")
        yield worker


def _is_up(worker: Worker, before: int) -> bool:
    assert worker.process.poll() is None, worker.log.read_text("utf-8")
    return worker.log.read_text("utf-8").count('"worker_started"') > before


@contextmanager
def _spawned(command: tuple[str, ...], env: Mapping[str, str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=dict(env), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
