"""Deliveries of the demo: a carrier's orders, a CRM's batches, a program's CloudEvents, and a CSV file."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from typing import Final

from trunkline.cli.demo_senders import Reply
from trunkline.cli.demo_stage import Stage
from trunkline.cli.output import err
from trunkline_producers import Enqueuer, Summary, import_rows, read_rows

AREA_CODES: Final = (212, 213, 305, 312, 404, 415, 512, 602, 617, 702, 713, 718, 808, 907)
PROFILES: Final = ("support", "sales", "frontdesk")


def deliver(stage: Stage, numbers: int, *, quiet: bool) -> Summary:
    """Deliver so many numbers, and return what was taken in; tell it on stderr unless `quiet`.

    A quarter each comes as orders, as batches and as CloudEvents through the receiver; the rest is in a CSV file, with
    a few rows that can't be taken.
    """
    phone_numbers = _phone_numbers(numbers)
    quarter = max(1, numbers // 4)
    senders = stage.senders
    deliveries: list[tuple[str, Iterator[Reply]]] = [
        ("Telnyx orders, signed", senders.telnyx(phone_numbers[:quarter])),
        ("HubSpot batches, signed", senders.hubspot(phone_numbers[quarter : 2 * quarter])),
        ("CloudEvents batches", senders.cloudevents(phone_numbers[2 * quarter : 3 * quarter], "frontdesk")),
        ("the first order once more", senders.again()),
        ("the first order with one byte changed", senders.forged()),
    ]
    summary = Summary()
    for name, replies in deliveries:
        summary += _post(name, replies, quiet=quiet)
    by_file = _import(stage, phone_numbers[3 * quarter :])
    if not quiet:
        err().print(f"  a CSV file: {by_file.accepted:,} numbers; refused of it:")
        for refusal in by_file.rejected:
            err().print(f"    {refusal.number}: {refusal.message}", markup=False)
    return summary + by_file


def _post(name: str, replies: Iterator[Reply], *, quiet: bool) -> Summary:
    """Post one kind of delivery to its end."""
    summary = Summary()
    statuses: dict[str, None] = {}
    for reply in replies:
        statuses[str(reply.status)] = None
        summary += reply.summary
    if quiet:
        return summary
    told = f"{summary.accepted:,} numbers"
    if summary.duplicate:
        told += f", {summary.duplicate:,} event known already"
    err().print(f"  {name}: {told} (HTTP {', '.join(statuses)})", markup=False)
    return summary


def _import(stage: Stage, phone_numbers: list[str]) -> Summary:
    """Write a CSV file of these numbers and two bad rows, and import it as `trunkline import` does."""
    path = stage.folder / "numbers.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("number", "profile", "customer"))
        rows.writerows((number, PROFILES[i % 3], f"customer {i}") for i, number in enumerate(phone_numbers))
        rows.writerow(("not a number", "support", "somebody"))
        rows.writerow(("+14155550100", "suport", "a profile that is not there"))
    rows_read = read_rows(path, number_column=None, profile=None, force=False)
    enqueuer = Enqueuer.from_settings(stage.store, stage.settings)
    return sum((summary for _, summary in import_rows(enqueuer, rows_read)), Summary())


def _phone_numbers(count: int) -> list[str]:
    """Draw distinct numbers of real area codes, the same at every run."""
    draw = random.Random(1)
    found: dict[str, None] = {}
    while len(found) < count:
        found[f"+1{draw.choice(AREA_CODES)}{draw.randint(200, 999)}{draw.randint(0, 9999):04d}"] = None
    return list(found)
