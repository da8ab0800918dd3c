"""Runs the receiver on uvicorn, on an address or a socket that is open already, until it is asked to stop."""

from __future__ import annotations

import gc
import signal
import socket
import time
from types import FrameType
from typing import Any, Final

import uvicorn

from trunkline.telemetry.logs import Log, logger
from trunkline_producers.receiver.app import Receiver
from trunkline_producers.receiver.listening import BACKLOG
from trunkline_producers.receiver.protocol import BoundedProtocol

KEEP_ALIVE_S: Final = 65  # longer than the proxies in front keep a connection, so that they close it, not we
STOP_S: Final = 20  # how long a stop waits for answers under way


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which on SIGTERM says that it is not ready, and goes on taking for a while, before it stops.

    What sends requests to it learns of a stop only by asking: closed at once, it would be sent some more.
    """

    def __init__(self, config: uvicorn.Config, receiver: Receiver, drain_s: float) -> None:
        super().__init__(config)
        self._receiver = receiver
        self._drain_s = drain_s
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """A signal: SIGTERM drains first; SIGINT, or a second one, stops at once.

        One more changes nothing, and uvicorn's own way of giving up answers at a second SIGINT is left out: a Ctrl-C
        comes from the terminal and from the supervisor.
        """
        self._receiver.drain()
        if sig == signal.SIGTERM and self._stop_at is None:
            self._stop_at = time.monotonic() + self._drain_s
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's clock, ten times a second: whether to stop."""
        drained = self._stop_at is not None and time.monotonic() >= self._stop_at
        return await super().on_tick(counter) or drained


def make_server(receiver: Receiver, drain_s: float = 0.0) -> uvicorn.Server:
    """The server, not running yet; `drain_s` is how long after SIGTERM it goes on taking."""
    config = uvicorn.Config(
        receiver,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # not a line for everybody who sends what is no HTTP
        access_log=False,
        proxy_headers=False,  # who calls decides about loopback, so nobody may claim to be somebody else
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        backlog=BACKLOG,
    )
    return DrainingServer(config, receiver, drain_s)


def serve(receiver: Receiver, listening: socket.socket, drain_s: float = 0.0) -> None:
    """Serves until SIGINT, or SIGTERM and `drain_s` later, then answers what is under way and returns."""
    host, port = listening.getsockname()[:2]

    server = make_server(receiver, drain_s)

    def stop(_signum: int, _frame: Any) -> None:
        """Until the server listens to signals itself, and after it."""
        server.should_exit = True

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)
    logger().info(Log.receiver_started, host=host, port=port)
    gc.collect()
    gc.freeze()  # what is there now stays: collecting it again and again would hold up answers
    server.run(sockets=[listening])
    logger().info(Log.receiver_stopped)
