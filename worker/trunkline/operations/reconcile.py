"""Reconcile rounds: the inventory of a carrier's account against the books, the missing numbers enqueued."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Final

from trunkline.bootstrap import open_store
from trunkline.config.settings import Settings
from trunkline.events.intake import ProfileRule
from trunkline.operations.bland_listing import Listings
from trunkline.operations.carriers import client_of, purchases_of
from trunkline.operations.reconcile_report import Report
from trunkline.store import Store
from trunkline.store.queries import published
from trunkline.telemetry import logs
from trunkline_producers import Enqueuer
from trunkline_producers.carriers import ApiTable, CarrierError, CarrierUnavailable, Inventory
from trunkline_producers.reconcile.purchases import take_purchases
from trunkline_producers.reconcile.reconcile import DryRun, Enqueues, Reconciler, Step

BETWEEN_PAGES_S: Final = 0.05


class Rounds:
    """Rounds of one source. Each opens the store anew, so that it may be away between two rounds.

    `dry_run`: change nothing. `tell_step` is given each page that is done, `tell_note` each sentence about an account
    of the API that could not be asked, once.
    """

    def __init__(
        self,
        settings: Settings,
        source: str,
        api: ApiTable,
        *,
        dry_run: bool,
        tell_step: Callable[[Step], None],
        tell_note: Callable[[str], None],
    ) -> None:
        self.source = source
        self.dry_run = dry_run
        self._settings = settings
        self._api = api
        self._tell_step = tell_step
        self._tell_note = tell_note
        self._noted: set[str] = set()

    def run(self, *, from_start: bool = False) -> Report:
        """Run one round; it goes on where an interrupted one stopped, unless `from_start`.

        Raises CarrierError with what was done by then, CarrierUnavailable with the time to wait; and what open_store
        and the store's moves raise.
        """
        opened = open_store(self._settings)
        try:
            return self._compare(opened.store, from_start)
        finally:
            opened.close()

    def _compare(self, store: Store, from_start: bool) -> Report:
        listings = Listings(self._settings, self._note)
        report = Report(self.source, self.dry_run, compared=listings.complete)
        enqueuer = self._enqueuer(store)
        reconciler = Reconciler(
            store, enqueuer, self._settings.numbers, self.source, listings.has, keep_place=not self.dry_run
        )
        with closing(self._client()) as client:
            report.purchases = self._purchases(client, store, enqueuer)
            try:
                for step in reconciler.run(client, from_start=from_start):
                    report.take(step)
                    self._tell_step(step)
            except CarrierError as error:
                raise self._interrupted(error, report) from error
        return report

    def _enqueuer(self, store: Store) -> Enqueues:
        if not self.dry_run:
            return Enqueuer.from_settings(store, self._settings)
        bound = {name: profile.trunk_id is not None for name, profile in self._settings.profiles.items()}
        bound |= published(store)
        rules = {name: ProfileRule(name, trunk) for name, trunk in bound.items()}
        return DryRun(self._settings.numbers, rules, self._settings.routes, self._settings.sources)

    def _client(self) -> Inventory:
        section = self._settings.sources[self.source]
        return client_of(section, self._api, partial(time.sleep, BETWEEN_PAGES_S))

    def _purchases(self, client: Inventory, store: Store, enqueuer: Enqueues) -> int:
        """Take in what the carrier's log of purchases has, and return how many numbers that was.

        A log that can't be read is a warning in our log: the inventory finds new numbers without it.
        """
        log = purchases_of(client)
        if log is None or self.dry_run:
            return 0
        try:
            taken = take_purchases(log, store, enqueuer, source=self.source, now=datetime.now(UTC))
        except CarrierError as error:
            logs.logger(source=self.source).warning(logs.Log.purchases_unread, error=str(error))
            return 0
        return taken.accepted

    def _interrupted(self, error: CarrierError, report: Report) -> CarrierError:
        """Return the error with its source and with what was done."""
        message = f"{self.source}: {error}"
        if report.sums.listed and not self.dry_run:
            message += f" ({report.sums.listed:,} numbers were done; the next run goes on from there)"
        if isinstance(error, CarrierUnavailable):
            return CarrierUnavailable(message, error.retry_after_s)
        return CarrierError(message)

    def _note(self, message: str) -> None:
        if message not in self._noted:
            self._noted.add(message)
            self._tell_note(message)
