"""Twilio: the account's numbers, and its audit log, the only record of purchases.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
https://www.twilio.com/docs/usage/monitor-events
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from trunkline_producers.carriers.config import ApiTable
from trunkline_producers.carriers.connection import connect
from trunkline_producers.carriers.descriptor import Carrier
from trunkline_producers.carriers.errors import CarrierRefused, CarrierUnreadable
from trunkline_producers.carriers.inventory import Bought, BoughtPage, Owned, Page
from trunkline_producers.carriers.paging import walk
from trunkline_producers.carriers.parsing import (
    Json,
    carrier_id,
    international,
    json_object,
    list_of,
    metadata,
    moment,
    onward,
    page_of,
    read_all,
    text,
)

if TYPE_CHECKING:
    import httpx

BOUGHT: Final = ("phone-number.created", "incoming-phone-number.created")  # the first is the documented name
_PAGE: Final = ("Page", "PageToken")
_NUMBER_SID: Final = re.compile(r"PN[0-9a-fA-F]{32}")
_EVENT_SID: Final = re.compile(r"AE[0-9a-zA-Z]{1,64}")


class Twilio:
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
        self._http = connect(
            "Twilio", api.url, api.audit_url, timeout_s=api.timeout_s, transport=transport, sleep=sleep
        )
        self._numbers = f"{api.url}/2010-04-01/Accounts/{api.account}/IncomingPhoneNumbers"

    def pages(self, start: str | None = None) -> Iterator[Page]:
        """The numbers that take calls. See Inventory."""
        first = urlencode({"PageSize": self._api.page_size})
        return walk(
            lambda here: parse_numbers(self._get(f"{self._numbers}.json?{here}"), here),
            start or first,
            pause=self._pause,
        )

    def bought_since(self, since: datetime) -> Iterator[tuple[Bought, ...]]:
        """See AuditLog. The log goes back 30 days."""
        day = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for kind in BOUGHT:
            first = urlencode({"EventType": kind, "StartDate": day, "PageSize": self._api.page_size})
            for page in walk(self._events, first, pause=self._pause):
                yield page.bought

    def number(self, number_id: str) -> Owned | None:
        """See AuditLog."""
        if not _NUMBER_SID.fullmatch(number_id):
            return None
        try:
            return parse_number(self._get(f"{self._numbers}/{number_id}.json"))
        except CarrierRefused as refused:
            if refused.status == 404:
                return None
            raise

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _events(self, here: str) -> BoughtPage:
        return parse_events(self._get(f"{self._api.audit_url}/v1/Events?{here}"), here)

    def _get(self, url: str) -> bytes:
        user = self._api.user or self._api.account
        pair = f"{user}:{self._api.key.value.get_secret_value().strip()}"
        basic = b64encode(pair.encode()).decode()
        return self._http.get(url, {"accept": "application/json", "authorization": f"Basic {basic}"})


def parse_numbers(body: bytes, here: str) -> Page:
    """A page of `IncomingPhoneNumbers.json`, `here` being the query it answers. Raises CarrierUnreadable.

    Numbers that take no calls (`capabilities.voice` is false) are left out.
    """
    document = json_object(body)
    items = list_of(document, "incoming_phone_numbers")
    page = page_of(document.get("next_page_uri"), *_PAGE)
    return Page(tuple(owned for owned, speaks in read_all(items, _owned) if speaks), onward(here, page))


def parse_number(body: bytes) -> Owned | None:
    """One number of `IncomingPhoneNumbers/{Sid}.json`; None if it takes no calls. Raises CarrierUnreadable."""
    ((owned, speaks),) = read_all([json_object(body)], _owned)
    if not speaks:
        return None
    return owned


def parse_events(body: bytes, here: str) -> BoughtPage:
    """A page of the audit log's purchases, `here` being the query it answers. Raises CarrierUnreadable."""
    document = json_object(body)
    items = list_of(document, "events")
    meta = document.get("meta")
    if not isinstance(meta, dict):
        raise CarrierUnreadable("the answer has no object `meta`")
    page = page_of(meta.get("next_page_url"), *_PAGE)
    bought = read_all([item for item in items if text(item, "event_type") in BOUGHT], _bought)
    return BoughtPage(bought, onward(here, page))


def _owned(item: Json) -> tuple[Owned, bool] | None:
    number = international(text(item, "phone_number"))
    if not number:
        return None
    can = item.get("capabilities")
    speaks = not isinstance(can, dict) or can.get("voice", can.get("Voice")) is not False
    said = metadata(item, "friendly_name", "origin", "trunk_sid")
    return Owned(number, carrier_id(item, "sid"), moment(item.get("date_created")), said), speaks


def _bought(item: Json) -> Bought | None:
    event, number, at = text(item, "sid"), text(item, "resource_sid"), moment(item.get("event_date"))
    if at is None or not _EVENT_SID.fullmatch(event) or not _NUMBER_SID.fullmatch(number):
        return None
    return Bought(event, number, at)


CARRIER: Final = Carrier(
    name="twilio",
    types=("twilio",),
    url="https://api.twilio.com",
    max_page_size=1000,
    required={"account": 'is required: the account SID, "AC…"'},
    section="""[server]
public_url = "https://hooks.example.com"

[sources.{name}]
type = "twilio"
profile = "PROFILE"
keys = [{{ env = "TWILIO_AUTH_TOKEN" }}]""",
    api_section="""[sources.{name}.api]
account = "ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
key = {{ env = "TWILIO_AUTH_TOKEN" }}""",
    inventory=Twilio,
)
