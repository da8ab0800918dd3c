"""A fleet: worker processes of several configurations, old and new or of several hosts, around one store.

The processes are forked from one that has the worker imported, so that a restart costs no second of imports; each is a
process of its own, with its own environment and log, and is stopped as a service manager stops it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from acceptance.scenes import KEY, as_toml
from acceptance.worker_harness import PATIENCE_S, Commands, Ran, environment, until
from support.servers import running
from trunkline.bootstrap import open_store
from trunkline.config.settings import Settings, load
from trunkline.events.event import NumberEvent
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import Store, queries
from trunkline.store.model import Entry
from trunkline_producers.enqueue.enqueuer import Enqueuer, Summary

FORGE: Final = """
import json, os, sys, traceback
from trunkline.app import run

for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        print(os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        for fd, name, flags in ((0, os.devnull, os.O_RDONLY), (1, os.devnull, os.O_WRONLY), (2, asked["log"], 1089)):
            os.dup2(os.open(name, flags, 0o600), fd)
        os.environ.clear()
        os.environ.update(asked["env"])
        sys.stderr = open(2, "w", buffering=1, closefd=False)
        code = 0
        try:
            run(os.environ)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
            code = 70
        os._exit(code)
    print(pid, flush=True)
"""  # 1089: O_WRONLY | O_CREAT | O_APPEND


class Forge:
    """Forks worker processes and commands, for one fleet after the other; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.left: set[int] = set()
        self.trunkline = Commands(folder, environment())

    def __enter__(self) -> Self:
        self.trunkline.__enter__()
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()
        self._process.communicate(timeout=PATIENCE_S)
        self.trunkline.__exit__()

    def end_all(self) -> None:
        """Ends whoever is left, all at once."""
        for pid in self.left:
            os.kill(pid, signal.SIGTERM)
        while self.left:
            self._ask({"wait": self.left.pop()})

    def start(self, env: Mapping[str, str], log: Path) -> int:
        """A new worker process; its id."""
        pid = self._ask({"env": dict(env), "log": str(log)})
        self.left.add(pid)
        return pid

    def end(self, pid: int) -> int:
        """Asks a process to stop and waits for it; its exit code."""
        os.kill(pid, signal.SIGTERM)
        self.left.discard(pid)
        return self._ask({"wait": pid})

    def _ask(self, what: Mapping[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@dataclass(frozen=True, slots=True)
class Configuration:
    """A trunkline.toml with the environment of the processes that have it."""

    name: str
    env: Mapping[str, str]
    settings: Settings
    enqueuer: Enqueuer


@dataclass(frozen=True, slots=True)
class Member:
    """One worker process."""

    pid: int
    configuration: Configuration
    log: Path
    forge: Forge

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one event."""
        text = self.log.read_text("utf-8") if self.log.exists() else ""
        lines = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]

    def stop(self) -> None:
        """As a deploy stops it; it ends in order, and nothing surprised it."""
        assert self.forge.end(self.pid) == 0, self.log.read_text("utf-8")
        assert "Traceback" not in self.log.read_text("utf-8"), self.log.read_text("utf-8")


@dataclass
class Fleet:
    """The store, the stand-in, and whoever works; `sandbox` is the API of every account that names no other."""

    folder: Path
    url: str
    store: Store
    sandbox: Sandbox
    forge: Forge
    trunkline: Commands
    members: list[Member] = field(default_factory=list)
    _names: Iterator[int] = field(default_factory=count)
    _numbers: Iterator[int] = field(default_factory=count)
    _events: Iterator[int] = field(default_factory=count)

    def configuration(
        self,
        name: str,
        profiles: Mapping[str, Any],
        accounts: Mapping[str, Any] | None = None,
        retry: Mapping[str, Any] | None = None,
        **env: str,
    ) -> Configuration:
        """Writes a configuration; commands are asked with the one written last."""
        defaults = {
            "base_url": self.sandbox.base_url,
            "key": {"env": "BLAND_API_KEY"},
            "timeout_s": 25.0,
            "pause_initial_s": 1.0,
        }
        named = {account: {**defaults, **given} for account, given in (accounts or {"default": {}}).items()}
        lines = [
            "[store]",
            f'url = "{self.url}"',
            'acknowledge = "memory"',
            "[worker]",
            "threads = 8",
            "lease_s = 40.0",
            "grace_s = 10.0",
        ]
        lines += ["[retry]", *(f"{key} = {as_toml(value)}" for key, value in ({**RETRY, **(retry or {})}).items())]
        for section, tables in (("accounts", named), ("profiles", profiles)):
            lines += [f"[{section}]", *(f"{key} = {as_toml(table)}" for key, table in tables.items())]
        path = self.folder / f"{name}.toml"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        variables = environment(TRUNKLINE_CONFIG=path, BLAND_API_KEY=KEY, TRUNKLINE_SECRET_KEY=SECRET_KEY, **env)
        settings = load(path, variables)
        self.trunkline.env = variables
        return Configuration(name, variables, settings, Enqueuer.from_settings(self.store, settings))

    def start(self, configuration: Configuration, processes: int = 1) -> list[Member]:
        """Worker processes of a configuration, up and looking for work."""
        started = []
        for _ in range(processes):
            log = self.folder / f"worker-{next(self._names)}.log"
            pid = self.forge.start(configuration.env, log)
            started.append(Member(pid, configuration, log, self.forge))
        for member in started:
            until(lambda m=member: m.logged("worker_started"), lambda m=member: f"a worker that starts, see {m.log}")  # type: ignore[misc]
        self.members += started
        return started

    def new_numbers(self, many: int) -> list[str]:
        return [f"+1415{2_000_000 + next(self._numbers):07d}" for _ in range(many)]

    def push(self, configuration: Configuration, profile: str, numbers: Iterable[str], a_time: int = 50) -> Summary:
        """Events of these numbers for a profile, from a producer with this configuration."""
        left, summary = list(numbers), Summary()
        while left:
            event = NumberEvent(
                event_id=f"event-{next(self._events)}", numbers=tuple(left[:a_time]), profile=profile, source="tests"
            )
            summary += configuration.enqueuer.enqueue([event])
            left = left[a_time:]
        assert not summary.rejected, summary.rejected
        return summary

    def ask(self, *args: str) -> Ran:
        """A command that succeeds."""
        ran = self.trunkline(*args)
        assert ran.code == 0, (args, ran.code, ran.out, ran.err)
        return ran

    def entry(self, profile: str, number: str) -> Entry:
        (entry,) = queries.entries(self.store, [(profile, number)])
        return entry

    def counts(self, profile: str) -> dict[str, int]:
        """The books of a profile."""
        books = {book.profile: book for book in queries.books(self.store).profiles}
        return (
            dict(books[profile].counts) if profile in books else dict.fromkeys(("queued", "attaching", "attached"), 0)
        )

    def waits(self, *profiles: str) -> int:
        """How many numbers of these profiles wait or are under way."""
        books = queries.books(self.store).profiles
        return sum(b.counts["queued"] + b.counts["attaching"] for b in books if b.profile in profiles)

    def rests(self, *profiles: str, within: float = PATIENCE_S) -> None:
        """Waits until nothing of these profiles waits, and nothing at all is under way."""
        until(lambda: not self.waits(*profiles), lambda: f"the rest of {profiles}: {self.told()}", within)
        until(lambda: not self.store._client.zcard("{tl}:leases"), "the end of every lease")

    def is_sound(self) -> None:
        """Nothing is dead, the books balance, the audit finds nothing, no number was in two calls at once."""
        totals = queries.books(self.store).totals
        assert (totals["dead"], queries.books(self.store).balanced) == (0, True), self.told()
        self.ask("audit")
        seen = self.sandbox.stats()
        assert (seen["duplicates_in_call"], seen["in_two_calls_numbers"]) == (0, [])

    def held(self, number: str) -> dict[str, dict[str, Any]]:
        """What the API really has of a number, by direction: the fields as they were sent, passwords too."""
        held = self.sandbox._service._book._held.get(number, {})
        return {direction: dict(each.configuration.fields) for direction, each in held.items()}

    def endpoints(self, number: str) -> dict[str, str | None]:
        """Where each direction of a number leads."""
        return {direction: fields.get("sip_endpoint") for direction, fields in self.held(number).items()}

    def calls_of(self) -> dict[str, int]:
        """How often each number was sent."""
        return dict(self.sandbox._service._witness._times_sent)

    def told(self) -> str:
        """Everything that helps to understand a failure."""
        books = queries.books(self.store)
        return "\n".join(f"{book.profile}: {book.counts}, paused: {book.paused}" for book in books.profiles)


SECRET_KEY: Final = urlsafe_b64encode(b"\x2a" * 32).decode()  # with it a changed password is a changed configuration
RETRY: Final = {"max_attempts": 8, "initial_s": 0.2, "max_s": 1.0}


@contextmanager
def fleet(folder: Path, forge: Forge, **rules: Any) -> Iterator[Fleet]:
    """A server, a stand-in with these rules, and nobody at work yet."""
    (folder / "valkey").mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(running("valkey", folder / "valkey"))
        given = SandboxRules.from_mapping({"api_key": KEY, "latency_s": 0.02, "fail_rate": 0, **rules})
        sandbox = stack.enter_context(Sandbox(given))
        url = f"{server.url}?socket_timeout=60"  # a busy machine may well pause for longer than the default
        opening = folder / "opening.toml"
        opening.write_text(f'[store]\nurl = "{url}"\nacknowledge = "memory"\n', "utf-8")
        opened = open_store(load(opening, environment(BLAND_API_KEY=KEY)))
        stack.callback(opened.close)
        stack.callback(forge.end_all)
        forge.trunkline.folder = folder
        yield Fleet(folder, url, opened.store, sandbox, forge, forge.trunkline)
