"""The API's two read-backs as values: the account's listing, and the details of one number."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from trunkline.bland.attach import (
    AccountFailed,
    CallFailed,
    Listing,
    ListingUnusable,
    NumberDetail,
    by_api_clock,
    read_answer,
    read_detail,
)
from trunkline.bland.client import BlandApi, Exchange, NotSent, Unanswered
from trunkline.engine.permits import OutOfTime
from trunkline.engine.shared_listing import SharedListing
from trunkline.store.model import Leased

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadTrouble:
    """Reason why a read-back did not work. `of_api`: the API is to blame, and not a lack of time to ask it."""

    code: str = ""
    message: str = ""
    retry_after_s: float | None = None
    of_api: bool = True


NO_TROUBLE: Final = ReadTrouble()


class Unreadable(Exception):
    """A read-back that did not answer, or not usably, and the account's trouble if the answer told of one."""

    def __init__(self, trouble: ReadTrouble, account_failed: AccountFailed | None = None) -> None:
        super().__init__(trouble.code)
        self.trouble, self.account_failed = trouble, account_failed


class Reader:
    """Reads from the API within one attempt's time. Every method raises Unreadable."""

    def __init__(
        self,
        api: BlandApi,
        listings: SharedListing,
        *,
        store_time: Callable[[float], float],
        since: float,
        list_until: float,
        deadline: float,
        permit: Callable[[], None],
        scrub: Callable[[str], str],
    ) -> None:
        self._api, self._listings, self._since, self._list_until = api, listings, since, list_until
        self._deadline, self._permit, self._scrub = deadline, permit, scrub
        self._store_time = store_time

    def listing(self, numbers: Sequence[str]) -> Listing | ListingUnusable:
        """Return the account's listing as far as these numbers need it, or the reason why it can't be used."""

        def read() -> Listing | Exchange:
            return self._listings.read(numbers, since=self._since, deadline=self._list_until, permit=self._permit)

        try:
            answer = self._get(read)
        except ListingUnusable as unusable:
            return unusable
        if isinstance(answer, Listing):
            return answer
        trouble = self._trouble(answer, "GET /v1/sip/numbers")
        if trouble.account_failed is not None or answer.status >= 500 or answer.status in (408, 425):
            raise trouble
        return ListingUnusable(f"it answers {answer.status}")

    def detail(self, leased: Leased) -> tuple[NumberDetail, datetime | None]:
        """Return a number's details, and the moment (API's clock) from which an update is our request's or later."""
        asked = 0.0

        def leave() -> None:
            nonlocal asked
            self._permit()
            asked = time.monotonic()

        exchange = self._get(lambda: self._api.number(leased.number, deadline=self._deadline, permit=leave))
        detail = read_detail(exchange.status, exchange.body)
        if detail is None:
            raise self._trouble(exchange, "GET /v1/sip")
        if leased.sent_ms is None:
            return detail, None
        sent_at = datetime.fromtimestamp(leased.sent_ms / 1000, UTC)
        asked_at = datetime.fromtimestamp(self._store_time(asked), UTC)
        return detail, by_api_clock(sent_at, asked=asked_at, headers=exchange.headers)

    def _get(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except NotSent as error:
            if error.code == "deadline":
                raise Unreadable(_NO_TIME) from error
            message = self._scrub(error.message)
            account_failed = AccountFailed("unreachable", message, None, explicit=True)
            raise Unreadable(ReadTrouble(error.code, f"the read-back failed: {message}"), account_failed) from error
        except Unanswered as error:
            message = f"the read-back failed: {self._scrub(error.message)}"
            raise Unreadable(ReadTrouble(error.code, message)) from error
        except OutOfTime as error:
            raise Unreadable(_NO_TIME) from error

    def _trouble(self, exchange: Exchange, what: str) -> Unreadable:
        answer = read_answer(
            exchange.status, exchange.headers, exchange.body, ("?",), scrub=self._scrub, now=datetime.now(UTC)
        )
        account_failed = answer.verdict if isinstance(answer.verdict, AccountFailed) else None
        wish = answer.verdict.retry_after_s if isinstance(answer.verdict, CallFailed) else None
        message = f"{what} answers {exchange.status}, which can't be used"
        return Unreadable(ReadTrouble(f"http_{exchange.status}", message, wish), account_failed)


_NO_TIME: Final = ReadTrouble("out_of_time", "the account's rate left no time to read back", of_api=False)
