"""Reading back before sending: which numbers of a batch are attached already, which are not, which must be sent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from trunkline.bland.attach import (
    UNKNOWN,
    CallFailed,
    GateAccount,
    Listing,
    ListingUnusable,
    NumberDetail,
    Proof,
    by_api_clock,
    present,
    proof,
    read_answer,
    read_detail,
)
from trunkline.bland.client import BlandApi, Exchange, NotSent, Unanswered
from trunkline.engine.permits import OutOfTime
from trunkline.engine.shared_listing import SharedListing
from trunkline.profiles.profile import Profile
from trunkline.store.model import Batch, Leased
from trunkline.telemetry.logs import Log, logger

T = TypeVar("T")

LISTING_FROM: Final = 4  # so many numbers are asked for with one GET /v1/sip/numbers, fewer with GET /v1/sip each
MAX_UNREAD: Final = 2  # after so many read-backs in a row that did not work a number is sent unread: twice is harmless
MAX_DETAILS: Final = 25  # beyond that what the listing leaves unclear is simply sent again
ASKING_SHARE: Final = 0.5  # of the time there is: the other half is for the request
ABSENT_S: Final = 60.0  # how long a number that a listing did not have counts as absent
LISTING_SHARE: Final = 0.7  # of the time there is, for a listing that is large


@dataclass(frozen=True, slots=True)
class ReadTrouble:
    """Why a read-back did not work. `of_api`: the API is to blame, and not that there was no time left to ask it."""

    code: str = ""
    message: str = ""
    retry_after_s: float | None = None
    of_api: bool = True


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the read-back says of a batch.

    `unanswered` could not be asked, `trouble` says why; `later` is left for the next batch: the others took their time,
    or there was trouble after they were known.
    """

    attached: tuple[str, ...]
    absent: tuple[str, ...]
    to_send: tuple[Leased, ...]
    unanswered: tuple[Leased, ...] = ()
    trouble: ReadTrouble = ReadTrouble()
    gate: GateAccount | None = None
    found_after_doubt: bool = False
    later: tuple[Leased, ...] = ()


class _Unreadable(Exception):
    """A read-back that did not answer, or not usably, and the account's gate if it closed."""

    def __init__(self, trouble: ReadTrouble, gate: GateAccount | None = None) -> None:
        super().__init__(trouble.code)
        self.trouble, self.gate = trouble, gate


def read_back(
    batch: Batch,
    profile: Profile,
    api: BlandApi,
    listings: SharedListing,
    *,
    claimed: float,
    deadline: float,
    permit: Callable[[], None],
    scrub: Callable[[str], str],
) -> ReadBack:
    """Reads back the numbers that need it; all others are to be sent. Raises what `permit` raises.

    `claimed` (time.monotonic) is when the batch was had, so no earlier than its `now_ms`.
    """
    asked = [each for each in batch.numbers if _needs_check(each, batch, profile)]
    rest = tuple(each for each in batch.numbers if each not in asked)
    now = time.monotonic()
    new = _unlisted(rest, listings.latest(now - ABSENT_S))
    if not asked:
        return ReadBack((), new, batch.numbers)
    newest_ms = max(_oldest_listing_ms(each, batch, listings.request_s) for each in asked)
    reader = _Reader(
        api,
        listings,
        store_time=lambda moment: batch.now_ms / 1000 + moment - claimed,
        since=claimed - (batch.now_ms - newest_ms) / 1000,
        list_until=now + (deadline - now) * LISTING_SHARE,
        deadline=deadline,
        permit=permit,
        scrub=scrub,
    )
    try:
        answer = _ask(asked, profile, reader, enough=now + (deadline - now) * ASKING_SHARE)
    except _Unreadable as error:
        return ReadBack((), new, rest, tuple(asked), error.trouble, error.gate)
    found = {each.number for each in asked if answer.known[each.number] == "attached"}
    absent = {each.number for each in asked if answer.known[each.number] == "absent"}
    logger(profile=profile.name, batch=batch.id).info(
        Log.read_back, asked=len(asked), found=len(found), absent=len(absent), later=len(answer.later)
    )
    return ReadBack(
        attached=tuple(each.number for each in asked if each.number in found),
        absent=(*new, *(each.number for each in asked if each.number in absent)),
        to_send=tuple(each for each in batch.numbers if each.number not in found and each not in answer.later),
        gate=answer.gate,
        found_after_doubt=any(each.verify == "in_doubt" and each.number in found for each in asked),
        later=answer.later,
    )


def _unlisted(numbers: Sequence[Leased], listing: Listing | None) -> tuple[str, ...]:
    """The numbers never in doubt that a listing at hand doesn't have: if their call is lost, being listed is proof."""
    fresh = tuple(each.number for each in numbers if not each.verify)
    if listing is None or not listing.covers(fresh):
        return ()
    return tuple(number for number in fresh if listing.get(number) is None)


def _needs_check(leased: Leased, batch: Batch, profile: Profile) -> bool:
    if leased.forced or leased.unread >= MAX_UNREAD or profile.retry.verify == "never":
        return False
    if leased.verify == "check":
        return leased.attached_under == batch.fingerprint
    return leased.verify == "in_doubt" or profile.retry.verify == "always"


def _oldest_listing_ms(leased: Leased, batch: Batch, request_s: float) -> float:
    """The moment (store clock) after which a listing must have begun to say anything of a number.

    In doubt: when its request had ended, answered or not, so that it is not listed as absent while it is being
    attached. Only to be checked: when the event came that asks for it, as somebody may have detached it just before.
    Others: any time. One that began after the claim is as new as can be had, and good enough for all of them.
    """
    if leased.verify == "in_doubt":
        moment = None if leased.sent_ms is None else leased.sent_ms + request_s * 1000
    elif leased.verify == "check":
        moment = leased.queued_ms
    else:
        moment = -math.inf
    return batch.now_ms if moment is None else min(batch.now_ms, moment)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The verdict on each number that was asked, those left for later, and the gate that closed meanwhile."""

    known: dict[str, Proof]
    later: tuple[Leased, ...] = ()
    gate: GateAccount | None = None


def _ask(asked: Sequence[Leased], profile: Profile, reader: _Reader, *, enough: float) -> _Answer:
    """Asks until `enough` (monotonic seconds); once something is known, trouble ends it and is no error any more."""
    listing = reader.listing([each.number for each in asked]) if len(asked) >= LISTING_FROM else None
    known = {each.number: _judge(each, profile, listing, None) for each in asked}
    unclear = [each for each in asked if known[each.number] == "unclear"]
    if len(unclear) > MAX_DETAILS:
        if isinstance(listing, ListingUnusable):
            raise _Unreadable(ReadTrouble("listing_unusable", f"GET /v1/sip/numbers can't be used: {listing.reason}"))
        return _Answer(known)
    progress = len(unclear) < len(asked)
    for index, each in enumerate(unclear):
        if progress and time.monotonic() >= enough:
            return _Answer(known, tuple(unclear[index:]))
        try:
            detail, updated_since = reader.detail(each)
        except _Unreadable as error:
            if not progress:
                raise
            return _Answer(known, tuple(unclear[index:]), error.gate)
        known[each.number] = _judge(each, profile, listing, detail, updated_since)
        progress = True
    return _Answer(known)


def _judge(
    each: Leased,
    profile: Profile,
    answer: Listing | ListingUnusable | None,
    detail: NumberDetail | None,
    updated_since: datetime | None = None,
) -> Proof:
    listing = answer if isinstance(answer, Listing) else None
    listed = UNKNOWN if listing is None else listing.get(each.number)
    if each.verify == "check":
        if detail is None and listing is None:
            return "unclear"
        return "attached" if present(profile, listed if detail is None else detail) else "absent"
    return proof(
        profile,
        each.number,
        updated_since=updated_since,
        known_absent=each.known_absent,
        listed=listed,
        detail=detail,
    )


class _Reader:
    """The API's two read-backs as values, or _Unreadable."""

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
        """What the account's listing says of these numbers, or why it can't be used though the API is well."""

        def read() -> Listing | Exchange:
            return self._listings.read(numbers, since=self._since, deadline=self._list_until, permit=self._permit)

        try:
            answer = self._get(read)
        except ListingUnusable as unusable:
            return unusable
        if isinstance(answer, Listing):
            return answer
        trouble = self._trouble(answer, "GET /v1/sip/numbers")
        if trouble.gate is not None or answer.status >= 500 or answer.status in (408, 425):
            raise trouble
        return ListingUnusable(f"it answers {answer.status}")

    def detail(self, leased: Leased) -> tuple[NumberDetail, datetime | None]:
        """What the API has of a number, and the moment by its clock since when an update is our request's or later."""
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
                raise _Unreadable(_NO_TIME) from error
            message = self._scrub(error.message)
            gate = GateAccount("unreachable", message, None, explicit=True)
            raise _Unreadable(ReadTrouble(error.code, f"the read-back failed: {message}"), gate) from error
        except Unanswered as error:
            message = f"the read-back failed: {self._scrub(error.message)}"
            raise _Unreadable(ReadTrouble(error.code, message)) from error
        except OutOfTime as error:
            raise _Unreadable(_NO_TIME) from error

    def _trouble(self, exchange: Exchange, what: str) -> _Unreadable:
        answer = read_answer(
            exchange.status, exchange.headers, exchange.body, ("?",), scrub=self._scrub, now=datetime.now(UTC)
        )
        gate = answer.verdict if isinstance(answer.verdict, GateAccount) else None
        wish = answer.verdict.retry_after_s if isinstance(answer.verdict, CallFailed) else None
        message = f"{what} answers {exchange.status}, which can't be used"
        return _Unreadable(ReadTrouble(f"http_{exchange.status}", message, wish), gate)


_NO_TIME: Final = ReadTrouble("out_of_time", "the account's rate left no time to read back", of_api=False)
