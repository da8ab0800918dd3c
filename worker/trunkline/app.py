"""The composition root of a worker process: `dramatiq trunkline.app:main` or `python -m trunkline.app`."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import dramatiq
from dramatiq import Worker

from trunkline import __version__
from trunkline.bland.client import BlandApi
from trunkline.bootstrap import Opened, examine_for_work, open_store, policies_of
from trunkline.config.sandbox import load_settings
from trunkline.config.settings import ConfigError, Settings
from trunkline.engine.dispatcher import BEAT_S, BEATS, Dispatcher, Hints
from trunkline.engine.processor import AccountApi, BatchProcessor
from trunkline.errors import InvalidEvent, TrunklineError
from trunkline.redaction import make_scrubber
from trunkline.runtime import actors, events_queue
from trunkline.runtime.broker import HintBroker
from trunkline.runtime.event_actor import EventRefused, FrontDoor, GivenBack
from trunkline.runtime.events_queue import EventsBroker
from trunkline.runtime.orphans import orphan_check
from trunkline.store import StoreError, StoreNewer
from trunkline.store.registry import Registration
from trunkline.store.vault import Vault
from trunkline.telemetry import logs
from trunkline.telemetry.logs import Log, logger

LOG_STYLE: Final = "TRUNKLINE_LOG"  # json or people
STOP_LOOK_S: Final = 0.1
FAILED: Final = 1  # exit codes, as of every command
USAGE: Final = 2


@dataclass(frozen=True, slots=True)
class App:
    """The parts of one worker process."""

    settings: Settings
    opened: Opened
    provisioner: BatchProcessor
    broker: HintBroker
    attach: dramatiq.Actor[[], None]
    events: EventsBroker
    registration: Registration
    life: WorkerLife


class WorkerLife(dramatiq.Middleware):
    """Starts and stops the dispatcher and the events' worker together with dramatiq's own worker.

    The events queue has a worker of its own: events that wait for room must not take the threads whose work makes room.
    dramatiq's command starts only one worker, that of the hints.
    """

    def __init__(self) -> None:
        self.app: App | None = None
        self.newer: StoreNewer | None = None  # the reason to stop: the store takes only newer programs
        self._dispatcher: Dispatcher | None = None
        self._events: Worker | None = None

    def after_worker_boot(self, _broker: dramatiq.Broker, worker: Worker) -> None:
        """Start the dispatcher and the events' worker once dramatiq's threads run."""
        app = self._need_app()
        hints = Hints(
            send=lambda n: _send_hints(app, n),
            unread=lambda: app.broker.unread,
            free_threads=lambda: max(0, worker.worker_threads - app.provisioner.busy),
        )
        self._dispatcher = Dispatcher(
            app.opened.store,
            hints,
            registration=app.registration,
            beat_s=_beat_s(app.settings),
            about=lambda: _about(worker.worker_threads, app.provisioner.busy),
            keep_attached_days=app.settings.store.keep_attached_days,
            orphaned=orphan_check(os.environ),
            on_orphaned=lambda: os.kill(os.getpid(), signal.SIGTERM),
            on_newer=self._give_up,
        )
        self._dispatcher.start()
        self._events = events_queue.start(app.events)
        logger().info(Log.worker_started, threads=worker.worker_threads, profiles=len(app.settings.profiles))

    def before_worker_shutdown(self, _broker: dramatiq.Broker, _worker: Worker) -> None:
        """Stop claims, hints and waits for work."""
        app = self._need_app()
        logger().info(Log.worker_stopping, busy=app.provisioner.busy)
        app.provisioner.stop()
        app.broker.stop()
        app.events.stopping.set()
        if self._dispatcher:
            self._dispatcher.stop()

    def after_worker_shutdown(self, _broker: dramatiq.Broker, _worker: Worker) -> None:
        """Close the store once the threads have ended or the grace time is over."""
        app = self._need_app()
        if self._events:
            self._events.stop(timeout=events_queue.STOP_MS)
        logger().info(Log.worker_stopped, abandoned=app.provisioner.busy)
        app.opened.close()

    def _give_up(self, newer: StoreNewer) -> None:
        self.newer = newer
        os.kill(os.getpid(), signal.SIGTERM)

    def _need_app(self) -> App:
        if self.app is None:
            raise RuntimeError("the middleware was used before compose() was done")
        return self.app


def compose(settings: Settings) -> App:
    """Build a worker process: open and examine the store, publish the configuration, declare the actors."""
    opened = open_store(settings)
    try:
        return _composed(settings, opened)
    except BaseException:
        opened.close()
        raise


def _composed(settings: Settings, opened: Opened) -> App:
    examine_for_work(opened)
    store = opened.store
    registration = Registration(
        store,
        policies_of(settings),
        worker=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        ttl_ms=int(BEATS * _beat_s(settings) * 1000),
    )
    joined = registration.join(_about(settings.worker.threads, 0))
    logger().info(Log.profiles_published, profiles=len(settings.profiles), changed=joined.changed)
    scrub = make_scrubber(settings.secret_values())
    apis = {
        name: AccountApi(BlandApi(account), account.base_url, account.pause_initial_s, account.pause_max_s)
        for name, account in settings.accounts.items()
    }
    provisioner = BatchProcessor(
        store,
        profiles=settings.profiles,
        apis=apis,
        vault=Vault(store, settings.secret_key),
        scrub=scrub,
        lease_s=settings.worker.lease_s,
        keyed_hash=settings.keyed_hash(),
    )
    life = WorkerLife()
    broker = HintBroker(middleware=[life])
    attach = actors.declare_attach(broker, lambda: _work(provisioner))
    events = EventsBroker(opened.broker_client)
    front_door = FrontDoor(store, settings, events.stopping)
    actors.declare_events(events, front_door.take, expected=(EventRefused, InvalidEvent, GivenBack))
    life.app = App(settings, opened, provisioner, broker, attach, events, registration, life)
    return life.app


def main(env: Mapping[str, str] | None = None) -> App:
    """Read the environment and the file, compose, and set dramatiq's broker: `dramatiq trunkline.app:main`.

    A configuration that can't be used ends the process with code 2 and a sentence for each mistake, a store that can't
    be used with code 1.
    """
    if env is None:
        env = os.environ
    try:
        settings = load_settings(None, env)
        style: Any = env.get(LOG_STYLE) or None
        logs.configure(style=style, scrub=make_scrubber(settings.secret_values()))
        app = compose(settings)
    except TrunklineError as error:
        sys.stderr.write(f"trunkline: {error}\n")
        code = FAILED
        if isinstance(error, ConfigError):
            code = USAGE
        raise SystemExit(code) from error
    dramatiq.set_broker(app.broker)
    for warning in settings.warnings:
        logger().warning(Log.configuration_warning, place=warning.place, message=warning.message)
    return app


def run(env: Mapping[str, str]) -> None:
    """Run one supervised worker process until SIGTERM, then at most the grace time longer.

    If the store takes only newer programs, the process stops by itself with code 1 and a sentence.
    """
    stopping = False

    def on_term(_signum: int, _frame: FrameType | None) -> None:
        # A second signal changes nothing: a service manager and our supervisor may both send one. A plain flag, since
        # the lock of an Event may be held by the thread that the signal interrupts.
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, on_term)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    app = main(env)
    threads = int(env.get("TRUNKLINE_THREADS", app.settings.worker.threads))
    worker = Worker(app.broker, worker_threads=threads)
    worker.start()
    while not stopping:
        time.sleep(STOP_LOOK_S)
    worker.stop(timeout=int(app.settings.worker.grace_s * 1000))
    if app.life.newer:
        sys.stderr.write(f"trunkline: {app.life.newer}\n")
        raise SystemExit(FAILED)


def _beat_s(settings: Settings) -> float:
    """Seconds between two beats, so that a lost worker is noticed before its lease ends."""
    return min(BEAT_S, settings.worker.lease_s / (BEATS + 1))


def _about(threads: int, busy: int) -> dict[str, str | int]:
    """The worker's entry in the register."""
    return {
        "host": socket.gethostname(), "pid": os.getpid(), "version": __version__, "threads": threads, "busy": busy,
    }  # fmt: skip


def _work(provisioner: BatchProcessor) -> bool:
    try:
        return provisioner.work()
    except StoreError as error:  # a store that refuses commands may take them later; the dispatcher hints again
        logger().error(Log.store_unavailable, error=str(error))
        return False


def _send_hints(app: App, n: int) -> None:
    for _ in range(n):
        app.attach.send()


if __name__ == "__main__":
    run(os.environ)
