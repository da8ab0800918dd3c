"""Fetching: asks a carrier for the numbers of an order that a webhook only names."""

from __future__ import annotations

import threading
from typing import Final

from trunkline_producers.carriers import CarrierError, didww, telnyx
from trunkline_producers.carriers.didww import Didww
from trunkline_producers.carriers.telnyx import Telnyx
from trunkline_producers.deliveries import Fetch, NotFetched
from trunkline_producers.mapping import Thin
from trunkline_producers.sources import Source

SHARE: Final = 0.8  # of the time to answer in; what remains is for storing


def make_fetch(*, budget_s: float | None = None) -> Fetch:
    """A fetcher for every source; one order takes at most `budget_s` seconds, None: what its source leaves for it."""
    clients: dict[str, Telnyx | Didww] = {}
    lock = threading.Lock()

    def fetch(source: Source, thin: Thin) -> tuple[str, ...]:
        if source.api is None:
            raise NotFetched(f"the webhook only names an order: set [sources.{source.name}.api] to fetch its numbers")
        with lock:
            client = clients.get(source.name)
            if client is None:
                client = Telnyx(source.api) if thin.fetcher == "telnyx-porting-order" else Didww(source.api)
                clients[source.name] = client
        within = budget_s or source.table.answer_within_s * SHARE
        try:
            if isinstance(client, Telnyx):
                numbers = telnyx.numbers_of_porting_order(client, thin.order, budget_s=within)
            else:
                numbers = didww.numbers_of_order(client, thin.order, budget_s=within)
        except CarrierError as error:
            raise NotFetched(str(error)) from error
        if not numbers:
            raise NotFetched(f"{source.table.type} knows no numbers of the order yet")
        return numbers

    return fetch
