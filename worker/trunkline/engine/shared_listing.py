"""An account's listing, downloaded once for all the batches of a process that want it at about the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import Condition
from typing import Final

from trunkline.bland.attach import Listing, ListingReader
from trunkline.bland.client import BlandApi, Exchange, NotSent

FRESH_S: Final = 5.0  # how long after it came a listing is used


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A listing, and when its request began and its answer had come (time.monotonic)."""

    listing: Listing
    began: float
    ended: float


class SharedListing:
    """The listing of one account. One thread downloads it at a time, the others wait and use what came.

    How old it may be is the caller's to say: a listing that began before a request of ours had ended proves nothing of
    what that request did.
    """

    def __init__(self, api: BlandApi) -> None:
        self._api = api
        self._turn = Condition()
        self._busy = False
        self._latest: Snapshot | None = None
        self._wanting: dict[object, frozenset[str]] = {}

    @property
    def request_s(self) -> float:
        """Seconds that a request of this account may take."""
        return self._api.timeout_s

    def read(
        self, numbers: Collection[str], *, since: float, deadline: float, permit: Callable[[], None]
    ) -> Listing | Exchange:
        """A listing that can say of each of the numbers whether it is listed, begun after `since` (time.monotonic).

        An Exchange is an answer that is none, a status other than 2xx. Raises what BlandApi and `permit` raise,
        ListingUnusable, and NotSent where another thread's download left no time before `deadline`.
        """
        me, wanted, oldest = object(), frozenset(numbers), time.monotonic() - FRESH_S
        with self._turn:
            self._wanting[me] = wanted
            try:
                while self._busy and not self._serves(wanted, since, oldest):
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._turn.wait(left):
                        raise NotSent("deadline", "another batch's download of the listing left no time")
                if self._latest is not None and self._serves(wanted, since, oldest):
                    return self._latest.listing
                self._busy = True
                everybodys = frozenset[str]().union(*self._wanting.values())
            finally:
                del self._wanting[me]
        try:
            return self._download(everybodys, deadline, permit)
        finally:
            with self._turn:
                self._busy = False
                self._turn.notify_all()

    def latest(self, oldest: float) -> Listing | None:
        """Return the listing at hand, if its request began after `oldest` (time.monotonic seconds)."""
        latest = self._latest
        return latest.listing if latest is not None and latest.began >= oldest else None

    def _serves(self, wanted: frozenset[str], since: float, oldest: float) -> bool:
        latest = self._latest
        return latest is not None and latest.began >= since and latest.ended >= oldest and latest.listing.covers(wanted)

    def _download(self, numbers: frozenset[str], deadline: float, permit: Callable[[], None]) -> Listing | Exchange:
        reader = ListingReader(numbers)
        began = 0.0

        def leave() -> None:
            nonlocal began
            permit()
            began = time.monotonic()

        exchange = self._api.numbers(reader.feed, deadline=deadline, permit=leave)
        if not 200 <= exchange.status <= 299:
            return exchange
        listing = reader.listing()
        self._latest = Snapshot(listing, began, time.monotonic())
        return listing
