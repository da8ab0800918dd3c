"""Bandwidth: the account's numbers in service.

https://dev.bandwidth.com/docs/account/credentials/management (client credentials; API users are deprecated)
https://dev.bandwidth.com/apis/numbers-apis/numbers (GET /tns, GET /accounts/{accountId}/inserviceNumbers)
"""

from __future__ import annotations

import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from trunkline.text import printable
from trunkline_producers.carriers.config import ApiTable
from trunkline_producers.carriers.connection import connect
from trunkline_producers.carriers.descriptor import Carrier
from trunkline_producers.carriers.errors import CarrierRefused, CarrierUnreadable
from trunkline_producers.carriers.inventory import Owned, Page
from trunkline_producers.carriers.paging import walk
from trunkline_producers.carriers.parsing import (
    MAX_TEXT_LENGTH,
    asked,
    international,
    json_object,
    named,
    onward,
    page_of,
    read_all,
    text,
    xml_root,
)

if TYPE_CHECKING:
    import httpx

TOKEN_S: Final = 3600.0  # life of a token if the answer does not say
EARLY_S: Final = 60.0  # a token is replaced this long before its end
MAX_PAGE_NUMBER: Final = 100_000  # a larger `page` is no count: the API also puts telephone numbers there
_LINK: Final = re.compile(r"<([^<>]*)>")
_NANP: Final = "1"  # ten digits are a number of North America: what Bandwidth's first API speaks of
_FORBIDDEN: Final = 403


class Bandwidth:
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
        self._http = connect("Bandwidth", api.url, timeout_s=api.timeout_s, transport=transport, sleep=sleep)
        self._token, self._token_until = "", 0.0
        self._lock = threading.Lock()

    def pages(self, start: str | None = None) -> Iterator[Page]:
        """The numbers in service. See Inventory.

        There are two listings, each for another role of the key: if the first is forbidden, the second is read.
        """
        page = {"size": self._api.page_size, "page": 1}
        one = f"/tns?{urlencode({'accountId': self._api.account or '', 'status': 'Inservice', **page})}"
        other = f"/accounts/{self._api.account}/inserviceNumbers?{urlencode(page)}"
        if start is not None:
            return walk(self._page, start, pause=self._pause)
        return self._either(one, other)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _either(self, one: str, other: str) -> Iterator[Page]:
        pages = walk(self._page, one, pause=self._pause)
        try:
            first = next(pages)
        except CarrierRefused as refused:
            if refused.status != _FORBIDDEN:
                raise
            pages = walk(self._page, other, pause=self._pause)
        else:
            yield first
        yield from pages

    def _page(self, here: str) -> Page:
        path, _, query = here.partition("?")
        page = parse_numbers(self._get(f"{self._api.url}{here}"), query)
        if page.next is None:
            return page
        return Page(page.numbers, f"{path}?{page.next}")

    def _get(self, url: str) -> bytes:
        accept = {"accept": "application/xml"}
        if self._api.auth == "basic":
            return self._http.get(url, accept | {"authorization": self._basic()})
        try:
            return self._http.get(url, accept | {"authorization": f"Bearer {self._bearer()}"})
        except CarrierRefused as refused:
            if refused.status != 401:
                raise
            self._token_until = 0.0  # it may have ended early
            return self._http.get(url, accept | {"authorization": f"Bearer {self._bearer()}"})

    def _bearer(self) -> str:
        with self._lock:
            if time.monotonic() >= self._token_until:
                body = self._http.post(
                    f"{self._api.url}/v1/oauth2/token",
                    {"accept": "application/json", "authorization": self._basic()},
                    {"grant_type": "client_credentials"},
                    until=float("inf"),
                )
                self._token, seconds = parse_token(body)
                self._token_until = time.monotonic() + max(seconds - EARLY_S, 0.0)
            return self._token

    def _basic(self) -> str:
        pair = f"{self._api.user}:{self._api.key.value.get_secret_value().strip()}"
        return f"Basic {b64encode(pair.encode()).decode()}"


def parse_token(body: bytes) -> tuple[str, float]:
    """A token and its life in seconds. Raises CarrierUnreadable."""
    document = json_object(body)
    token, seconds = text(document, "access_token"), document.get("expires_in")
    if not token or not token.isascii() or not token.isprintable():
        raise CarrierUnreadable("the answer has no access token")
    if isinstance(seconds, int | float) and 0 < seconds <= 24 * TOKEN_S:
        return token, float(seconds)
    return token, TOKEN_S


def parse_numbers(body: bytes, here: str) -> Page:
    """A page of `/tns` or of `/inserviceNumbers`, `here` being the query it answers. Raises CarrierUnreadable.

    The link to the next page decides; without one, a full page is followed by the next number of a page.
    """
    root = xml_root(body)
    items = named(root, "TelephoneNumber")
    if not items and named(root, "ErrorCode"):
        said = " ".join(_text(root, name) for name in ("ErrorCode", "Description"))
        raise CarrierUnreadable(f"the answer is an error: {printable(said, 200)}")
    owned = read_all(items, _owned)
    page = _next(root, here, len(items))
    return Page(tuple(each for each, in_service in owned if in_service), onward(here, page))


def _next(root: Element, here: str, items: int) -> dict[str, str]:
    for link in named(root, "next"):
        if page := page_of(_target(link), "page"):
            return page
        break
    if items < asked(here, "size"):
        return {}
    count = asked(here, "page")
    if count >= MAX_PAGE_NUMBER:
        return {}
    return {"page": str(count + 1)}


def _owned(item: Element) -> tuple[Owned, bool] | None:
    number = international(_text(item, "FullNumber") or (item.text or "").strip(), country_code=_NANP)
    if not number:
        return None
    said = {name.lower(): printable(_text(item, name), MAX_TEXT_LENGTH) for name in ("City", "State")}
    in_service = _text(item, "Status").lower() in ("", "inservice")
    return Owned(number, metadata={name: value for name, value in said.items() if value}), in_service


def _target(link: Element) -> str:
    r"""The URL of `Link=<https://…>;rel="next";`."""
    written = link.text or ""
    found = _LINK.search(written)
    if found is None:
        return written.strip()
    return found[1]


def _text(item: Element, name: str) -> str:
    for found in named(item, name):
        return (found.text or "").strip()
    return ""


CARRIER: Final = Carrier(
    name="bandwidth",
    types=("bandwidth", "bandwidth-v2"),
    url="https://api.bandwidth.com/api",
    max_page_size=2500,
    required={"account": "is required: the account's number", "user": "is required: the client id"},
    section="""[sources.{name}]
type = "bandwidth"
profile = "PROFILE"
verify = {{ username = "bandwidth" }}
keys = [{{ env = "BANDWIDTH_CALLBACK_PASSWORD" }}]""",
    api_section="""[sources.{name}.api]
account = "5000000"
user = "CLIENT-ID"
key = {{ env = "BANDWIDTH_CLIENT_SECRET" }}""",
    inventory=Bandwidth,
)
