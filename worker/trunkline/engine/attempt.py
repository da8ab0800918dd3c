"""One batch between claim and settle: read back what is in doubt, send the rest, one settlement for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from trunkline.bland.attach import CallFailed, GateAccount, SplitBatch, Verdict, no_answer, read_answer, request_body
from trunkline.bland.client import BlandApi, Exchange, NotSent, Unanswered
from trunkline.engine.permits import OutOfTime, Permits, Stopped
from trunkline.engine.read_back import ReadBack, read_back
from trunkline.engine.settlement import settlement_of
from trunkline.engine.shared_listing import SharedListing
from trunkline.profiles.profile import Profile
from trunkline.redaction import make_scrubber
from trunkline.store.model import Batch, Gate, SealedPassword, Settlement, Trouble
from trunkline.store.vault import Vault, VaultLocked
from trunkline.telemetry.logs import Log, logger

UNREACHABLE_MOST_S: Final = 60.0  # an API that is back is not to wait long for us


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tools:
    deadline: float
    permits: Permits
    vault: Vault
    scrub: Callable[[str], str]
    gate_s: Callable[[float | None], float]


class Attempt:
    """Carries one claimed batch to its settlement: reads back what is in doubt, sends the rest in one call.

    `claimed` and `deadline` are on the monotonic clock; `gate_s`: how long a gate closes for a Retry-After.
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
        gate_s: Callable[[float | None], float],
    ) -> None:
        self._batch = batch
        self._profile = profile
        self._api = api
        self._listings = listings
        self._claimed = claimed
        self._password: SealedPassword | None = None
        self._password_lost = False
        if profile.registers:
            # The API derives the passwords of such a profile, and may repeat them in whatever it says.
            derived = make_scrubber(vault.known(profile.name))
            self._tools = _Tools(
                deadline=deadline, permits=permits, vault=vault, scrub=lambda text: derived(scrub(text)), gate_s=gate_s
            )
        else:
            self._tools = _Tools(deadline=deadline, permits=permits, vault=vault, scrub=scrub, gate_s=gate_s)

    def run(self) -> Settlement:
        """Raises LeaseLost, Stopped or OutOfTime when the attach request did not leave."""
        settlement = self._run()
        return replace(
            settlement, profile=self._profile.name, password=self._password, password_lost=self._password_lost
        )

    def _run(self) -> Settlement:
        checked = self._check()
        if checked.gate is not None and checked.gate.kind in ("auth", "forbidden") and self._batch.half_open:
            # The probe just found the key in order: it may not read, so what is in doubt is sent again unread.
            in_doubt = tuple(each for each in checked.unanswered if each.verify != "check")
            rest = tuple(each for each in checked.unanswered if each.verify == "check")
            checked = replace(checked, gate=None, to_send=(*checked.to_send, *in_doubt), unanswered=rest)
        if checked.gate is not None:
            return settlement_of(self._batch, self._profile, checked, None, gate=self._gate(checked.gate))
        if not checked.to_send:
            return self._unsent(checked)
        try:
            verdict = self._send([each.number for each in checked.to_send], checked.absent)
        except (Stopped, OutOfTime):
            if not checked.attached and not checked.unanswered:
                raise
            return self._unsent(checked)  # what the read-back said counts all the same
        gate = self._gate(verdict) if isinstance(verdict, GateAccount) else None
        trouble = self._trouble(verdict.reason, verdict.retry_after_s) if isinstance(verdict, CallFailed) else None
        return settlement_of(self._batch, self._profile, checked, verdict, gate=gate, trouble=trouble)

    def _unsent(self, checked: ReadBack) -> Settlement:
        read = checked.trouble
        failed = bool(checked.unanswered) and read.of_api
        trouble = self._trouble(read.message, read.retry_after_s) if failed else None
        return settlement_of(self._batch, self._profile, checked, None, trouble=trouble)

    def _check(self) -> ReadBack:
        tools = self._tools
        permit = tools.permits.ask(self._batch.id, self._batch.account, tools.deadline)
        checked = read_back(
            self._batch,
            self._profile,
            self._api,
            self._listings,
            claimed=self._claimed,
            deadline=tools.deadline,
            permit=permit,
            scrub=tools.scrub,
        )
        if self._profile.registers and checked.found_after_doubt:
            self._lose_password("the answer that carried it did not arrive")
        return checked

    def _send(self, numbers: list[str], absent: Sequence[str]) -> Verdict:
        tools = self._tools
        permit = tools.permits.ask(self._batch.id, self._batch.account, tools.deadline, len(numbers), absent)
        body = request_body(self._profile, numbers)
        try:
            # The one call after a probe is one request: an API that is not back yet is not asked thrice.
            exchange = self._api.attach(body, deadline=tools.deadline, permit=permit, once=self._batch.half_open)
        except NotSent as error:
            if error.code == "deadline":
                raise OutOfTime from error
            # Nobody can be reached, so no number is to blame: the account waits, as with any trouble of its own.
            return GateAccount("unreachable", error.message, None, explicit=True)
        except Unanswered as error:
            return no_answer(error.code, error.message, numbers)
        return self._read(exchange, numbers)

    def _read(self, exchange: Exchange, numbers: list[str]) -> Verdict:
        answer = read_answer(
            exchange.status, exchange.headers, exchange.body, numbers, scrub=self._tools.scrub, now=datetime.now(UTC)
        )
        if answer.register_password is not None:
            try:
                self._password = self._tools.vault.seal(self._profile.name, answer.register_password)
            except VaultLocked as error:
                self._lose_password(str(error))
        verdict = answer.verdict
        if (
            isinstance(verdict, GateAccount)
            and exchange.status == 403
            and not verdict.explicit
            and (self._batch.half_open or any(each.met_403 for each in self._batch.numbers))
        ):
            # The probe just found the key in order, so the refusal is about the numbers.
            return SplitBatch(f"http_{exchange.status}", verdict.reason, None, verdict.reason, "forbidden")
        return verdict

    def _lose_password(self, error: str) -> None:
        self._password_lost = True
        logger(profile=self._profile.name).error(Log.register_password_lost, error=error)

    def _gate(self, verdict: GateAccount) -> Gate:
        if verdict.kind == "unreachable":
            return Gate(self._away_ms(verdict.retry_after_s), verdict.reason)
        return Gate(ms=max(1, int(self._tools.gate_s(verdict.retry_after_s) * 1000)), reason=verdict.reason)

    def _trouble(self, reason: str, wish_s: float | None) -> Trouble:
        return Trouble(reason, self._away_ms(wish_s))

    def _away_ms(self, wish_s: float | None) -> int:
        """How long nobody calls an API that is away: what it asks for, or a minute at most."""
        closed_s = min(self._tools.gate_s(wish_s), max(UNREACHABLE_MOST_S, wish_s or 0.0))
        return max(1, int(closed_s * 1000))
