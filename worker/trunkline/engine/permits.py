"""Leave to send one HTTP request: the lease still runs, the account's rate allows it, this process is not stopping."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from trunkline.store import Store


class Stopped(Exception):
    """This process stops and the request has not left: hand the batch back."""


class OutOfTime(Exception):
    """The deadline came before the rate let the request out: hand the batch back."""


@dataclass(frozen=True, slots=True)
class Permits:
    """Asks the store right before every request; `stopping` ends the wait for the rate."""

    store: Store
    stopping: Event

    def ask(
        self, batch_id: str, account: str, deadline: float, numbers: int | None = None, absent: Sequence[str] = ()
    ) -> Callable[[], None]:
        """A function to call before each request of a batch ("" for a probe).

        `numbers`: how many an attach request carries; `absent`: those of them that the API is known not to have.

        It returns when the request may leave, and raises Stopped, OutOfTime (`deadline` is on the monotonic clock) or
        LeaseLost when it must not.
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
