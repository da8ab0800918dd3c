"""`trunkline reconcile`: what a carrier's account owns against the books, once or again and again."""

from __future__ import annotations

import json as json_module
import re
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, NoReturn

import typer

from trunkline.bootstrap import open_store
from trunkline.cli.session import (
    FAILED,
    USAGE,
    ConfigOption,
    JsonOption,
    SandboxOption,
    command,
    err,
    fail,
    out,
    settings_of,
    tell_store,
)
from trunkline.config.settings import ConfigError, Settings
from trunkline.errors import TrunklineError
from trunkline.events.intake import ProfileRule
from trunkline.lifecycle import Refusal
from trunkline.operations.bland_listing import Listings
from trunkline.store import Store
from trunkline.store.queries import published
from trunkline.telemetry import logs
from trunkline.text import did_you_mean
from trunkline_producers import Enqueuer
from trunkline_producers.carriers import ApiTable, CarrierError, CarrierUnavailable, read_api
from trunkline_producers.carriers.inventory import AuditLog
from trunkline_producers.carriers.registry import CARRIERS, INVENTORIES
from trunkline_producers.reconcile.purchases import take_purchases
from trunkline_producers.reconcile.reconcile import DryRun, Enqueues, Reconciled, Reconciler

MAX_SHOWN: Final = 1000  # refusals and, in a rehearsal, numbers that --json holds
BETWEEN_PAGES_S: Final = 0.05
MAX_WAIT_S: Final = 3600.0  # for a carrier that asks for time

_PERIOD: Final = re.compile(r"([1-9][0-9]{0,5})([smh])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600}


@command
def reconcile(
    source: Annotated[
        str,
        typer.Option(
            "--source", metavar="NAME", help="The source to ask, by its name under sources in the configuration."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; list what would be enqueued.")] = False,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="Again and again: 90s, 15m, 2h; until Ctrl-C.")
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Don't go on where an interrupted run stopped.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Asks a carrier what your account owns and enqueues what the books don't know, or the API has lost.

    Example: trunkline reconcile --source telnyx --every 15m
    """
    period_s = None if every is None else _seconds(every)
    settings = settings_of(config, secrets="optional", sandbox=sandbox)
    rounds = Rounds(settings, source, _api(settings, source), dry_run=dry_run, json=json)
    tell_store(settings, quiet=json)
    if period_s is not None:
        _again_and_again(rounds, period_s, from_start=from_start)
    elif not rounds.one(from_start=from_start):
        raise typer.Exit(FAILED)


@dataclass(slots=True)
class _Report:
    """What a round has to tell: the sums, the first refusals, in a rehearsal the first numbers."""

    sums: Reconciled = field(default_factory=Reconciled)
    purchases: int = 0
    numbers: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


class Rounds:
    """Runs of one source, each with the store opened anew, so that neither needs to be there between two of them."""

    def __init__(self, settings: Settings, source: str, api: ApiTable, *, dry_run: bool, json: bool) -> None:
        self.source = source
        self._settings = settings
        self._api = api
        self._dry_run = dry_run
        self._json = json
        self._told: set[str] = set()

    def one(self, *, from_start: bool, quiet: bool = False) -> bool:
        """One run, told on stdout unless `quiet`; False if a number was refused. Raises TrunklineError."""
        opened = open_store(self._settings)
        try:
            report, compared = self._run(opened.store, from_start)
        finally:
            opened.close()
        if quiet:
            sums = report.sums.as_json()
            logs.logger(source=self.source).info(
                logs.Log.inventory_reconciled, purchases=report.purchases, refused=report.sums.refused, **sums
            )
        if self._json:
            self._print(report, compared, one_line=quiet)
        elif not quiet:
            out().print(self._sentence(report), markup=False)
        return report.sums.refused == 0

    def _run(self, store: Store, from_start: bool) -> tuple[_Report, bool]:
        report = _Report()
        listings = Listings(self._settings, self._tell)
        enqueuer = self._rehearsal(store) if self._dry_run else Enqueuer.from_settings(store, self._settings)
        reconciler = Reconciler(
            store, enqueuer, self._settings.numbers, self.source, listings.has, keep_place=not self._dry_run
        )
        pause = partial(time.sleep, BETWEEN_PAGES_S)
        with closing(INVENTORIES[_carrier(self._settings.sources[self.source])](self._api, pause=pause)) as carrier:
            if isinstance(carrier, AuditLog) and not self._dry_run:
                report.purchases = self._purchases(carrier, store, enqueuer)
            try:
                for step in reconciler.run(carrier, from_start=from_start):
                    self._take(report, step.so_far, step.enqueued, step.refused)
            except CarrierError as error:
                self._interrupted(error, report)
        return report, listings.complete

    def _take(
        self, report: _Report, so_far: Reconciled, enqueued: tuple[str, ...], refused: tuple[Refusal, ...]
    ) -> None:
        report.sums = so_far
        report.refusals += refused[: MAX_SHOWN - len(report.refusals)]
        if self._dry_run:
            report.numbers += enqueued[: MAX_SHOWN - len(report.numbers)]
        if self._json:
            return
        for number in enqueued if self._dry_run else ():
            out().print(number, markup=False)
        for refusal in refused:
            err().print(f"{refusal.number}: {refusal.message}", style="red", markup=False)

    def _interrupted(self, error: CarrierError, report: _Report) -> NoReturn:
        done = report.sums.listed
        hint = f" ({done:,} numbers were done; the next run goes on from there)" if done and not self._dry_run else ""
        message = f"{self.source}: {error}{hint}"
        if isinstance(error, CarrierUnavailable):
            raise CarrierUnavailable(message, error.retry_after_s) from error
        raise CarrierError(message) from error

    def _purchases(self, carrier: AuditLog, store: Store, enqueuer: Enqueues) -> int:
        """How many purchases were taken in. Without them the inventory finds what is new all the same."""
        try:
            taken = take_purchases(carrier, store, enqueuer, source=self.source, now=datetime.now(UTC))
        except CarrierError as error:
            logs.logger(source=self.source).warning(logs.Log.purchases_unread, error=str(error))
            return 0
        return taken.accepted

    def _rehearsal(self, store: Store) -> DryRun:
        own = {name: profile.trunk_id is not None for name, profile in self._settings.profiles.items()}
        known = {name: ProfileRule(name, trunk) for name, trunk in {**own, **published(store)}.items()}
        return DryRun(self._settings.numbers, known, self._settings.routes, self._settings.sources)

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            err().print(f"note: {message}", style="yellow", markup=False)

    def _print(self, report: _Report, compared: bool, *, one_line: bool) -> None:
        document: dict[str, Any] = {"source": self.source, "dry_run": self._dry_run, "compared_with_api": compared}
        document |= report.sums.as_json()
        document["purchases"] = report.purchases
        if self._dry_run:
            document["numbers"] = report.numbers
        document["rejected"] = [refusal.as_json() for refusal in report.refusals]
        if report.sums.refused > len(report.refusals):
            document["rejected_total"] = report.sums.refused
        sys.stdout.write(json_module.dumps(document, ensure_ascii=False, indent=None if one_line else 1) + "\n")
        sys.stdout.flush()

    def _sentence(self, report: _Report) -> str:
        sums = report.sums
        left = ", ".join(f"{count:,} {state}" for state, count in sums.left.items())
        parts = [
            f"{self.source}: {sums.listed:,} numbers{' since the interruption' if sums.resumed else ''}",
            f"{sums.missing:,} missing",
            f"{sums.enqueued:,} {'would be ' if self._dry_run else ''}enqueued",
        ]
        parts += [f"{report.purchases:,} bought since the last run"] if report.purchases else []
        parts += [f"{sums.refused:,} refused"] if sums.refused else []
        return ", ".join(parts) + (f"; left alone: {left}" if left else "")


def _again_and_again(rounds: Rounds, period_s: float, *, from_start: bool) -> None:
    """Until Ctrl-C or SIGTERM; a carrier or a store that is away is asked again the next time."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            began, wait_s = time.monotonic(), 0.0
            try:
                rounds.one(from_start=from_start, quiet=True)
                from_start = False
            except TrunklineError as error:
                wait_s = min(_asked_for_s(error), MAX_WAIT_S)
                logs.logger(source=rounds.source).error(logs.Log.inventory_failed, error=str(error))
            time.sleep(max(period_s - (time.monotonic() - began), wait_s, 0.0))
    except KeyboardInterrupt:
        return


def _asked_for_s(error: TrunklineError) -> float:
    return (error.retry_after_s or 0.0) if isinstance(error, CarrierUnavailable) else 0.0


def _seconds(text: str) -> float:
    match = _PERIOD.fullmatch(text)
    if match is None:
        fail(f"--every takes a time such as 90s, 15m or 2h, not {text}", USAGE)
    return float(int(match[1]) * _UNIT_S[match[2]])


def _api(settings: Settings, name: str) -> ApiTable:
    """The API of a source that can be asked; ends the command with what to write where it can't."""
    section = settings.sources.get(name)
    if section is None and name in INVENTORIES:
        shown = f"{CARRIERS[name].section}\n\n{CARRIERS[name].api_section}".format(name=name)
        fail(f"there is no [sources.{name}]; write\n\n{shown}", USAGE)
    if section is None:
        fail(f"there is no [sources.{name}]{did_you_mean(name, settings.sources)}", USAGE)
    carrier = _carrier(section)
    if carrier not in INVENTORIES:
        fail(f"sources.{name} is no carrier that can be asked; its type must be {', '.join(INVENTORIES)}", USAGE)
    api, mistakes = read_api(section, f"sources.{name}")
    if mistakes:
        raise ConfigError(tuple(mistakes))
    if api is None:
        shown = CARRIERS[carrier].api_section.format(name=name)
        fail(f"[sources.{name}] does not say how its API is reached; write\n\n{shown}", USAGE)
    return api


def _carrier(section: Mapping[str, object]) -> str:
    found = CARRIERS.get(str(section.get("type")))
    return found.name if found else ""
