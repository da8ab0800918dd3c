"""`trunkline reconcile`: a carrier's account against the books, once or again and again."""

from __future__ import annotations

import json as json_module
import re
import signal
import sys
import time
from typing import Annotated, Final

import typer

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import FAILED, command, err, out
from trunkline.cli.session import settings_of, tell_store
from trunkline.errors import TrunklineError
from trunkline.operations.carriers import api_of
from trunkline.operations.names import WrongUse
from trunkline.operations.reconcile import Rounds
from trunkline.operations.reconcile_report import Report
from trunkline.telemetry import logs
from trunkline_producers.carriers import CarrierUnavailable
from trunkline_producers.reconcile.reconcile import Step

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
    period_s = _seconds(every)
    settings = settings_of(config, secrets="optional", sandbox=sandbox)

    def tell_step(step: Step) -> None:
        if not json:
            _print_step(step, dry_run)

    rounds = Rounds(
        settings, source, api_of(settings, source), dry_run=dry_run, tell_step=tell_step, tell_note=_print_note
    )
    tell_store(settings, quiet=json)
    if period_s is not None:
        _again_and_again(rounds, period_s, from_start=from_start, json=json)
        return
    report = rounds.run(from_start=from_start)
    if json:
        _print_json(report, indent=1)
    else:
        out().print(report.sentence(), markup=False)
    if report.sums.refused:
        raise typer.Exit(FAILED)


def _again_and_again(rounds: Rounds, period_s: float, *, from_start: bool, json: bool) -> None:
    """Run rounds until Ctrl-C or SIGTERM. A carrier or a store that is away is a line in the log until the next one."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            began, wait_s = time.monotonic(), 0.0
            try:
                report = rounds.run(from_start=from_start)
                _log(report)
                if json:
                    _print_json(report, indent=None)
                from_start = False
            except TrunklineError as error:
                wait_s = _asked_for_s(error)
                logs.logger(source=rounds.source).error(logs.Log.inventory_failed, error=str(error))
            time.sleep(max(period_s - (time.monotonic() - began), wait_s, 0.0))
    except KeyboardInterrupt:
        return


def _log(report: Report) -> None:
    logs.logger(source=report.source).info(
        logs.Log.inventory_reconciled,
        purchases=report.purchases,
        refused=report.sums.refused,
        **report.sums.as_json(),
    )


def _print_json(report: Report, indent: int | None) -> None:
    sys.stdout.write(json_module.dumps(report.document(), ensure_ascii=False, indent=indent) + "\n")
    sys.stdout.flush()


def _print_step(step: Step, dry_run: bool) -> None:
    """Print the refusals of a page, and in a dry run its numbers."""
    if dry_run:
        for number in step.enqueued:
            out().print(number, markup=False)
    for refusal in step.refused:
        err().print(f"{refusal.number}: {refusal.message}", style="red", markup=False)


def _print_note(message: str) -> None:
    err().print(f"note: {message}", style="yellow", markup=False)


def _asked_for_s(error: TrunklineError) -> float:
    """Return the seconds that a carrier asked to be left alone, an hour at most."""
    if isinstance(error, CarrierUnavailable):
        return min(error.retry_after_s or 0.0, MAX_WAIT_S)
    return 0.0


def _seconds(text: str | None) -> float | None:
    """Read the period of --every. Raises WrongUse."""
    if text is None:
        return None
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise WrongUse(f"--every takes a time such as 90s, 15m or 2h, not {text}")
    return float(int(match[1]) * _UNIT_S[match[2]])
