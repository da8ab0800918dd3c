"""The worker's core: claims batches until none is due, carries each to its settlement, probes accounts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from structlog.stdlib import BoundLogger

from trunkline.bland.client import BlandApi, Exchange, NotSent, Unanswered
from trunkline.engine.attempt import UNREACHABLE_MOST_S, Attempt
from trunkline.engine.backoff import breaker_delay_s
from trunkline.engine.permits import OutOfTime, Permits, Stopped
from trunkline.engine.shared_listing import SharedListing
from trunkline.events.phone import mask
from trunkline.profiles.profile import Profile
from trunkline.store import Store, StoreUnavailable
from trunkline.store.client import LeaseLost
from trunkline.store.model import Batch, Disposition, Idle, Probe, Settlement
from trunkline.store.vault import Vault
from trunkline.telemetry.logs import Log, logger

REQUESTS_SHARE: Final = 0.75  # of the lease: all of a batch's requests end within it
NOT_OURS_MS: Final = 5_000  # how long a batch that another configuration must send is left to others
STORE_PAUSE_S: Final = 0.25
_REFUSED: Final = (401, 402, 403, 429)  # of GET /v1/me: the account's own trouble
_AWAY: Final = (502, 503, 504)  # a gateway's; any other answer comes from an API that is there
TURN_S: Final = 5.0  # how long one hint keeps a thread while there is work


@dataclass(frozen=True, slots=True)
class AccountApi:
    """An account's API, and how long its breaker stays open after trouble: at first, and at most (seconds)."""

    api: BlandApi
    base_url: str
    pause_initial_s: float
    pause_max_s: float


class BatchProcessor:
    """Takes batches until none is due. Used by many threads at once; a batch is one thread's from claim to settle."""

    def __init__(
        self,
        store: Store,
        *,
        profiles: Mapping[str, Profile],
        apis: Mapping[str, AccountApi],
        vault: Vault,
        scrub: Callable[[str], str],
        lease_s: float,
        keyed_hash: Callable[[str], str] | None = None,
    ) -> None:
        self._store = store
        self._profiles = profiles
        self._apis = apis
        self._listings = {name: SharedListing(account.api) for name, account in apis.items()}
        self._vault = vault
        self._scrub = scrub
        self._lease_s = lease_s
        self._fingerprints = {
            each.name: each.fingerprint(apis[each.account].base_url, keyed_hash) for each in profiles.values()
        }
        self._stopping = threading.Event()
        self._permits = Permits(store, self._stopping)
        self._busy = 0
        self._mutex = threading.Lock()

    @property
    def busy(self) -> int:
        """Number of threads that are at work here."""
        return self._busy

    def stop(self) -> None:
        """No new claims from now on; what was not sent is handed back, what was sent is waited for and settled."""
        self._stopping.set()

    def work(self) -> bool:
        """Claims and carries batches until none is due, or for some seconds; True if there may be more.

        Then whatever else waits for a thread gets its turn. A store that is away ends it: the dispatcher hints again.
        """
        with self._mutex:
            self._busy += 1
        try:
            until = time.monotonic() + TURN_S
            while not self._stopping.is_set() and self._once():
                if time.monotonic() >= until:
                    return True
        except StoreUnavailable as error:
            logger().error(Log.store_unavailable, error=str(error))
        finally:
            with self._mutex:
                self._busy -= 1
        return False

    def _once(self) -> bool:
        started = time.monotonic()
        match self._store.claim(int(self._lease_s * 1000)):
            case Batch() as batch:
                self._carry(batch, started, time.monotonic())
                return True
            case Probe() as probe:
                self._probe(probe, started + REQUESTS_SHARE * self._lease_s)
                return True
            case Idle():
                return False

    def _carry(self, batch: Batch, started: float, claimed: float) -> None:
        settlement = self._attempted(batch, started, claimed)
        if settlement is None:
            return
        log = _logger_of(batch)
        try:
            is_ours = self._settle(batch, started, settlement)
        except StoreUnavailable as error:
            if settlement.password is not None:
                log.error(Log.register_password_lost, error=str(error))
            raise
        if settlement.password is not None:
            log.info(Log.register_password_kept)
        if not is_ours:
            log.warning(Log.batch_stale, hint="the lease had run out; its numbers were taken up again")
            return
        _tell(batch, settlement)
        if settlement.refused is not None and (reason := self._store.profile_refused(batch.profile)):
            log.error(Log.profile_refused, reason=reason, hint="the profile is paused; mend it, then resume it")

    def _attempted(self, batch: Batch, started: float, claimed: float) -> Settlement | None:
        """Carry out a batch and return its settlement; None where the batch is not ours any more."""
        log = _logger_of(batch)
        profile, account = self._profiles.get(batch.profile), self._apis.get(batch.account)
        if profile is None or account is None or self._fingerprints[batch.profile] != batch.fingerprint:
            log.warning(Log.batch_not_ours, hint="another configuration was published; restart this worker with it")
            return _all_released(batch, batch.now_ms + NOT_OURS_MS)
        try:
            return Attempt(
                batch,
                profile,
                account.api,
                self._listings[batch.account],
                claimed=claimed,
                deadline=started + REQUESTS_SHARE * self._lease_s,
                permits=self._permits,
                vault=self._vault,
                scrub=self._scrub,
                open_s=partial(breaker_delay_s, batch.trips + 1, account.pause_initial_s, account.pause_max_s),
            ).run()
        except LeaseLost:
            log.warning(Log.batch_stale, hint="the lease ran out before the request; it was not sent")
            return None
        except (Stopped, OutOfTime, StoreUnavailable) as error:
            # There was no permission to send: the request did not go out, so the numbers need not wait for the lease.
            log.info(Log.batch_handed_back, reason=type(error).__name__)
            return _all_released(batch, 0)

    def _settle(self, batch: Batch, started: float, settlement: Settlement) -> bool:
        """Settling twice is settling once, so a store that is away is asked again for as long as the lease runs.

        False: the batch was not ours any more. One that is gone while its lease runs, after a try whose reply was lost,
        is one that this very try settled.
        """
        lost = False
        while True:
            try:
                settled = self._store.settle(batch.id, settlement)
                return settled or (lost and time.monotonic() < started + self._lease_s)
            except StoreUnavailable as error:
                if time.monotonic() >= started + self._lease_s:
                    raise
                lost = True
                logger(batch=batch.id).warning(Log.store_unavailable, error=str(error))
                time.sleep(STORE_PAUSE_S)

    def _probe(self, probe: Probe, deadline: float) -> None:
        account = self._apis.get(probe.account)
        if account is None:
            return  # its lease runs out, and a worker that knows the account probes
        trouble, most_s = None, account.pause_max_s
        try:
            permit = self._permits.ask("", probe.account, deadline)
            exchange = account.api.me(deadline=deadline, permit=permit, once=True)
            if exchange.status in _REFUSED or _is_away(exchange):
                trouble = f"GET /v1/me answers {exchange.status}"
            if _is_away(exchange):
                most_s = min(account.pause_max_s, UNREACHABLE_MOST_S)
        except (NotSent, Unanswered) as error:
            trouble, most_s = self._scrub(error.message), min(account.pause_max_s, UNREACHABLE_MOST_S)
        except (Stopped, OutOfTime):
            return
        log = logger(account=probe.account)
        if trouble is None:
            self._store.probed(probe.account)
            log.info(Log.account_probe_ok)
            return
        open_s = breaker_delay_s(probe.trips + 1, min(account.pause_initial_s, most_s), most_s, None)
        self._store.probed(probe.account, open_ms=max(1, int(open_s * 1000)), reason=trouble)
        log.error(Log.account_probe_failed, reason=trouble, again_in_s=open_s)


def _is_away(exchange: Exchange) -> bool:
    """Tell if a gateway answered in the API's place: by its status, or with a page for people under a 5xx."""
    return exchange.status in _AWAY or (exchange.status >= 500 and exchange.body.lstrip().startswith(b"<"))


def _logger_of(batch: Batch) -> BoundLogger:
    return logger(batch=batch.id, profile=batch.profile, account=batch.account, numbers=len(batch.numbers))


def _all_released(batch: Batch, at_ms: int) -> Settlement:
    return Settlement(
        batch.fingerprint,
        dispositions=tuple(Disposition(each.number, "released", at_ms=at_ms) for each in batch.numbers),
    )


def _tell(batch: Batch, settlement: Settlement) -> None:
    log = logger(profile=batch.profile, account=batch.account, batch=batch.id)
    log.info(Log.batch_settled, attached=len(settlement.attached), others=len(settlement.dispositions))
    if any(said.kind == "split" for said in settlement.dispositions):
        log.warning(Log.batch_split, code=settlement.dispositions[0].code, message=settlement.dispositions[0].message)
    if settlement.breaker is not None:
        log.error(Log.account_gated, reason=settlement.breaker.reason, for_s=settlement.breaker.ms / 1000)
    for said in settlement.dispositions:
        if said.kind == "dead":
            log.warning(Log.number_dead, number=mask(said.number), code=said.dead_code, message=said.message)
