"""Listings of the API: the numbers of each account, asked for once, to compare the books with."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

from trunkline.bland.attach import Listing, ListingReader, ListingUnusable, present
from trunkline.bland.client import BlandApi, NotSent, Unanswered
from trunkline.config.settings import Settings

LISTING_S: Final = 60.0


class Listings:
    """The answers to `GET /v1/sip/numbers` of every account that has a profile here and whose key is at hand.

    `tell` is given a sentence for each account that could not be asked; `complete`: every account was.
    """

    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._tell = tell
        accounts = sorted({profile.account for profile in settings.profiles.values()})
        self._listings = {name: self._listing(name) for name in accounts}
        self.complete = bool(accounts) and None not in self._listings.values()

    def has(self, profile: str, number: str) -> bool | None:
        """Return whether the API has all of the profile's directions of a number; None where it is not known."""
        known = self._settings.profiles.get(profile)
        if known is None:
            return None
        listing = self._listings.get(known.account)
        if listing is None:
            return None
        return present(known, listing.get(number))

    def _listing(self, name: str) -> Listing | None:
        account = self._settings.accounts[name]
        if account.key is None or not account.key.value.get_secret_value():
            self._tell(f"no key of the account {name} is at hand; its numbers are compared with the books alone")
            return None
        with closing(BlandApi(account)) as api:
            reader = ListingReader()
            try:
                answer = api.numbers(reader.feed, deadline=time.monotonic() + LISTING_S, permit=lambda: None)
                if answer.status < 300:
                    return reader.listing()
                reason = f"it answers {answer.status}"
            except (NotSent, Unanswered) as error:
                self._tell(f"the account {name} can't be asked, so the books alone count: {error.message}")
                return None
            except ListingUnusable as error:
                reason = error.reason
        self._tell(f"the account {name} gives no listing ({reason}), so the books alone count")
        return None
