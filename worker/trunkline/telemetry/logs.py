"""Logs: constant event names with fields, as JSON or for people, secrets scrubbed."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from enum import StrEnum
from threading import Lock
from typing import Any, Final, Literal, TextIO

import structlog

Format = Literal["json", "people"]
Scrub = Callable[[str], str]
LOGGER: Final = "trunkline"
UNTOLD: Final = "and_before_untold"  # how many lines like this one were dropped before it
TOLD_EVERY_S: Final = 60.0


class Log(StrEnum):
    """Every event name that trunkline logs; they are stable, dashboards and alerts look for them."""

    worker_started = "worker_started"
    worker_stopping = "worker_stopping"
    worker_stopped = "worker_stopped"
    worker_orphaned = "worker_orphaned"
    process_started = "process_started"
    process_died = "process_died"
    process_killed = "process_killed"
    process_orphaned = "process_orphaned"
    dispatcher_failed = "dispatcher_failed"
    batch_settled = "batch_settled"
    batch_handed_back = "batch_handed_back"
    batch_stale = "batch_stale"
    batch_split = "batch_split"
    batch_not_ours = "batch_not_ours"
    leases_reaped = "leases_reaped"
    account_gated = "account_gated"
    account_probe_ok = "account_probe_ok"
    account_probe_failed = "account_probe_failed"
    number_dead = "number_dead"
    profile_refused = "profile_refused"
    read_back = "read_back"
    register_password_kept = "register_password_kept"  # noqa: S105 - an event's name
    register_password_lost = "register_password_lost"  # noqa: S105 - an event's name
    store_unavailable = "store_unavailable"
    store_available = "store_available"
    store_newer = "store_newer"
    configuration_warning = "configuration_warning"
    profiles_published = "profiles_published"
    entries_archived = "entries_archived"
    clock_stepped_back = "clock_stepped_back"
    event_taken = "event_taken"
    event_refused = "event_refused"
    event_waits = "event_waits"
    inventory_reconciled = "inventory_reconciled"
    inventory_failed = "inventory_failed"
    purchases_unread = "purchases_unread"
    receiver_started = "receiver_started"
    receiver_stopped = "receiver_stopped"
    deliveries_taken = "deliveries_taken"
    delivery_unverified = "delivery_unverified"
    delivery_rejected = "delivery_rejected"
    numbers_leaving = "numbers_leaving"
    rejections_filling = "rejections_filling"
    rejections_full = "rejections_full"
    rejection_replayed = "rejection_replayed"
    rejection_not_replayed = "rejection_not_replayed"


def configure(
    *,
    style: Format | None = None,
    scrub: Scrub = str,
    stream: TextIO | None = None,
    level: int = logging.INFO,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Sends every log line of the process, ours and the libraries', to one stream (stderr) in one style.

    `style` None: for people on a terminal, JSON elsewhere. `scrub` takes known secrets out of every text on its way.
    Trouble with the store is told once, and once a minute while it lasts, though many threads meet it again and again.
    `clock` gives seconds that only grow.
    """
    out = stream or sys.stderr
    style = style or ("people" if out.isatty() else "json")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _scrubber(scrub),
    ]
    render: Any = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGER).setLevel(level)
    structlog.configure(
        processors=[_Folded(clock), *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def logger(**fields: object) -> structlog.stdlib.BoundLogger:
    """A logger with these fields bound to every line."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(LOGGER).bind(**fields)
    return bound


class _Folded:
    """Drops the lines that say of the store what was said, and counts them on the next one that is not dropped."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mutex = Lock()
        self._told: dict[tuple[object, object], float] = {}
        self._untold: Counter[tuple[object, object]] = Counter()

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        if event["event"] not in {Log.store_unavailable, Log.store_available}:
            return event
        whose = (event.get("source"), event.get("queue"))
        with self._mutex:
            if event["event"] == Log.store_available:
                self._told.pop(whose, None)
                self._untold.pop(whose, None)
                return event
            untold = self._untold.pop(whose, 0) + event.get(UNTOLD, 0)
            now = self._clock()
            if now - self._told.get(whose, -math.inf) < TOLD_EVERY_S:
                self._untold[whose] = untold + 1
                raise structlog.DropEvent
            self._told[whose] = now
        if untold:
            event[UNTOLD] = untold
        return event


def _scrubber(scrub: Scrub) -> Callable[[Any, str, MutableMapping[str, Any]], Mapping[str, Any]]:
    def clean(value: object) -> object:
        if isinstance(value, str):
            return scrub(value)
        if isinstance(value, Mapping):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return scrub(str(value))

    def process(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        # What starts with an underscore is the formatter's own (the record itself); it is never rendered.
        return {key: value if key.startswith("_") else clean(value) for key, value in event.items()}

    return process
