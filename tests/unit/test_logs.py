"""Trouble with the store is told once, whoever meets it how often."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from trunkline.telemetry import logs
from trunkline.telemetry.logs import Log, logger


class Logged:
    """What was logged, and the clock it was logged by."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stream = io.StringIO()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def logged() -> Iterator[Logged]:
    logged = Logged()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure(style="json", stream=logged.stream, clock=lambda: logged.now)
    yield logged
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_trouble_with_the_store_is_told_once_and_once_a_minute_while_it_lasts(logged: Logged) -> None:
    for _ in range(100):
        logger(batch="1").warning(Log.store_unavailable, error="gone")
        logger().error(Log.store_unavailable, error="gone")
        logged.now += 1
    assert [line.get("and_before_untold") for line in logged.lines] == [None, 119]


def test_trouble_that_comes_back_is_told_again(logged: Logged) -> None:
    for _ in range(2):
        logger().error(Log.store_unavailable, error="gone")
        logger().error(Log.store_unavailable, error="gone")
        logger().info(Log.store_available)
    assert [line["event"] for line in logged.lines] == ["store_unavailable", "store_available"] * 2


def test_each_source_and_queue_has_its_own_trouble(logged: Logged) -> None:
    for fields in ({}, {"queue": "trunkline_events"}, {"source": "telnyx"}, {"source": "hubspot"}):
        for _ in range(3):
            logger(**fields).error(Log.store_unavailable, error="gone")
    logger().info(Log.store_available)
    logger(queue="trunkline_events").error(Log.store_unavailable, error="gone")
    assert len(logged.lines) == 5


def test_what_a_line_that_is_not_told_counted_is_counted_on(logged: Logged) -> None:
    logger(source="telnyx").error(Log.store_unavailable, error="gone")
    logger(source="telnyx").error(Log.store_unavailable, error="gone", and_before_untold=40)
    logged.now += 60
    logger(source="telnyx").error(Log.store_unavailable, error="gone", and_before_untold=2)
    assert logged.lines[1]["and_before_untold"] == 43
