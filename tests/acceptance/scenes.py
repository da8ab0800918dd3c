"""Scenes: an account with its own stand-in, a profile on it, a few numbers, and what the API shall do with them.

All scenes of a module begin at once, in one store and with one worker process; its tests then look at one each. In a
scene of up to 26 numbers they are called by the letters a to z, so that calls read as words: `["abc", "c"]`.
"""

from __future__ import annotations

import itertools
import json
import socket
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import httpx

from acceptance.worker_harness import Commands, Worker, environment, until, working
from support.servers import HOST, running
from trunkline.bland.attach import request_body
from trunkline.bootstrap import open_store
from trunkline.config.settings import Settings, load
from trunkline.config.store_place import place_of
from trunkline.events.event import NumberEvent
from trunkline.lifecycle import State
from trunkline.operations.documents import status_document
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import Store, queries
from trunkline.store.model import Entry
from trunkline_producers.enqueue.enqueuer import Enqueuer, Summary

KEY = "sandbox-key"
INBOUND = [{"type": "inbound"}]
ENDED = (State.attached, State.dead)

Step = Mapping[str, Any]
Script = Callable[[Sequence[str]], Sequence[Step]]


@dataclass(frozen=True, eq=False)
class Scene:
    """What is written down of it; `script` is given the numbers, `already` are attached before anything begins."""

    name: str
    numbers: tuple[str, ...]
    script: Script
    directions: Sequence[Mapping[str, Any]]
    batch: Mapping[str, Any]
    retry: Mapping[str, Any]
    account: Mapping[str, Any]
    rules: Mapping[str, Any]
    already: str = ""
    endpoint_before: str | None = None
    enqueued: str | None = None  # at the start; None: all
    reachable: bool = True

    def named(self, letters: str) -> list[str]:
        """The numbers that these letters call."""
        return [self.numbers[ascii_lowercase.index(letter)] for letter in letters]

    def word(self, numbers: Sequence[str]) -> str:
        """The letters of these numbers, sorted."""
        return "".join(sorted(ascii_lowercase[self.numbers.index(number)] for number in numbers))


@dataclass
class Scenes:
    """The scenes of a module, as they are written down one by one."""

    written: list[Scene] = field(default_factory=list)

    def __call__(
        self,
        *steps: Step,
        count: int = 1,
        script: Script | None = None,
        directions: Sequence[Mapping[str, Any]] = INBOUND,
        batch: Mapping[str, Any] | None = None,
        retry: Mapping[str, Any] | None = None,
        account: Mapping[str, Any] | None = None,
        rules: Mapping[str, Any] | None = None,
        already: str = "",
        endpoint_before: str | None = None,
        enqueued: str | None = None,
        reachable: bool = True,
    ) -> Scene:
        index = len(self.written)
        numbers = tuple(f"+1415{2_000_000 + 1_000 * index + each:07d}" for each in range(count))
        scene = Scene(
            f"scene-{index}", numbers, script or (lambda _: steps), directions, batch or {}, retry or {},
            account or {}, rules or {}, already, endpoint_before, enqueued, reachable,
        )  # fmt: skip
        self.written.append(scene)
        return scene


@dataclass
class Stage:
    """The scenes as they are played."""

    folder: Path
    env: dict[str, str]
    settings: Settings
    store: Store
    enqueuer: Enqueuer
    sandboxes: dict[str, Sandbox]
    worker: Worker
    trunkline: Commands
    url: str
    doors: dict[str, socket.socket]
    _before: dict[str, int] = field(default_factory=dict)
    _events: Iterator[int] = field(default_factory=itertools.count)

    def sandbox(self, scene: Scene) -> Sandbox:
        return self.sandboxes[scene.name]

    def enqueue(self, scene: Scene, letters: str | None = None, *, force: bool = False) -> Summary:
        """One event of these numbers, of all without letters."""
        numbers = scene.numbers if letters is None else tuple(scene.named(letters))
        event = NumberEvent(event_id=f"event-{next(self._events)}", numbers=numbers, profile=scene.name, force=force)
        return self.enqueuer.enqueue([event])

    def entries(self, scene: Scene) -> list[Entry]:
        """What the store has of the scene's numbers, in their order."""
        return list(queries.entries(self.store, ((scene.name, number) for number in scene.numbers)))

    def entry(self, scene: Scene, letter: str = "a") -> Entry:
        return self.entries(scene)[ascii_lowercase.index(letter)]

    def have_ended(self, scene: Scene) -> list[Entry]:
        """Waits until each number of the scene is attached or dead."""

        def ended() -> list[Entry]:
            entries = self.entries(scene)
            return entries if all(each.state in ENDED for each in entries) else []

        return until(ended, lambda: f"{scene.name} {self.told(scene)}")

    def ends(self, scene: Scene, *, attached: str = "", dead: str = "") -> None:
        """Waits for the end and compares."""
        entries = self.have_ended(scene)
        found = {state: scene.word([e.number for e in entries if e.state is state]) for state in ENDED}
        assert found == {State.attached: attached, State.dead: dead}, self.told(scene)

    def sent(self, scene: Scene) -> list[str]:
        """The attach calls of the worker, each as a word."""
        return [scene.word(call["numbers"]) for call in self.log(scene)]

    def log(self, scene: Scene) -> list[dict[str, Any]]:
        """The stand-in's log of the worker's attach calls."""
        return self.sandbox(scene).log()[self._before.get(scene.name, 0) :]

    def calls(self, scene: Scene, *endpoints: str) -> int:
        """How many requests came for these endpoints."""
        return sum(self.sandbox(scene).stats()["calls"].get(endpoint, 0) for endpoint in endpoints)

    def read_backs(self, scene: Scene) -> int:
        return self.calls(scene, "number", "numbers")

    def pause(self, scene: Scene) -> dict[str, Any] | None:
        """What status says of the scene's account."""
        accounts = status_document(queries.books(self.store), place_of(self.settings))["accounts"]
        paused: dict[str, Any] | None = next(a["paused"] for a in accounts if a["account"] == scene.name)
        return paused

    def told(self, scene: Scene) -> str:
        """Everything that helps to understand a failure."""
        states = [(e.number, e.state.value, e.attempts, e.error_code, e.message) for e in self.entries(scene)]
        return f"{states}\n{self.log(scene)}\n{self.pause(scene)}"

    def attach_by_hand(self, scene: Scene, letters: str) -> None:
        """Attaches numbers behind the worker's back, to the scene's endpoint or another one."""
        if not letters:
            return
        body = request_body(self.settings.profiles[scene.name], scene.named(letters))
        if scene.endpoint_before:
            body["directions"] = [{"type": "inbound", "sip_endpoint": scene.endpoint_before}]
        url = f"{self.sandbox(scene).base_url}/v1/sip/attach"
        httpx.post(url, json=body, headers={"authorization": KEY}).raise_for_status()
        self._before[scene.name] = len(self.sandbox(scene).log())

    @contextmanager
    def restarted(self, scenes: Scenes, directions: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[None]:
        """Ends the worker, and goes on with one whose profiles have these directions in place of the scene's."""
        assert self.worker.stop() == 0
        base_urls = {name: account.base_url for name, account in self.settings.accounts.items()}
        write_configuration(Path(self.env["TRUNKLINE_CONFIG"]), self.url, scenes, base_urls, directions)
        with working(self.worker.log, self.env):
            yield

    @contextmanager
    def reachable(self, scene: Scene) -> Iterator[Sandbox]:
        """From now on the API of this scene answers."""
        door = self.doors[scene.name]
        port = door.getsockname()[1]
        door.close()
        with Sandbox(SandboxRules(api_key=KEY, latency_s=0, fail_rate=0), port=port) as sandbox:
            self.sandboxes[scene.name] = sandbox
            yield sandbox

    def begin(self, scenes: Scenes) -> None:
        for scene in scenes.written:
            if scene.reachable:
                self.attach_by_hand(scene, scene.already)
                self.sandbox(scene).script(scene.script(scene.numbers))
            if scene.enqueued != "":
                self.enqueue(scene, scene.enqueued)


@contextmanager
def playing(scenes: Scenes, folder: Path) -> Iterator[Stage]:
    """Store, stand-ins and a worker process; every scene has begun."""
    with ExitStack() as stack:
        server = stack.enter_context(running("valkey", folder, appendonly="yes", appendfsync="always"))
        sandboxes: dict[str, Sandbox] = {}
        doors: dict[str, socket.socket] = {}
        for scene in scenes.written:
            rules = SandboxRules.from_mapping({"api_key": KEY, "latency_s": 0, "fail_rate": 0, **scene.rules})
            if scene.reachable:
                sandboxes[scene.name] = stack.enter_context(Sandbox(rules))
            else:
                doors[scene.name] = stack.enter_context(socket.socket())
                doors[scene.name].bind((HOST, 0))  # nobody else gets the port, and nobody answers there
        base_urls = {name: f"http://{HOST}:{door.getsockname()[1]}" for name, door in doors.items()}
        base_urls |= {name: sandbox.base_url for name, sandbox in sandboxes.items()}
        config = write_configuration(folder / "trunkline.toml", server.url, scenes, base_urls)
        key = urlsafe_b64encode(b"\xfb\xff" * 16).decode()  # as `secrets` and others write it, with - and _
        env = environment(
            TRUNKLINE_CONFIG=config, BLAND_API_KEY=KEY, SIP_PASSWORD="sip-password", TRUNKLINE_SECRET_KEY=key
        )
        settings = load(config, env)
        opened = open_store(settings)
        stack.callback(opened.close)
        enqueuer = Enqueuer.from_settings(opened.store, settings)
        trunkline = stack.enter_context(Commands(folder, env))
        worker = stack.enter_context(working(folder / "worker.log", env))
        stage = Stage(folder, env, settings, opened.store, enqueuer, sandboxes, worker, trunkline, server.url, doors)
        stage.begin(scenes)
        yield stage


def write_configuration(
    path: Path,
    url: str,
    scenes: Scenes,
    base_urls: Mapping[str, str],
    directions: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> Path:
    """A trunkline.toml with an account and a profile for each scene; `directions` in place of a scene's own."""
    accounts: dict[str, dict[str, Any]] = {}
    profiles: dict[str, dict[str, Any]] = {}
    for scene in scenes.written:
        accounts[scene.name] = {
            "base_url": base_urls[scene.name], "key": {"env": "BLAND_API_KEY"}, "timeout_s": 10,
            "requests_per_second": 500, "max_concurrency": 1, "pause_initial_s": 0.3, "pause_max_s": 2.0,
            **scene.account,
        }  # fmt: skip
        profiles[scene.name] = {
            "account": scene.name,
            "directions": list((directions or {}).get(scene.name, scene.directions)),
            "batch": {"max_wait_s": 0.05, **scene.batch},
            "retry": {"max_attempts": 4, "initial_s": 0.1, "max_s": 0.5, **scene.retry},
        }
    lines = ["[store]", f'url = "{url}"', "[worker]", "threads = 16", "lease_s = 20.0", "grace_s = 5.0"]
    for section, tables in (("accounts", accounts), ("profiles", profiles)):
        lines += [f"[{section}]", *(f"{name} = {as_toml(table)}" for name, table in tables.items())]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def as_toml(value: object) -> str:
    """A value in TOML, tables inline."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {as_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
