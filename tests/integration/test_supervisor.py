"""The supervisor can be told to stop at any instant, also by a signal that comes while it looks whether it shall."""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType
from typing import Any

from trunkline.runtime.orphans import SUPERVISOR_PID, orphan_check
from trunkline.runtime.supervisor import Supervisor

INSTANTS = 40  # more lines than one round of watching has


def test_a_signal_at_any_instant_stops_it() -> None:
    runs = [told_to_stop_at(instant) for instant in range(INSTANTS)]
    for run in runs:
        run.join(5.0)
    assert [instant for instant, run in enumerate(runs) if run.is_alive()] == []


def told_to_stop_at(instant: int) -> threading.Thread:
    """A supervisor at work, told to stop by its own thread between two of its lines, as a signal's handler does it."""
    supervisor = Supervisor({}, processes=0, grace_s=0.0)
    supervisor.start()
    lines = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == instant + 1:
                supervisor.stop()
        return trace

    def run() -> None:
        sys.settrace(trace)
        supervisor.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_process_is_an_orphan_once_its_parent_is_another_than_started_it() -> None:
    assert not orphan_check({})()
    assert not orphan_check({SUPERVISOR_PID: str(os.getppid())})()
    assert orphan_check({SUPERVISOR_PID: str(os.getpid())})(), "the supervisor ended before this process looked"
