"""One thread a process that asks the store what is due, sends hints for it, and takes up leases that ran out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from trunkline.observe import Log, logger
from trunkline.store import Store, StoreError, StoreUnavailable
from trunkline.store.model import Look, Policies

TICK_S: Final = 1.0  # the longest that new work waits to be noticed
LEAST_S: Final = 0.01
HOUSEKEEPING_S: Final = 60.0
DAY_S: Final = 86_400
ARCHIVE_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Hints:
    """How hints are sent: `send(n)`, how many lie unread, and how many threads of this process are free."""

    send: Callable[[int], None]
    unread: Callable[[], int]
    free_threads: Callable[[], int]


class Dispatcher(threading.Thread):
    """Looks each tick, and exactly when something is due or a lease ends. A store that is away is asked again."""

    def __init__(
        self,
        store: Store,
        hints: Hints,
        *,
        policies: Policies,
        keep_attached_days: int,
        orphaned: Callable[[], bool] = lambda: False,
        on_orphaned: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="dispatcher", daemon=True)
        self._store = store
        self._hints = hints
        self._policies = policies
        self._keep_days = keep_attached_days
        self._orphaned = orphaned
        self._on_orphaned = on_orphaned
        self._stopping = threading.Event()
        self._store_was_away = False
        self._next_housekeeping = time.monotonic() + HOUSEKEEPING_S

    def stop(self) -> None:
        """Ends the thread; returns when it sends no more hints."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        try:
            self._watch()
        except BaseException:
            logger().exception(Log.dispatcher_failed, hint="this process stops; without hints it would do nothing")
            self._on_orphaned()
            raise

    def _watch(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            if self._orphaned():
                logger().warning(Log.worker_orphaned, hint="the supervisor is gone; this process stops")
                self._on_orphaned()
            try:
                pause = self._tick()
                if self._store_was_away:
                    logger().info(Log.store_available)
                self._store_was_away = False
            except (StoreUnavailable, StoreError) as error:  # a full disk is the latter, and passes as well
                if not self._store_was_away:
                    logger().error(Log.store_unavailable, error=str(error))
                self._store_was_away = True
                pause = TICK_S

    def _tick(self) -> float:
        most = self._hints.free_threads()
        look = self._store.look(max(1, most))
        if look.next_lease_ms == 0:
            reaped = self._store.reap()
            if reaped.batches:
                logger().warning(Log.leases_reaped, batches=reaped.batches, numbers=reaped.numbers)
            look = self._store.look(max(1, most))
        if look.claimable and most:
            self._hints.send(max(0, min(look.claimable, most) - self._hints.unread()))
        if time.monotonic() >= self._next_housekeeping:
            self._next_housekeeping = time.monotonic() + HOUSEKEEPING_S
            self._keep_house()
        return _pause(look)

    def _keep_house(self) -> None:
        """Publishes again what the store may have lost, and lets old entries go."""
        self._store.publish(self._policies, whole=False)
        keep_from = int(time.time() // DAY_S) - self._keep_days
        archived, _ = self._store.archive(keep_from, ARCHIVE_PAGE)
        if archived:
            logger().info(Log.entries_archived, entries=archived)


def _pause(look: Look) -> float:
    """Seconds until the next look: when something is due or a lease ends, and never longer than a tick."""
    times = [ms / 1000 for ms in (look.next_due_ms, look.next_lease_ms) if ms is not None]
    return max(LEAST_S, min([TICK_S, *times]))
