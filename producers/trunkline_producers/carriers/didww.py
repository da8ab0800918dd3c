"""DIDWW: the numbers of an order.

https://doc.didww.com/api3/2026-04-16/inventory-resources/did/get-dids.html
https://doc.didww.com/api3/api-versioning.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from trunkline_producers.carriers.config import ApiTable
from trunkline_producers.carriers.connection import connect
from trunkline_producers.carriers.descriptor import Carrier
from trunkline_producers.carriers.errors import CarrierUnreadable
from trunkline_producers.carriers.inventory import Owned, Page
from trunkline_producers.carriers.paging import walk
from trunkline_producers.carriers.parsing import (
    Json,
    asked,
    carrier_id,
    international,
    json_object,
    list_of,
    moment,
    read_all,
    text,
    turned,
)

if TYPE_CHECKING:
    import httpx

VERSION: Final = "2026-04-16"  # the last that takes an API key alone; released versions do not change
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


class Didww:
    """One account's API. Thread-safe."""

    def __init__(
        self,
        api: ApiTable,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._http = connect("DIDWW", api.url, timeout_s=api.timeout_s, transport=transport, sleep=sleep)

    def numbers_of_order(self, order_id: str, *, budget_s: float) -> tuple[str, ...]:
        """The numbers of an order, without those that DIDWW has blocked or will take back. See OrderLookup."""
        if not _ORDER_ID.fullmatch(order_id):
            raise CarrierUnreadable("DIDWW: the id of the order has no form that an id has")
        until = time.monotonic() + budget_s
        first = urlencode({"filter[order.id]": order_id, "page[number]": 1, "page[size]": self._api.page_size})
        pages = walk(lambda here: self._page(here, until=until), first)
        return tuple(dict.fromkeys(owned.number for page in pages for owned in page.numbers))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _page(self, here: str, *, until: float) -> Page:
        headers = {
            "accept": "application/vnd.api+json",
            "api-key": self._api.key.value.get_secret_value().strip(),
            "x-didww-api-version": VERSION,
        }
        return parse_numbers(self._http.get(f"{self._api.url}/dids?{here}", headers, until=until), here)


def parse_numbers(body: bytes, here: str) -> Page:
    """A page of `GET /v3/dids`, `here` being the query it answers. Raises CarrierUnreadable."""
    items = list_of(json_object(body), "data")
    owned = read_all(items, _owned)
    gone = {carrier_id(item, "id") for item in items if _is_gone(item)}
    onward: str | None = None
    if len(items) >= asked(here, "page[size]"):
        onward = turned(here, **{"page[number]": asked(here, "page[number]") + 1})
    return Page(tuple(each for each in owned if each.id not in gone), onward)


def _owned(item: Json) -> Owned | None:
    attributes = _attributes(item)
    number = international(text(attributes, "number"))
    if not number:
        return None
    return Owned(number, carrier_id(item, "id"), moment(attributes.get("created_at")))


def _is_gone(item: Json) -> bool:
    attributes = _attributes(item)
    return attributes.get("blocked") is True or attributes.get("terminated") is True


def _attributes(item: Json) -> dict[str, Json]:
    if isinstance(item, dict) and isinstance(item.get("attributes"), dict):
        return dict(item["attributes"])
    return {}


CARRIER: Final = Carrier(
    name="didww",
    types=("didww",),
    url="https://api.didww.com/v3",
    max_page_size=100,
    fetcher="didww-order",
    orders=Didww,
)
