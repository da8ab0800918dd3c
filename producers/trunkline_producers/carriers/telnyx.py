"""Telnyx: the account's numbers, and the numbers of a porting order.

https://developers.telnyx.com/api-reference/phone-number-configurations/list-phone-numbers
https://developers.telnyx.com/api-reference/porting-orders/retrieve-a-porting-order
https://developers.telnyx.com/api-reference/porting-orders/list-all-porting-phone-numbers
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
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
    metadata,
    moment,
    read_all,
    text,
    turned,
)

if TYPE_CHECKING:
    import httpx

PORTED_A_PAGE: Final = 250
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


class Telnyx:
    """One account's API. Thread-safe. `pause` is called between two pages."""

    def __init__(
        self,
        api: ApiTable,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._pause = pause
        self._http = connect("Telnyx", api.url, timeout_s=api.timeout_s, transport=transport, sleep=sleep)

    def pages(self, start: str | None = None) -> Iterator[Page]:
        """The active numbers, the oldest purchase first, so that a new one comes at the end. See Inventory."""
        first = _query(self._api.page_size, {"filter[status]": "active", "sort": "purchased_at"})
        return walk(
            lambda here: parse_numbers(self._get(f"/phone_numbers?{here}"), here), start or first, pause=self._pause
        )

    def numbers_of_order(self, order_id: str, *, budget_s: float) -> tuple[str, ...]:
        """The numbers of a porting order. See OrderLookup.

        The order shows its first 50 numbers. For a larger one the listing of ported numbers is read and filtered here,
        because no filter by order is documented.
        """
        if not _ORDER_ID.fullmatch(order_id):
            raise CarrierUnreadable("Telnyx: the id of the porting order has no form that an id has")
        until = time.monotonic() + budget_s
        numbers, count = parse_porting_order(self._get(f"/porting_orders/{order_id}", until=until))
        if len(numbers) >= count:
            return numbers

        def fetch(here: str) -> Page:
            return parse_ported(self._get(f"/porting_phone_numbers?{here}", until=until), here, order_id)

        first = _query(PORTED_A_PAGE, {"filter[porting_order_status]": "ported", "filter[porting_order_id]": order_id})
        listed = dict.fromkeys(owned.number for page in walk(fetch, first) for owned in page.numbers)
        if len(listed) < count:
            raise CarrierUnreadable(f"Telnyx: the porting order has {count} numbers, and only {len(listed)} are listed")
        return tuple(listed)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _get(self, path: str, *, until: float = float("inf")) -> bytes:
        key = self._api.key.value.get_secret_value().strip()
        headers = {"accept": "application/json", "authorization": f"Bearer {key}"}
        return self._http.get(f"{self._api.url}{path}", headers, until=until)


def parse_numbers(body: bytes, here: str) -> Page:
    """A page of `GET /v2/phone_numbers`, `here` being the query it answers. Raises CarrierUnreadable."""
    return _page(body, here, _owned, lambda item: text(item, "status") in ("", "active"))


def parse_ported(body: bytes, here: str, order_id: str) -> Page:
    """A page of `GET /v2/porting_phone_numbers`, without the numbers of other orders. Raises CarrierUnreadable."""
    return _page(body, here, _ported, lambda item: text(item, "porting_order_id") == order_id)


def parse_porting_order(body: bytes) -> tuple[tuple[str, ...], int]:
    """`GET /v2/porting_orders/{id}`: the numbers it shows, and how many it has. Raises CarrierUnreadable."""
    order = json_object(body).get("data")
    if not isinstance(order, dict):
        raise CarrierUnreadable("the answer has no object `data`")
    shown = order.get("phone_numbers")
    if not isinstance(shown, list):
        shown = []
    numbers = read_all(shown, _ported)
    count = order.get("porting_phone_numbers_count")
    if not isinstance(count, int):
        raise CarrierUnreadable("the answer does not say how many numbers the order has")
    return tuple(dict.fromkeys(owned.number for owned in numbers)), count


def _page(body: bytes, here: str, read: Callable[[Json], Owned | None], wanted: Callable[[Json], bool]) -> Page:
    document = json_object(body)
    items = list_of(document, "data")
    readable = [item for item in items if read(item) is not None]
    if items and not readable:
        raise CarrierUnreadable("no item of the answer has the form that is documented")
    return Page(read_all([item for item in readable if wanted(item)], read), _next(document, here, len(items)))


def _next(document: Json, here: str, items: int) -> str | None:
    number = asked(here, "page[number]")
    more = items >= asked(here, "page[size]")
    meta = document.get("meta")
    if isinstance(meta, dict) and isinstance(meta.get("total_pages"), int):
        more = number < meta["total_pages"]
    if not more:
        return None
    return turned(here, **{"page[number]": number + 1})


def _owned(item: Json) -> Owned | None:
    number = international(text(item, "phone_number"))
    if not number:
        return None
    since = moment(item.get("purchased_at")) or moment(item.get("created_at"))
    return Owned(
        number, carrier_id(item, "id"), since, metadata(item, "connection_id", "connection_name", "customer_reference")
    )


def _ported(item: Json) -> Owned | None:
    number = international(text(item, "phone_number"))
    if not number:
        return None
    return Owned(number)


def _query(size: int, filters: dict[str, str]) -> str:
    return urlencode({"page[number]": 1, "page[size]": size, **filters})


CARRIER: Final = Carrier(
    name="telnyx",
    types=("telnyx",),
    url="https://api.telnyx.com/v2",
    max_page_size=250,
    section="""[sources.{name}]
type = "telnyx"
profile = "PROFILE"
public_keys = [{{ env = "TELNYX_PUBLIC_KEY" }}]""",
    api_section="""[sources.{name}.api]
key = {{ env = "TELNYX_API_KEY" }}""",
    inventory=Telnyx,
    fetcher="telnyx-porting-order",
    orders=Telnyx,
)
