"""Read back before sending: which numbers of a batch are attached already, which are not, which must be sent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from trunkline.bland.attach import (
    UNKNOWN,
    AccountFailed,
    Listed,
    Listing,
    ListingUnusable,
    NumberDetail,
    Proof,
    present,
    proof,
)
from trunkline.bland.client import BlandApi
from trunkline.engine.reader import NO_TROUBLE, Reader, ReadTrouble, Unreadable
from trunkline.engine.shared_listing import SharedListing
from trunkline.profiles.profile import Profile
from trunkline.store.model import Batch, Leased
from trunkline.telemetry.logs import Log, logger

LISTING_FROM: Final = 4  # so many numbers are asked for with one GET /v1/sip/numbers, fewer with GET /v1/sip each
MAX_UNREAD: Final = 2  # after so many read-backs in a row that did not work a number is sent unread: twice is harmless
MAX_DETAILS: Final = 25  # beyond that what the listing leaves unclear is simply sent again
ASKING_SHARE: Final = 0.5  # of the time there is: the other half is for the request
ABSENT_S: Final = 60.0  # how long a number that a listing did not have counts as absent
LISTING_SHARE: Final = 0.7  # of the time there is, for a listing that is large


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Result of a read-back of a batch.

    `unanswered` could not be asked, `trouble` says why; `later` is left for the next batch: the others took their time,
    or there was trouble after they were known.
    """

    attached: tuple[str, ...]
    absent: tuple[str, ...]
    to_send: tuple[Leased, ...]
    unanswered: tuple[Leased, ...] = ()
    trouble: ReadTrouble = NO_TROUBLE
    account_failed: AccountFailed | None = None
    found_after_doubt: bool = False
    later: tuple[Leased, ...] = ()


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
    now = time.monotonic()
    asked = [each for each in batch.numbers if _must_be_read(each, batch, profile)]
    rest = tuple(each for each in batch.numbers if each not in asked)
    unlisted = _unlisted(rest, listings.latest(now - ABSENT_S))
    if not asked:
        return ReadBack((), unlisted, batch.numbers)
    newest_ms = max(_oldest_listing_ms(each, batch, listings.request_s) for each in asked)
    reader = Reader(
        api,
        listings,
        store_time=lambda moment: batch.now_ms / 1000 + moment - claimed,
        since=claimed - (batch.now_ms - newest_ms) / 1000,
        list_until=now + (deadline - now) * LISTING_SHARE,
        deadline=deadline,
        permit=permit,
        scrub=scrub,
    )
    questions = _Questions(profile, reader, asked, until=now + (deadline - now) * ASKING_SHARE)
    try:
        questions.ask()
    except Unreadable as error:
        return ReadBack((), unlisted, rest, tuple(asked), error.trouble, error.account_failed)
    logger(profile=profile.name, batch=batch.id).info(
        Log.read_back,
        asked=len(asked),
        found=len(questions.that_are("attached")),
        absent=len(questions.that_are("absent")),
        later=len(questions.later),
    )
    return _told(batch, questions, unlisted)


def _told(batch: Batch, questions: _Questions, unlisted: tuple[str, ...]) -> ReadBack:
    found, absent = questions.that_are("attached"), questions.that_are("absent")
    numbers_found = {each.number for each in found}
    return ReadBack(
        attached=tuple(each.number for each in found),
        absent=(*unlisted, *(each.number for each in absent)),
        to_send=tuple(
            each for each in batch.numbers if each.number not in numbers_found and each not in questions.later
        ),
        account_failed=questions.account_failed,
        found_after_doubt=any(each.verify == "in_doubt" for each in found),
        later=questions.later,
    )


def _unlisted(numbers: Sequence[Leased], listing: Listing | None) -> tuple[str, ...]:
    """The numbers never in doubt that a listing at hand doesn't have: if their call is lost, being listed is proof."""
    fresh = tuple(each.number for each in numbers if not each.verify)
    if listing is None or not listing.covers(fresh):
        return ()
    return tuple(number for number in fresh if listing.get(number) is None)


def _must_be_read(leased: Leased, batch: Batch, profile: Profile) -> bool:
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
    moments = {
        "in_doubt": None if leased.sent_ms is None else leased.sent_ms + request_s * 1000,
        "check": leased.queued_ms,
        "": -math.inf,
    }
    moment = moments[leased.verify]
    return batch.now_ms if moment is None else min(batch.now_ms, moment)


@dataclass(slots=True)
class _Questions:
    """The numbers to ask for, the verdict on each, those left for later, and the account's trouble met meanwhile."""

    profile: Profile
    reader: Reader
    asked: Sequence[Leased]
    until: float  # monotonic; what is still unclear then is left for later
    known: dict[str, Proof] = field(default_factory=dict)
    later: tuple[Leased, ...] = ()
    account_failed: AccountFailed | None = None

    def that_are(self, verdict: Proof) -> list[Leased]:
        """The numbers with this verdict, in the order of the batch."""
        return [each for each in self.asked if self.known[each.number] == verdict]

    def ask(self) -> None:
        """Asks for the listing, then for the details of what it leaves unclear.

        Raises Unreadable where nothing became known; once something is known, trouble ends the asking instead.
        """
        listing = self._listing()
        usable = listing if isinstance(listing, Listing) else None
        for each in self.asked:
            self.known[each.number] = self._judge(each, usable)
        unclear = self.that_are("unclear")
        if len(unclear) > MAX_DETAILS:
            if isinstance(listing, ListingUnusable):
                reason = f"GET /v1/sip/numbers can't be used: {listing.reason}"
                raise Unreadable(ReadTrouble("listing_unusable", reason))
            return  # to ask for each costs more calls than to send them all again in one
        self._ask_for_details(unclear, usable)

    def _listing(self) -> Listing | ListingUnusable | None:
        if len(self.asked) < LISTING_FROM:
            return None
        return self.reader.listing([each.number for each in self.asked])

    def _ask_for_details(self, unclear: Sequence[Leased], listing: Listing | None) -> None:
        is_some_known = len(unclear) < len(self.asked)
        for index, each in enumerate(unclear):
            if is_some_known and time.monotonic() >= self.until:
                self.later = tuple(unclear[index:])
                return
            try:
                detail, updated_since = self.reader.detail(each)
            except Unreadable as error:
                if not is_some_known:
                    raise
                self.later, self.account_failed = tuple(unclear[index:]), error.account_failed
                return
            self.known[each.number] = self._judge(each, listing, detail, updated_since)
            is_some_known = True

    def _judge(
        self,
        each: Leased,
        listing: Listing | None,
        detail: NumberDetail | None = None,
        updated_since: datetime | None = None,
    ) -> Proof:
        listed = UNKNOWN if listing is None else listing.get(each.number)
        if each.verify == "check":
            return self._judge_presence(listed if detail is None else detail)
        return proof(
            self.profile,
            each.number,
            updated_since=updated_since,
            known_absent=each.known_absent,
            listed=listed,
            detail=detail,
        )

    def _judge_presence(self, found: Listed | NumberDetail) -> Proof:
        if found is UNKNOWN:
            return "unclear"
        return "attached" if present(self.profile, found) else "absent"
