"""Reason of a wait: decides from the books which of the things in a number's way holds it up, in one sentence."""

from __future__ import annotations

from typing import Final

from trunkline.lifecycle import State
from trunkline.store.model import AccountBook, Books, Entry, ProfileBook
from trunkline.timestamps import rfc3339

SLOT_MS: Final = 1_000  # a call is prepared so long before its slot in the account's rate: less is no wait


def waiting_for(entry: Entry, profile: ProfileBook, account: AccountBook, workers: int, now_ms: int) -> str | None:
    """Return what a queued number waits for, a sentence without a full stop; None for one that is not queued.

    Of several reasons the one that has to end first is told: a pause, no worker for the profile, the number's own
    time, then the account's limits. `workers` is how many live, `now_ms` the store's time.
    """
    if entry.state is not State.queued:
        return None
    return (
        _stopped(entry, profile, account, now_ms)
        or unattended(profile, workers, called="its profile")
        or _its_own(entry, profile, now_ms)
        or _others(profile, account, now_ms)
    )


def why_waiting(entry: Entry, books: Books) -> str | None:
    """Return what an entry waits for, from the books; None for one that is not queued."""
    profile, account = books_of(entry, books)
    return waiting_for(entry, profile, account, len(books.workers), books.now_ms)


def books_of(entry: Entry, books: Books) -> tuple[ProfileBook, AccountBook]:
    """Return the books of an entry's profile and of its account; empty ones of an account that was taken out since."""
    profile = next(book for book in books.profiles if book.profile == entry.profile)
    moved_meanwhile = AccountBook(profile.account, None, None)
    return profile, next((book for book in books.accounts if book.account == profile.account), moved_meanwhile)


def unattended(profile: ProfileBook, workers: int, *, called: str = "it") -> str | None:
    """Return why no worker sends the numbers of a profile, None where one does; `called`: the sentence's name of it."""
    if profile.carried:
        return None
    if not workers:
        return "no worker lives; `trunkline up` or `trunkline worker` starts one"
    living = f"{workers:,} workers live"
    if workers == 1:
        living = "1 worker lives"
    return f"no living worker's configuration carries {called} as it was published; {living}"


def _stopped(entry: Entry, profile: ProfileBook, account: AccountBook, now_ms: int) -> str | None:
    """Return the pause or the open breaker that holds a number up, the account's before the profile's."""
    return _stopped_account(entry, account, now_ms) or _stopped_profile(profile)


def _stopped_account(entry: Entry, account: AccountBook, now_ms: int) -> str | None:
    name, paused = account.account, account.paused
    if paused is None:
        return None
    if paused.by == "operator":
        return f"the account {name} is paused by an operator: {paused.reason} (`trunkline resume {name}` ends it)"
    if (entry.next_attempt_ms or 0) > (account.retry_at_ms or 0):
        return None
    breaker, reason = f"the breaker of the account {name} is open", f"because of {paused.reason}"
    if account.retry_at_ms is not None and account.retry_at_ms > now_ms:
        return f"{breaker} until {rfc3339(account.retry_at_ms)} {reason}"
    return f"{breaker} {reason}; a probe (GET /v1/me) is due"


def _stopped_profile(profile: ProfileBook) -> str | None:
    paused = profile.paused
    if paused is None:
        return None
    resume = f"`trunkline resume --profile {profile.profile}`"
    by, way_out = "the API's answers", f"mend the profile, then {resume}"
    if paused.by == "operator":
        by, way_out = "an operator", f"{resume} ends it"
    return f"the profile {profile.profile} is paused by {by}: {paused.reason} ({way_out})"


def _its_own(entry: Entry, profile: ProfileBook, now_ms: int) -> str | None:
    at_ms = entry.next_attempt_ms
    if at_ms is not None and entry.held:
        other = "another profile's batch has this number, or sends it first"
        return f"{other}; it goes after that, at the latest at {rfc3339(at_ms)}"
    if at_ms is not None and at_ms > now_ms:
        return f"its retry is due at {rfc3339(at_ms)}"
    if profile.canary and profile.canary != entry.number:
        return (
            f"the canary {profile.canary} goes first: an attached number, sent again to see whether the profile or the "
            "numbers are to blame for the refusals"
        )
    return None


def _others(profile: ProfileBook, account: AccountBook, now_ms: int) -> str:
    return _limited(account, now_ms) or _gathering(profile, now_ms) or _in_turn(profile, account)


def _limited(account: AccountBook, now_ms: int) -> str | None:
    name = account.account
    if account.calls >= account.most_calls:
        return f"the account {name} has as many calls under way as it may at once ({account.most_calls})"
    if account.next_slot_ms is not None and account.next_slot_ms > now_ms + SLOT_MS:
        return f"the rate of the account {name} lets it go about {rfc3339(account.next_slot_ms)}"
    return None


def _gathering(profile: ProfileBook, now_ms: int) -> str | None:
    if profile.due_ms is not None and profile.due_ms > now_ms:
        return f"it waits for company until {rfc3339(profile.due_ms)} (max_wait_s is {profile.max_wait_ms / 1000:g})"
    return None


def _in_turn(profile: ProfileBook, account: AccountBook) -> str:
    waiting = profile.counts["queued"]
    if waiting <= 1:
        return "its turn, which has come"
    turn = f"its turn: {waiting:,} numbers of the profile {profile.profile} wait"
    if not account.interval_ms:
        return turn
    return f"{turn}, and the account {account.account} may send a request every {account.interval_ms / 1000:g} s"
