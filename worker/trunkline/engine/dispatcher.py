"""One thread a process that asks the store what is due, sends hints for it, and takes up leases that ran out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from trunkline.store import Store, StoreError, StoreNewer, StoreUnavailable
from trunkline.store.model import Look
from trunkline.store.registry import Registration
from trunkline.telemetry.logs import Log, logger

TICK_S: Final = 1.0  # the longest that new work waits to be noticed
MIN_S: Final = 0.01
HOUSEKEEPING_S: Final = 60.0
BEAT_S: Final = 5.0  # how often a worker says that it lives, unless its lease is short
BEATS: Final = 3  # so many may go missing
MAX_ARCHIVED: Final = 5_000  # looked at in one round of housekeeping


@dataclass(frozen=True, slots=True)
class Hints:
    """The way hints go: `send(n)`, the number that lie unread, and the number of free threads of this process."""

    send: Callable[[int], None]
    unread: Callable[[], int]
    free_threads: Callable[[], int]


class Dispatcher(threading.Thread):
    """Looks each tick, and exactly when something is due or a lease ends. A store that is away is asked again.

    `on_newer` is told once that the store takes only newer programs, and the thread ends: nothing it writes is taken.
    """

    def __init__(
        self,
        store: Store,
        hints: Hints,
        *,
        registration: Registration,
        beat_s: float = BEAT_S,
        about: Callable[[], Mapping[str, str | int]] = dict,
        keep_attached_days: int,
        orphaned: Callable[[], bool] = lambda: False,
        on_orphaned: Callable[[], None] = lambda: None,
        on_newer: Callable[[StoreNewer], None] = lambda _: None,
    ) -> None:
        super().__init__(name="dispatcher", daemon=True)
        self._store = store
        self._hints = hints
        self._registration = registration
        self._beat_s = beat_s
        self._about = about
        self._keep_days = keep_attached_days
        self._orphaned = orphaned
        self._on_orphaned = on_orphaned
        self._on_newer = on_newer
        self._stopping = threading.Event()
        self._store_was_away = False
        self._next_housekeeping = time.monotonic() + HOUSEKEEPING_S
        self._next_beat = time.monotonic()

    def stop(self) -> None:
        """Ends the thread; returns when it sends no more hints and the worker is off the register."""
        self._stopping.set()
        self.join()
        with suppress(StoreUnavailable, StoreError):  # it will be missed, a little later
            self._registration.leave()

    def run(self) -> None:
        try:
            self._watch()
        except StoreNewer as error:
            logger().error(Log.store_newer, error=str(error), hint="this process stops")
            self._on_newer(error)
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
            except StoreNewer:
                raise
            except (StoreUnavailable, StoreError) as error:  # a full disk is the latter, and passes as well
                if not self._store_was_away:
                    logger().error(Log.store_unavailable, error=str(error))
                self._store_was_away = True
                pause = TICK_S

    def _tick(self) -> float:
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + self._beat_s
            self._say_that_we_live()
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

    def _say_that_we_live(self) -> None:
        beat = self._registration.beat(self._about())
        if beat.changed:
            logger().info(Log.profiles_published, changed=beat.changed)
        if beat.stepped_back_ms:
            logger().warning(
                Log.clock_stepped_back, ms=beat.stepped_back_ms, hint="times that lay ahead were put right"
            )

    def _keep_house(self) -> None:
        """Looks at every policy, in case one who does not register wrote it; lets old entries go, page by page."""
        self._registration.govern()
        archived = looked_at = 0
        while looked_at < MAX_ARCHIVED and not self._stopping.is_set():
            more, seen = self._store.archive(self._keep_days)
            archived, looked_at = archived + more, looked_at + seen
            if not seen:
                break
        if archived:
            logger().info(Log.entries_archived, entries=archived)


def _pause(look: Look) -> float:
    """Seconds until the next look: when something is due or a lease ends, and never longer than a tick."""
    times = [ms / 1000 for ms in (look.next_due_ms, look.next_lease_ms) if ms is not None]
    return max(MIN_S, min([TICK_S, *times]))
