"""Permission to send one HTTP request, asked for right before each.

It checks that the lease still runs (the fence against a worker that slept), waits for the account's rate limit, and
ends when this process stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from trunkline.store import Store


class Stopped(Exception):
    """This process stops and the request was not sent: release the batch."""


class OutOfTime(Exception):
    """The deadline came before the rate limit allowed the request: release the batch."""


@dataclass(frozen=True, slots=True)
class Permits:
    """Asks the store right before every request; `stopping` ends the wait for the rate."""

    store: Store
    stopping: Event

    def ask(
        self, batch_id: str, account: str, deadline: float, numbers: int | None = None, absent: Sequence[str] = ()
    ) -> Callable[[], None]:
        """Return a function to call before each request of a batch ("" for a probe).

        `numbers`: how many an attach request carries; `absent`: those of them that the API is known not to have.

        The function returns when the request may be sent. It raises Stopped, OutOfTime (`deadline` is in
        time.monotonic seconds) or LeaseLost when it must not be.
        """

        def leave() -> None:
            while not self.stopping.is_set():
                wait_s = self.store.permit(batch_id, account, numbers, absent)
                if wait_s == 0:
                    return
                if time.monotonic() + wait_s > deadline:
                    raise OutOfTime
                self.stopping.wait(wait_s)
            raise Stopped

        return leave
