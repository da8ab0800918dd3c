"""The carriers' clients against servers that behave as documented, and against others."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from support.carrier_standins import (
    ACCOUNT,
    KEY,
    answer_json,
    bandwidth,
    didww,
    number_sid,
    telnyx,
    troubled,
    twilio,
    us_numbers,
)
from support.http_servers import Reply, Seen, answering, behaving, dripping, hanging
from trunkline.schema import Secret
from trunkline_producers.carriers import ApiTable, CarrierRefused, CarrierUnavailable, CarrierUnreadable
from trunkline_producers.carriers.bandwidth import Bandwidth
from trunkline_producers.carriers.client import MAX_BODY_BYTES, CarrierHttp
from trunkline_producers.carriers.didww import Didww
from trunkline_producers.carriers.inventory import Inventory, OrderLookup
from trunkline_producers.carriers.telnyx import Telnyx
from trunkline_producers.carriers.twilio import Twilio


class Closes(Protocol):
    def close(self) -> None: ...


AnyClient = TypeVar("AnyClient", bound=Closes)
NUMBERS = us_numbers(7)


def api(url: str, **fields: object) -> ApiTable:
    key = Secret("env:K", SecretStr(KEY))
    return ApiTable.model_validate({"url": url, "key": key, "page_size": 3, "timeout_s": 5.0, **fields})


def twilio_api(url: str) -> ApiTable:
    return api(url, account=ACCOUNT, audit_url=url)


def bandwidth_api(url: str, auth: str = "oauth2") -> ApiTable:
    return api(url, account="5000", user="client", auth=auth)


class Naps:
    """Takes the place of time.sleep."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


_clients: list[Closes] = []


def client(carrier: Callable[..., AnyClient], *given: object, **options: Any) -> AnyClient:
    """A carrier's client, closed at the end of the test."""
    made = carrier(*given, **options)
    _clients.append(made)
    return made


@pytest.fixture(autouse=True)
def _closes() -> Iterator[None]:
    yield
    while _clients:
        _clients.pop().close()


@pytest.fixture
def naps() -> Naps:
    return Naps()


def listed(inventory: Inventory, start: str | None = None) -> list[str]:
    return [owned.number for page in inventory.pages(start) for owned in page.numbers]


def numbers_of_order(lookup: OrderLookup, order_id: str, *, budget_s: float) -> tuple[str, ...]:
    return lookup.numbers_of_order(order_id, budget_s=budget_s)


INVENTORIES: dict[str, tuple[Callable[[str], Reply], Callable[[str], Inventory]]] = {
    "telnyx": (telnyx(NUMBERS), lambda url: client(Telnyx, api(url))),
    "twilio": (twilio(NUMBERS), lambda url: client(Twilio, twilio_api(url))),
    "bandwidth": (bandwidth(NUMBERS), lambda url: client(Bandwidth, bandwidth_api(url))),
    "bandwidth without links": (bandwidth(NUMBERS, links=False), lambda url: client(Bandwidth, bandwidth_api(url))),
    "bandwidth's other listing": (
        bandwidth(NUMBERS, "inservice"),
        lambda url: client(Bandwidth, bandwidth_api(url, "basic")),
    ),
}


@pytest.fixture(params=list(INVENTORIES))
def inventory(request: pytest.FixtureRequest) -> Iterator[Inventory]:
    """Each carrier's inventory of seven numbers, three a page."""
    answer, connect = INVENTORIES[request.param]
    with answering(answer) as (url, _):
        yield connect(url)


def test_every_number_is_listed_page_by_page(inventory: Inventory) -> None:
    assert listed(inventory) == NUMBERS


def test_listing_goes_on_from_any_page(inventory: Inventory) -> None:
    first, *_ = inventory.pages()
    assert first.next is not None
    assert listed(inventory, first.next) == NUMBERS[3:]


def test_an_account_without_numbers_is_one_empty_page() -> None:
    for answer, connect in (
        (telnyx([]), lambda url: client(Telnyx, api(url))),
        (twilio([]), lambda url: client(Twilio, twilio_api(url))),
        (bandwidth([]), lambda url: client(Bandwidth, bandwidth_api(url))),
    ):
        with answering(answer) as (url, _):
            assert listed(connect(url)) == []


# Who sees the key


def test_each_carrier_is_shown_its_key_in_its_own_way() -> None:
    basic = {name: b64encode(f"{name}:{KEY}".encode()).decode() for name in (ACCOUNT, "client")}
    with answering(telnyx(NUMBERS)) as (url, seen):
        listed(client(Telnyx, api(url)))
        assert header(seen, "authorization") == {f"Bearer {KEY}"}
    with answering(twilio(NUMBERS)) as (url, seen):
        listed(client(Twilio, twilio_api(url)))
        assert header(seen, "authorization") == {f"Basic {basic[ACCOUNT]}"}
    with answering(bandwidth(NUMBERS)) as (url, seen):
        listed(client(Bandwidth, bandwidth_api(url)))
        token, *pages = seen.requests
        assert (token[2]["authorization"], token[3]) == (f"Basic {basic['client']}", b"grant_type=client_credentials")
        assert {headers["authorization"] for _, _, headers, _ in pages} == {"Bearer tok-1"}
    with answering(didww(NUMBERS)) as (url, seen):
        numbers_of_order(client(Didww, api(url)), "order", budget_s=5)
        assert header(seen, "api-key") == {KEY}
        assert header(seen, "x-didww-api-version") == {"2026-04-16"}


def header(seen: Seen, name: str) -> set[str]:
    return {headers[name] for _, _, headers, _ in seen.requests}


def test_links_to_another_host_are_asked_at_home() -> None:
    with answering(twilio([])) as (elsewhere, strangers):
        with answering(twilio(NUMBERS, elsewhere=elsewhere)) as (url, _):
            assert listed(client(Twilio, twilio_api(url))) == NUMBERS
        assert strangers.requests == []


def test_a_redirect_is_not_followed_because_the_key_would_go_along() -> None:
    with (
        answering(telnyx(NUMBERS)) as (elsewhere, strangers),
        answering((302, {"Location": f"{elsewhere}/phone_numbers"}, b"")) as (url, _),
    ):
        with pytest.raises(CarrierRefused, match="redirect") as refused:
            listed(client(Telnyx, api(url)))
        assert refused.value.status == 302
        assert strangers.requests == []


@pytest.mark.parametrize("key", ["KEY\r\nX-Evil: 1", "schl\u00fcssel"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(key: str) -> None:
    with answering((200, {}, b"{}")) as (url, _), pytest.raises(CarrierRefused) as refused:
        listed(client(Telnyx, api(url, key=Secret("env:K", SecretStr(key)))))
    assert key not in str(refused.value)
    assert refused.value.__cause__ is None


# Trouble


def test_a_carrier_that_asks_for_time_gets_it(naps: Naps) -> None:
    busy = (429, {"Retry-After": "7"}, b"")
    with answering(troubled(telnyx(NUMBERS), {1: busy, 2: busy})) as (url, seen):
        assert listed(client(Telnyx, api(url), sleep=naps)) == NUMBERS
        assert len(seen.requests) == 5
    assert naps.taken == [7.0, 7.0]


def test_a_carrier_that_asks_for_too_much_time_is_asked_by_the_next_run(naps: Naps) -> None:
    with answering((429, {"Retry-After": "3600"}, b"")) as (url, seen):
        with pytest.raises(CarrierUnavailable) as unavailable:
            listed(client(Telnyx, api(url), sleep=naps))
        assert unavailable.value.retry_after_s == 3600.0
        assert (len(seen.requests), naps.taken) == (1, [])


def test_a_carrier_that_stumbles_is_asked_again_and_not_for_ever(naps: Naps) -> None:
    broken: Reply = (503, {}, b"<html>sorry</html>")
    with answering(troubled(twilio(NUMBERS), {0: broken, 2: broken})) as (url, _):
        assert listed(client(Twilio, twilio_api(url), sleep=naps)) == NUMBERS
    with answering(broken) as (url, seen):
        with pytest.raises(CarrierUnavailable, match="503"):
            listed(client(Twilio, twilio_api(url), sleep=naps))
        assert len(seen.requests) == 4


def test_the_pages_before_the_trouble_are_good(naps: Naps) -> None:
    with answering(troubled(telnyx(NUMBERS), dict.fromkeys(range(1, 9), (500, {}, b"")))) as (url, _):
        pages = client(Telnyx, api(url), sleep=naps).pages()
        assert len(next(pages).numbers) == 3
        with pytest.raises(CarrierUnavailable):
            next(pages)


@pytest.mark.parametrize(("status", "word"), [(401, "not accepted"), (403, "may not read")])
def test_a_refused_key_is_said_at_once(naps: Naps, status: int, word: str) -> None:
    with answering((status, {}, b"{}")) as (url, seen):
        with pytest.raises(CarrierRefused, match=word) as refused:
            listed(client(Telnyx, api(url), sleep=naps))
        assert (refused.value.status, len(seen.requests)) == (status, 1)


def test_a_carrier_that_is_not_there_is_unavailable(naps: Naps) -> None:
    with pytest.raises(CarrierUnavailable, match="can't be reached"):
        listed(client(Telnyx, api("http://127.0.0.1:9"), sleep=naps))
    assert naps.taken == [0.2, 0.8, 2.0]


def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    with (
        answering((200, {}, b" " * (MAX_BODY_BYTES + 1))) as (url, _),
        pytest.raises(CarrierUnreadable, match="larger"),
    ):
        listed(client(Telnyx, api(url)))


def test_a_page_that_is_no_answer_is_unreadable() -> None:
    with answering((200, {}, b"<html>maintenance</html>")) as (url, _), pytest.raises(CarrierUnreadable):
        listed(client(Telnyx, api(url)))


def test_a_token_that_ends_early_is_replaced_once() -> None:
    expired: Reply = (401, {}, b"")
    with answering(troubled(bandwidth(NUMBERS), {1: expired})) as (url, seen):
        assert listed(client(Bandwidth, bandwidth_api(url))) == NUMBERS
        assert [path for _, path, _, _ in seen.requests].count("/v1/oauth2/token") == 2
    twice = troubled(bandwidth(NUMBERS), dict.fromkeys((1, 3), expired))
    with answering(twice) as (url, _), pytest.raises(CarrierRefused):
        listed(client(Bandwidth, bandwidth_api(url)))


def test_a_programs_own_transport_is_used() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "api.telnyx.com"
        return httpx.Response(200, json={"data": [], "meta": {"total_pages": 1}})

    assert listed(client(Telnyx, api("https://api.telnyx.com/v2"), transport=httpx.MockTransport(handle))) == []


def test_a_host_that_was_not_configured_is_not_asked() -> None:
    with answering((200, {}, b"{}")) as (elsewhere, strangers), pytest.raises(CarrierRefused, match="look at url"):
        client(CarrierHttp, "Telnyx", "https://api.telnyx.com/v2", timeout_s=5.0).get(elsewhere, {})
    assert strangers.requests == []


# The numbers behind an id


def test_a_porting_order_gives_its_numbers_in_one_request() -> None:
    with answering(telnyx(NUMBERS)) as (url, seen):
        assert list(numbers_of_order(client(Telnyx, api(url)), "order-1", budget_s=5)) == NUMBERS
        assert len(seen.requests) == 1


@pytest.mark.parametrize("honours_filter", [True, False])
def test_a_large_porting_order_gives_all_of_its_own_numbers_and_no_others(honours_filter: bool) -> None:
    many = us_numbers(300)
    with answering(telnyx(many, honours_filter=honours_filter)) as (url, _):
        assert list(numbers_of_order(client(Telnyx, api(url)), "order-1", budget_s=5)) == many


def test_a_porting_order_whose_numbers_are_not_all_shown_is_an_error_and_not_half_an_order() -> None:
    order = answer_json({"data": {"phone_numbers": [], "porting_phone_numbers_count": 3}})
    none = answer_json({"data": [], "meta": {"total_pages": 0}})
    with answering(order, none) as (url, _), pytest.raises(CarrierUnreadable, match="has 3 numbers, and only 0"):
        numbers_of_order(client(Telnyx, api(url)), "order-1", budget_s=5)


def test_an_order_that_is_not_there_is_refused_with_its_status() -> None:
    with answering(telnyx(NUMBERS)) as (url, _), pytest.raises(CarrierRefused, match="Resource not found") as refused:
        numbers_of_order(client(Telnyx, api(url)), "another", budget_s=5)
    assert refused.value.status == 404


def test_an_order_of_didww_gives_all_of_its_numbers() -> None:
    with answering(didww(NUMBERS)) as (url, seen):
        assert list(numbers_of_order(client(Didww, api(url)), "order-1", budget_s=5)) == NUMBERS
        assert all("filter%5Border.id%5D=order-1" in path for _, path, _, _ in seen.requests)


@pytest.mark.parametrize("order_id", ["", "../me", "a/b", "a?b", "x" * 65, "\u00e4"])
def test_an_id_that_would_change_the_request_is_not_asked_for(order_id: str) -> None:
    nowhere = api("http://127.0.0.1:9")
    with pytest.raises(CarrierUnreadable):
        numbers_of_order(client(Telnyx, nowhere), order_id, budget_s=5)
    with pytest.raises(CarrierUnreadable):
        numbers_of_order(client(Didww, nowhere), order_id, budget_s=5)


@pytest.mark.parametrize(
    "conduct",
    [
        hanging,
        dripping(b"HTTP/1.1 200 O"),
        dripping(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
    ids=["hangs", "drips its status line", "drips its headers", "drips its body", "drips a body without an end"],
)
def test_the_budget_holds_whatever_the_carrier_does(conduct: object) -> None:
    with behaving(conduct) as (url, _):  # type: ignore[arg-type]  # parametrised
        began = time.monotonic()
        with pytest.raises(CarrierUnavailable):
            numbers_of_order(client(Telnyx, api(url)), "order-1", budget_s=0.3)
        assert time.monotonic() - began < 2.0


def test_a_carrier_that_stumbles_does_not_cost_more_than_the_budget(naps: Naps) -> None:
    with answering((429, {"Retry-After": "30"}, b"")) as (url, seen):
        with pytest.raises(CarrierUnavailable) as unavailable:
            numbers_of_order(client(Didww, api(url), sleep=naps), "order-1", budget_s=3)
        assert (unavailable.value.retry_after_s, naps.taken, len(seen.requests)) == (30.0, [], 1)


# Purchases


def test_a_number_is_looked_up_by_its_sid() -> None:
    with answering(twilio(NUMBERS)) as (url, _):
        account = client(Twilio, twilio_api(url))
        owned = account.number(number_sid(NUMBERS[0]))
        assert owned is not None
        assert owned.number == NUMBERS[0]
        assert account.number(number_sid("+14159999999")) is None
        assert account.number("../../Accounts") is None
