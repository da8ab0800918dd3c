"""A producer that pushes without a pause while everything around it dies."""

from __future__ import annotations

import threading
import time
from typing import Self

from acceptance.site import Site
from acceptance.worker_harness import PATIENCE_S, until
from trunkline.events.event import NumberEvent
from trunkline.store import StoreUnavailable


class Pushing(threading.Thread):
    """A producer under load: one event after the other, each again until the store has taken it."""

    def __init__(self, site: Site, *, pause_s: float = 0.002) -> None:
        super().__init__(daemon=True)
        self.accepted: list[str] = []
        self.refusals = 0  # how often the store was away
        self._site = site
        self._pause_s = pause_s
        self._enqueuer = site.enqueuer()
        self._enough = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self) -> None:
        try:
            while not self._enough.wait(self._pause_s):
                self._push(self._site.new_numbers(1)[0])
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self._failure = error

    def _push(self, number: str) -> None:
        event = NumberEvent(event_id=number, numbers=(number,), profile="support", source="s")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                summary = self._enqueuer.enqueue([event])
                break
            except StoreUnavailable:
                self.refusals += 1
                assert time.monotonic() < deadline, "the store does not come back"
                self._enough.wait(0.05)
        # One that was taken in although its answer never came is known at the second try.
        assert summary.accepted + summary.duplicate == 1, summary
        self.accepted.append(number)

    def has_pushed(self, count: int) -> None:
        """Waits until so many more are in."""
        before = len(self.accepted)
        until(lambda: len(self.accepted) >= before + count or self._failure, f"{count} pushes")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ends it; what was taken in is the site's from now on."""
        if not self._enough.is_set():
            self._enough.set()
            self.join(PATIENCE_S)
            assert not self.is_alive()
            self._site.pushed += self.accepted
            if self._failure is not None:
                raise self._failure
