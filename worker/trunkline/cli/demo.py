"""`trunkline demo`: the whole product on real machinery against the stand-in API, until every number has ended."""

from __future__ import annotations

import csv
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trunkline.bootstrap import open_store, policies_of
from trunkline.cli.books_view import books_table
from trunkline.cli.demo_senders import Reply, Senders
from trunkline.cli.listening import address, listening_on, receiver_program
from trunkline.cli.options import JsonOption
from trunkline.cli.output import FAILED, command, err, fail, out, print_json
from trunkline.cli.render import entries_view
from trunkline.config.sandbox import KEY, load_for_stand_in
from trunkline.config.sandbox import STAND_IN as STAND_IN_VARIABLE
from trunkline.config.settings import Settings
from trunkline.config.store_place import place_of
from trunkline.operations.documents import status_document
from trunkline.runtime.supervisor import Supervisor
from trunkline.sandbox import STAND_IN, Sandbox, SandboxRules
from trunkline.store import Store, queries
from trunkline.store.model import Books
from trunkline.telemetry import logs
from trunkline_producers import Enqueuer, Summary, import_rows, read_rows

PROCESSES: Final = 2
LOOK_S: Final = 0.2
LATENCY_S: Final = 0.05
SILENCE_S: Final = 60.0  # nothing moved for so long: something is broken
AREA_CODES: Final = (212, 213, 305, 312, 404, 415, 512, 602, 617, 702, 713, 718, 808, 907)
CONFIGURATION: Final = """
[accounts.default]
requests_per_second = 100
max_concurrency = 8

[batch]
max_wait_s = 1.0

[retry]
initial_s = 1.0
max_s = 8.0

[profiles.support]
[[profiles.support.directions]]
type = "inbound"

[profiles.sales]
[[profiles.sales.directions]]
type = "outbound"
sip_endpoint = "sip:trunk.provider.example"
options = { transport = "tls", secure_media = true }

[profiles.frontdesk]
[[profiles.frontdesk.directions]]
type = "inbound"
[[profiles.frontdesk.directions]]
type = "outbound"
sip_endpoint = "sip:pbx.example"
options = { transport = "tls", secure_media = true }
"""
RECEIVER: Final = """
[server]
public_url = "{url}"

[sources.telnyx]
type = "telnyx"
public_keys = [{{ env = "DEMO_TELNYX_KEY" }}]
profile = "support"

[sources.hubspot]
type = "hubspot"
keys = [{{ env = "DEMO_HUBSPOT_KEY" }}]
property = "phone"

[sources.billing]
type = "cloudevents"
verify = {{ scheme = "bearer" }}
keys = [{{ env = "DEMO_BILLING_KEY" }}]

[[routes]]
when = {{ source = "hubspot" }}
profile = "sales"
"""
PROFILES: Final = ("support", "sales", "frontdesk")


@dataclass(frozen=True, slots=True)
class _Stage:
    """What is running while a demo runs."""

    settings: Settings
    store: Store
    sandbox: Sandbox
    folder: Path
    senders: Senders


@command
def demo(
    numbers: Annotated[int, typer.Option("--numbers", min=1, max=1_000_000, help="How many phone numbers.")] = 2000,
    fail_rate: Annotated[
        float, typer.Option("--fail-rate", min=0, max=0.9, help="Share that fails at each try.")
    ] = 0.05,
    json: JsonOption = False,
) -> None:
    """Runs everything against a stand-in for the API and ends by itself; no key, no server, nothing real is attached.

    Example: trunkline demo --numbers 5000 --fail-rate 0.1
    """
    logs.configure(level=50)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends like Ctrl-C: everything is stopped first
    started = time.monotonic()
    with _running(fail_rate) as stage:
        if not json:
            err().print(f"[yellow]{STAND_IN}[/] at {stage.sandbox.base_url}: nothing real is attached")
        summary = _deliver(stage, numbers, quiet=json)
        books = _follow(stage.store, quiet=json)
        if not json:
            books = _replay_one(stage, books)
            _explain(stage, summary, books, time.monotonic() - started)
    if json:
        print_json(status_document(books, place_of(stage.settings)) | {"seconds": round(time.monotonic() - started, 1)})
    if not books.balanced or not _ended(books) or books.totals["accepted"] != summary.accepted:
        raise typer.Exit(FAILED)


@contextmanager
def _running(fail_rate: float) -> Iterator[_Stage]:
    """An embedded store, the stand-in and the workers, in a directory of their own that goes afterwards."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="trunkline-demo-", ignore_cleanup_errors=True))
        )
        config = folder / "trunkline.toml"
        listening = stack.enter_context(listening_on("127.0.0.1", 0))
        senders = stack.enter_context(Senders(f"http://{address(listening)}"))
        config.write_text(CONFIGURATION + RECEIVER.format(url=senders.url), encoding="utf-8")
        rules = SandboxRules(api_key=KEY, latency_s=LATENCY_S, fail_rate=fail_rate, dead_rate=0.001)
        sandbox = stack.enter_context(Sandbox(rules))
        env = dict(os.environ) | {
            "TRUNKLINE_CONFIG": str(config),
            "TRUNKLINE_DATA_DIR": str(folder / "data"),
            STAND_IN_VARIABLE: sandbox.base_url,
            **senders.environment(),
        }
        settings = load_for_stand_in(config, env, sandbox.base_url)
        opened = open_store(settings)
        stack.callback(opened.close)
        opened.store.publish(policies_of(settings))
        log = stack.enter_context((folder / "worker.log").open("wb"))
        beside = [receiver_program(listening)]
        supervisor = Supervisor(env, PROCESSES, settings.worker.grace_s, stderr=log, beside=beside)
        supervisor.start()
        watch = Thread(target=supervisor.run, name="supervisor")
        watch.start()
        stack.callback(watch.join)
        stack.callback(supervisor.stop, signal.SIGINT)
        yield _Stage(settings, opened.store, sandbox, folder, senders)


def _deliver(stage: _Stage, numbers: int, *, quiet: bool) -> Summary:
    """A quarter each as a carrier's orders, a CRM's batches and a program's CloudEvents, through the receiver; the rest
    from a CSV file with a few rows that can't be taken."""
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
        part = Summary()
        statuses: dict[int, None] = {}
        for reply in replies:
            statuses[reply.status] = None
            part += reply.summary
        summary += part
        if not quiet:
            known = f", {part.duplicate:,} event known already" if part.duplicate else ""
            told = f"{part.accepted:,} numbers{known} (HTTP {', '.join(map(str, statuses))})"
            err().print(f"  {name}: {told}", markup=False)
    by_file = _import(stage, phone_numbers[3 * quarter :])
    if not quiet:
        err().print(f"  a CSV file: {by_file.accepted:,} numbers; refused of it:")
        for refusal in by_file.rejected:
            err().print(f"    {refusal.number}: {refusal.message}", markup=False)
    return summary + by_file


def _import(stage: _Stage, phone_numbers: list[str]) -> Summary:
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


def _follow(store: Store, *, quiet: bool) -> Books:
    """Waits until every accepted number is attached or dead, and shows it."""
    books = queries.books(store)
    last, moved = -1, time.monotonic()
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=err(), disable=quiet, transient=False) as progress:
        task = progress.add_task(
            "attached or dead", total=books.totals["accepted"] - books.totals["coalesced"], note=""
        )
        while not _ended(books):
            time.sleep(LOOK_S)
            books = queries.books(store)
            done = books.totals["attached"] + books.totals["dead"]
            note = f"{books.totals['dead']} dead, {books.totals['queued']} waiting, {books.calls['attach']} calls"
            progress.update(task, completed=done, note=note)
            if books.calls["attach"] != last:
                last, moved = books.calls["attach"], time.monotonic()
            elif time.monotonic() - moved > SILENCE_S:
                fail("nothing has moved for a minute; this is a bug")
    return books


def _replay_one(stage: _Stage, books: Books) -> Books:
    """The way back: the reason of a dead letter is mended, it is replayed, and it ends attached."""
    letter = next(queries.dead_letters(stage.store), None)
    if letter is None:
        return books
    out().print("\nOne of the dead letters:")
    out().print(entries_view([letter], books))
    stage.sandbox.change(dead_rate=0.0)
    stage.store.replay([(letter.profile, letter.number)])
    books = _follow(stage.store, quiet=True)
    state = queries.entries_of(stage.store, letter.number)[0].state.value
    out().print(
        f"\nIts reason is mended and it is replayed (trunkline dead replay {letter.number}): now it is {state}.\n"
    )
    return books


def _explain(stage: _Stage, summary: Summary, books: Books, seconds: float) -> None:
    stats = stage.sandbox.stats()
    out().print(books_table(books))
    failed = stats["attach"]["failed"]
    out().print(
        f"\n{summary.accepted:,} numbers in {seconds:.1f} s: {books.calls['attach']:,} calls in place of "
        f"{summary.accepted:,}; {failed:,} times the stand-in failed a number, and only that number was tried again"
    )


def _ended(books: Books) -> bool:
    return not books.totals["queued"] and not books.totals["attaching"]


def _phone_numbers(count: int) -> list[str]:
    """Distinct numbers of real area codes, the same at every run."""
    draw = random.Random(1)
    found: dict[str, None] = {}
    while len(found) < count:
        found[f"+1{draw.choice(AREA_CODES)}{draw.randint(200, 999)}{draw.randint(0, 9999):04d}"] = None
    return list(found)
