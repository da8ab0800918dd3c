"""Looks up the numbers of an order that a webhook only names, at its carrier."""

from __future__ import annotations

import threading
from typing import Final

from trunkline_producers.carriers import ApiTable, CarrierError
from trunkline_producers.carriers.inventory import OrderLookup
from trunkline_producers.carriers.registry import ORDERS
from trunkline_producers.deliveries.delivery import NotFetched
from trunkline_producers.sources import Source
from trunkline_producers.webhooks.mapping import Thin

SHARE: Final = 0.8  # of the time to answer in; the rest is for storing


class Fetcher:
    """A `Fetch` for every source. Thread-safe. Close it once nobody fetches any more.

    One order takes at most `budget_s` seconds; None: SHARE of the time that its source allows for an answer.
    """

    def __init__(self, *, budget_s: float | None = None) -> None:
        self._budget_s = budget_s
        self._clients: dict[str, OrderLookup] = {}
        self._lock = threading.Lock()

    def __call__(self, source: Source, thin: Thin) -> tuple[str, ...]:
        """The numbers of the order. Blocks; raises NotFetched."""
        if source.api is None:
            raise NotFetched(f"the webhook only names an order: set [sources.{source.name}.api] to fetch its numbers")
        client = self._client(source, source.api, thin)
        within = self._budget_s or source.table.answer_within_s * SHARE
        try:
            numbers = client.numbers_of_order(thin.order, budget_s=within)
        except CarrierError as error:
            raise NotFetched(str(error)) from error
        if not numbers:
            raise NotFetched(f"{source.table.type} knows no numbers of the order yet")
        return numbers

    def close(self) -> None:
        """Close the connections to the carriers."""
        with self._lock:
            while self._clients:
                self._clients.popitem()[1].close()

    def _client(self, source: Source, api: ApiTable, thin: Thin) -> OrderLookup:
        with self._lock:
            client = self._clients.get(source.name)
            if client is None:
                client = ORDERS[thin.fetcher](api)
                self._clients[source.name] = client
            return client
