"""One batch between claim and settle: read back what is in doubt, send the rest, one settlement for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from trunkline.bland.attach import AccountFailed, CallFailed, SplitBatch, Verdict, no_answer, read_answer, request_body
from trunkline.bland.client import BlandApi, Exchange, NotSent, Unanswered
from trunkline.engine.permits import OutOfTime, Permits, Stopped
from trunkline.engine.read_back import ReadBack, read_back
from trunkline.engine.settlement import settlement_of
from trunkline.engine.shared_listing import SharedListing
from trunkline.profiles.profile import Profile
from trunkline.redaction import make_scrubber
from trunkline.store.model import Batch, OpenBreaker, SealedPassword, Settlement, Trouble
from trunkline.store.vault import Vault, VaultLocked
from trunkline.telemetry.logs import Log, logger

UNREACHABLE_MOST_S: Final = 60.0  # an API that is back is not to wait long for us


class Attempt:
    """Carries one claimed batch to its settlement: reads back what is in doubt, sends the rest in one call.

    `claimed` and `deadline` are on the monotonic clock; `open_s`: how long the breaker opens for a Retry-After.
    """

    def __init__(
        self,
        batch: Batch,
        profile: Profile,
        api: BlandApi,
        listings: SharedListing,
        *,
        claimed: float,
        deadline: float,
        permits: Permits,
        vault: Vault,
        scrub: Callable[[str], str],
        open_s: Callable[[float | None], float],
    ) -> None:
        self._batch = batch
        self._profile = profile
        self._api = api
        self._listings = listings
        self._claimed = claimed
        self._deadline = deadline
        self._permits = permits
        self._vault = vault
        self._scrub = scrub
        self._open_s = open_s
        self._password: SealedPassword | None = None
        self._password_lost = False
        if profile.registers:
            # The API derives the passwords of such a profile, and may repeat them in whatever it says.
            scrub_derived = make_scrubber(vault.known(profile.name))
            self._scrub = lambda text: scrub_derived(scrub(text))

    def run(self) -> Settlement:
        """Raises LeaseLost, Stopped or OutOfTime when the attach request did not leave."""
        settlement = self._run()
        return replace(
            settlement, profile=self._profile.name, password=self._password, password_lost=self._password_lost
        )

    def _run(self) -> Settlement:
        checked = self._read_back()
        if checked.account_failed is not None:
            breaker = self._breaker(checked.account_failed)
            return settlement_of(self._batch, self._profile, checked, None, breaker=breaker)
        if not checked.to_send:
            return self._unsent(checked)
        try:
            verdict = self._send([each.number for each in checked.to_send], checked.absent)
        except (Stopped, OutOfTime):
            if not checked.attached and not checked.unanswered:
                raise
            return self._unsent(checked)  # what the read-back said counts all the same
        return self._settled(checked, verdict)

    def _settled(self, checked: ReadBack, verdict: Verdict) -> Settlement:
        breaker, trouble = None, None
        if isinstance(verdict, AccountFailed):
            breaker = self._breaker(verdict)
        elif isinstance(verdict, CallFailed):
            trouble = self._trouble(verdict.reason, verdict.retry_after_s)
        return settlement_of(self._batch, self._profile, checked, verdict, breaker=breaker, trouble=trouble)

    def _unsent(self, checked: ReadBack) -> Settlement:
        read = checked.trouble
        failed = bool(checked.unanswered) and read.of_api
        trouble = self._trouble(read.message, read.retry_after_s) if failed else None
        return settlement_of(self._batch, self._profile, checked, None, trouble=trouble)

    def _read_back(self) -> ReadBack:
        checked = read_back(
            self._batch,
            self._profile,
            self._api,
            self._listings,
            claimed=self._claimed,
            deadline=self._deadline,
            permit=self._permits.ask(self._batch.id, self._batch.account, self._deadline),
            scrub=self._scrub,
        )
        if self._profile.registers and checked.found_after_doubt:
            self._lose_password("the answer that carried it did not arrive")
        failed = checked.account_failed
        if failed is None or failed.kind not in ("auth", "forbidden") or not self._batch.half_open:
            return checked
        # The probe just found the key in order: it may not read, so what is in doubt is sent again unread.
        in_doubt = tuple(each for each in checked.unanswered if each.verify != "check")
        rest = tuple(each for each in checked.unanswered if each.verify == "check")
        return replace(checked, account_failed=None, to_send=(*checked.to_send, *in_doubt), unanswered=rest)

    def _send(self, numbers: list[str], absent: Sequence[str]) -> Verdict:
        permit = self._permits.ask(self._batch.id, self._batch.account, self._deadline, len(numbers), absent)
        body = request_body(self._profile, numbers)
        try:
            # The one call after a probe is one request: an API that is not back yet is not asked thrice.
            exchange = self._api.attach(body, deadline=self._deadline, permit=permit, once=self._batch.half_open)
        except NotSent as error:
            if error.code == "deadline":
                raise OutOfTime from error
            # Nobody can be reached, so no number is to blame: the account waits, as with any trouble of its own.
            return AccountFailed("unreachable", error.message, None, explicit=True)
        except Unanswered as error:
            return no_answer(error.code, error.message, numbers)
        return self._read(exchange, numbers)

    def _read(self, exchange: Exchange, numbers: list[str]) -> Verdict:
        answer = read_answer(
            exchange.status, exchange.headers, exchange.body, numbers, scrub=self._scrub, now=datetime.now(UTC)
        )
        if answer.register_password is not None:
            try:
                self._password = self._vault.seal(self._profile.name, answer.register_password)
            except VaultLocked as error:
                self._lose_password(str(error))
        verdict = answer.verdict
        if isinstance(verdict, AccountFailed) and self._is_about_numbers(verdict, exchange.status):
            return SplitBatch(f"http_{exchange.status}", verdict.reason, None, verdict.reason, "forbidden")
        return verdict

    def _is_about_numbers(self, verdict: AccountFailed, status: int) -> bool:
        """Tell if a bare 403 refuses the numbers: the probe, or an earlier call, found the key in order."""
        if status != 403 or verdict.explicit:
            return False
        return self._batch.half_open or any(each.met_403 for each in self._batch.numbers)

    def _lose_password(self, error: str) -> None:
        self._password_lost = True
        logger(profile=self._profile.name).error(Log.register_password_lost, error=error)

    def _breaker(self, verdict: AccountFailed) -> OpenBreaker:
        if verdict.kind == "unreachable":
            return OpenBreaker(self._away_ms(verdict.retry_after_s), verdict.reason)
        return OpenBreaker(ms=max(1, int(self._open_s(verdict.retry_after_s) * 1000)), reason=verdict.reason)

    def _trouble(self, reason: str, wish_s: float | None) -> Trouble:
        return Trouble(reason, self._away_ms(wish_s))

    def _away_ms(self, wish_s: float | None) -> int:
        """Milliseconds for which nobody calls an API that is away: what it asks for, or a minute at most."""
        seconds = min(self._open_s(wish_s), max(UNREACHABLE_MOST_S, wish_s or 0.0))
        return max(1, int(seconds * 1000))
