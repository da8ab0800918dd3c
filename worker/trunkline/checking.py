"""Reading back before sending: which numbers of a batch are attached already, which are not, which must be sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from trunkline.attach import (
    UNKNOWN,
    CallFailed,
    GateAccount,
    Listing,
    NumberDetail,
    Proof,
    present,
    proof,
    read_answer,
    read_detail,
    read_listing,
)
from trunkline.bland import BlandApi, Exchange, NotSent, Unanswered
from trunkline.observe import Log, logger
from trunkline.permits import OutOfTime
from trunkline.profiles import Profile
from trunkline.store.model import Batch, Leased

LISTING_FROM: Final = 4  # so many numbers are asked for with one GET /v1/sip/numbers, fewer with GET /v1/sip each
MOST_UNREAD: Final = 2  # after so many read-backs in a row that did not work a number is sent unread: twice is harmless
MOST_DETAILS: Final = 25  # beyond that what the listing leaves unclear is simply sent again
ASKING_SHARE: Final = 0.5  # of the time there is: the other half is for the request


@dataclass(frozen=True, slots=True)
class ReadTrouble:
    """Why a read-back did not work. `of_api`: the API is to blame, and not that there was no time left to ask it."""

    code: str = ""
    message: str = ""
    retry_after_s: float | None = None
    of_api: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
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


def check(
    batch: Batch,
    profile: Profile,
    api: BlandApi,
    *,
    deadline: float,
    permit: Callable[[], None],
    scrub: Callable[[str], str],
) -> Checked:
    """Reads back the numbers that need it; all others are to be sent. Raises what `permit` raises."""
    asked = [each for each in batch.numbers if _needs_check(each, batch, profile)]
    if not asked:
        return Checked((), (), batch.numbers)
    rest = tuple(each for each in batch.numbers if each not in asked)
    now = time.monotonic()
    reader = _Reader(api, deadline, permit, scrub)
    try:
        answer = _ask(asked, profile, reader, enough=now + (deadline - now) * ASKING_SHARE)
    except _Unreadable as error:
        return Checked((), (), rest, tuple(asked), error.trouble, error.gate)
    found = {each.number for each in asked if answer.known[each.number] == "attached"}
    absent = {each.number for each in asked if answer.known[each.number] == "absent"}
    logger(profile=profile.name, batch=batch.id).info(
        Log.read_back, asked=len(asked), found=len(found), absent=len(absent), later=len(answer.later)
    )
    return Checked(
        attached=tuple(each.number for each in asked if each.number in found),
        absent=tuple(each.number for each in asked if each.number in absent),
        to_send=tuple(each for each in batch.numbers if each.number not in found and each not in answer.later),
        gate=answer.gate,
        found_after_doubt=any(each.verify == "d" and each.number in found for each in asked),
        later=answer.later,
    )


def _needs_check(leased: Leased, batch: Batch, profile: Profile) -> bool:
    if leased.forced or leased.unread >= MOST_UNREAD or profile.retry.verify == "never":
        return False
    if leased.verify == "c":
        return leased.attached_under == batch.fingerprint
    return leased.verify == "d" or profile.retry.verify == "always"


@dataclass(frozen=True, slots=True)
class _Answer:
    """The verdict on each number that was asked, those left for later, and the gate that closed meanwhile."""

    known: dict[str, Proof]
    later: tuple[Leased, ...] = ()
    gate: GateAccount | None = None


def _ask(asked: Sequence[Leased], profile: Profile, reader: _Reader, *, enough: float) -> _Answer:
    """Asks until `enough` (monotonic seconds); once something is known, trouble ends it and is no error any more."""
    listing = reader.listing() if len(asked) >= LISTING_FROM else None
    known = {each.number: _judge(each, profile, listing, None) for each in asked}
    unclear = [each for each in asked if known[each.number] == "unclear"]
    if len(unclear) > MOST_DETAILS:
        return _Answer(known)
    progress = len(unclear) < len(asked)
    for index, each in enumerate(unclear):
        if progress and time.monotonic() >= enough:
            return _Answer(known, tuple(unclear[index:]))
        try:
            detail = reader.detail(each.number)
        except _Unreadable as error:
            if not progress:
                raise
            return _Answer(known, tuple(unclear[index:]), error.gate)
        known[each.number] = _judge(each, profile, listing, detail)
        progress = True
    return _Answer(known)


def _judge(each: Leased, profile: Profile, listing: Listing | None, detail: NumberDetail | None) -> Proof:
    listed = UNKNOWN if listing is None else listing.get(each.number)
    if each.verify == "c":
        if detail is None and listing is None:
            return "unclear"
        return "attached" if present(profile, listed if detail is None else detail) else "absent"
    sent_at = None if each.sent_ms is None else datetime.fromtimestamp(each.sent_ms / 1000, UTC)
    return proof(profile, each.number, sent_at=sent_at, known_absent=each.known_absent, listed=listed, detail=detail)


class _Reader:
    """The API's two read-backs as values, or _Unreadable."""

    def __init__(self, api: BlandApi, deadline: float, permit: Callable[[], None], scrub: Callable[[str], str]) -> None:
        self._api, self._deadline, self._permit, self._scrub = api, deadline, permit, scrub

    def listing(self) -> Listing | None:
        """Every number of the account, or None for an answer that does not hold all of them."""
        exchange = self._get(lambda: self._api.numbers(deadline=self._deadline, permit=self._permit))
        listing = read_listing(exchange.status, exchange.body)
        if listing is None and exchange.status >= 300:
            raise self._trouble(exchange, "GET /v1/sip/numbers")
        return listing

    def detail(self, number: str) -> NumberDetail:
        exchange = self._get(lambda: self._api.number(number, deadline=self._deadline, permit=self._permit))
        detail = read_detail(exchange.status, exchange.body)
        if detail is None:
            raise self._trouble(exchange, "GET /v1/sip")
        return detail

    def _get(self, call: Callable[[], Exchange]) -> Exchange:
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
