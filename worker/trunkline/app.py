"""The composition root: `dramatiq trunkline.app:main` or `python -m trunkline.app`, one worker process."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import dramatiq
from dramatiq import Worker
from dramatiq.broker import MessageProxy

from trunkline import actors, observe
from trunkline.actors import ATTACH_QUEUE, EVENTS_QUEUE, Actors
from trunkline.attach import make_scrubber
from trunkline.bland import BlandApi
from trunkline.contract import InvalidEvent, TrunklineError
from trunkline.dispatcher import Dispatcher, Hints
from trunkline.frontdoor import EventRefused, FrontDoor
from trunkline.hints import HintBroker
from trunkline.observe import Log, logger
from trunkline.opening import Opened, examine_for_work, open_store
from trunkline.policies import policies_of
from trunkline.provision import Desk, Provisioner
from trunkline.settings import ConfigError, Settings
from trunkline.standin import load_settings
from trunkline.store.connect import translated
from trunkline.vault import Vault

SUPERVISOR_PID: Final = "TRUNKLINE_SUPERVISOR_PID"  # set for its children, so that they notice when it is gone
LOG_STYLE: Final = "TRUNKLINE_LOG"  # json or people
STOP_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class App:
    """Everything one worker process is made of."""

    settings: Settings
    opened: Opened
    provisioner: Provisioner
    broker: HintBroker
    actors: Actors
    life: WorkerLife


class WorkerLife(dramatiq.Middleware):
    """Starts the dispatcher with dramatiq's worker, and stops claims, waits and dispatcher with it."""

    def __init__(self) -> None:
        self.app: App | None = None
        self._dispatcher: Dispatcher | None = None

    @property
    def actor_options(self) -> set[str]:
        """The options of actors that mean something here."""
        return {"throws"}

    def after_worker_boot(self, _broker: dramatiq.Broker, worker: Worker) -> None:
        """The threads are there: from now on work is looked for."""
        app = self._need_app()
        parent = os.getppid()
        hints = Hints(
            send=lambda n: _send_hints(app, n),
            unread=lambda: _unread_hints(app),
            free_threads=lambda: max(0, worker.worker_threads - app.provisioner.busy),
        )
        self._dispatcher = Dispatcher(
            app.opened.store,
            hints,
            policies=policies_of(app.settings),
            keep_attached_days=app.settings.store.keep_attached_days,
            orphaned=lambda: os.getppid() != parent or _supervisor_is_gone(),
            on_orphaned=lambda: os.kill(os.getpid(), signal.SIGTERM),
        )
        self._dispatcher.start()
        logger().info(Log.worker_started, threads=worker.worker_threads, profiles=len(app.settings.profiles))

    def after_process_message(
        self,
        _broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,  # noqa: ARG002 - dramatiq's
        exception: BaseException | None = None,
    ) -> None:
        """An event that can't be taken goes to dramatiq's dead letters; a hint that failed is only forgotten."""
        if exception is not None and message.queue_name == EVENTS_QUEUE:
            message.fail()

    def before_worker_shutdown(self, _broker: dramatiq.Broker, _worker: Worker) -> None:
        """No new claims, no hints, no idle waits."""
        app = self._need_app()
        logger().info(Log.worker_stopping, busy=app.provisioner.busy)
        app.provisioner.stop()
        app.broker.stop()
        if self._dispatcher:
            self._dispatcher.stop()

    def after_worker_shutdown(self, _broker: dramatiq.Broker, _worker: Worker) -> None:
        """The threads are done, or the grace time is over."""
        app = self._need_app()
        logger().info(Log.worker_stopped, abandoned=app.provisioner.busy)
        app.opened.close()

    def _need_app(self) -> App:
        if self.app is None:
            raise RuntimeError("the middleware was used before compose() was done")
        return self.app


def compose(settings: Settings) -> App:
    """Builds a worker process: opens and examines the store, publishes the configuration, declares the actors."""
    opened = open_store(settings)
    try:
        return _composed(settings, opened)
    except BaseException:
        opened.close()
        raise


def _composed(settings: Settings, opened: Opened) -> App:
    examine_for_work(opened)
    store = opened.store
    changed = store.publish(policies_of(settings), whole=True)
    logger().info(Log.profiles_published, profiles=len(settings.profiles), changed=changed)
    scrub = make_scrubber(settings.secret_values())
    desks = {
        name: Desk(BlandApi(account), account.base_url, account.pause_initial_s, account.pause_max_s)
        for name, account in settings.accounts.items()
    }
    provisioner = Provisioner(
        store,
        profiles=settings.profiles,
        desks=desks,
        vault=Vault(store, settings.secret_key),
        scrub=scrub,
        lease_s=settings.worker.lease_s,
    )
    life = WorkerLife()
    broker = HintBroker(opened.broker_client, middleware=[life])
    front_door = FrontDoor(store, settings)
    declared = actors.declare(
        broker, work=provisioner.work, take_event=front_door.take, expected=(EventRefused, InvalidEvent)
    )
    life.app = App(settings, opened, provisioner, broker, declared, life)
    return life.app


def main(env: Mapping[str, str] | None = None) -> App:
    """Reads the environment and the file, composes, and sets dramatiq's broker: `dramatiq trunkline.app:main`.

    A configuration or a store that can't be used ends the process with code 2 and a sentence for each mistake.
    """
    env = os.environ if env is None else env
    try:
        settings = load_settings(None, env)
        style: Any = env.get(LOG_STYLE) or None
        observe.configure(style=style, scrub=make_scrubber(settings.secret_values()))
        app = compose(settings)
    except TrunklineError as error:
        sys.stderr.write(f"trunkline: {error}\n")
        raise SystemExit(2 if isinstance(error, ConfigError) else 1) from error
    dramatiq.set_broker(app.broker)
    for warning in settings.warnings:
        logger().warning(Log.configuration_warning, place=warning.place, message=warning.message)
    return app


def run(env: Mapping[str, str]) -> None:
    """One supervised worker process: until SIGTERM, then at most the grace time."""
    stopping = False

    def on_term(_signum: int, _frame: FrameType | None) -> None:
        # Once more changes nothing: a service manager and our supervisor may both say it. No Event: its lock may be
        # held by the very thread that the signal interrupts.
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


def _unread_hints(app: App) -> int:
    with translated():
        return app.broker.waiting(ATTACH_QUEUE)


def _send_hints(app: App, n: int) -> None:
    with translated():
        for _ in range(n):
            app.actors.attach_batch.send()
    app.broker.wake.set()  # also for a hint of another process that lies there


def _supervisor_is_gone() -> bool:
    pid = os.environ.get(SUPERVISOR_PID)
    if not pid:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


if __name__ == "__main__":
    run(os.environ)
