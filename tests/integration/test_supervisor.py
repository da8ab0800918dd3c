"""The supervisor can be told to stop at any instant, also by a signal that comes while it looks whether it shall."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

from trunkline.supervisor import Supervisor

INSTANTS = 60  # more lines than one round of watching has


def test_a_signal_at_any_instant_stops_it() -> None:
    deaf = [instant for instant in range(INSTANTS) if not stops_when_told_at(instant)]
    assert deaf == []


def stops_when_told_at(instant: int) -> bool:
    """Whether it ends, told to by its own thread in between two lines, as a signal's handler does it."""
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
    thread.join(5.0)
    return not thread.is_alive()
