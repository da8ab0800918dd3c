"""Running of the receiver on uvicorn, on an open socket, until it is asked to stop."""

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

KEEP_ALIVE_S: Final = 65  # longer than proxies keep a connection, so that the proxy closes it
STOP_S: Final = 20  # time that a stop leaves to answers under way


class DrainingServer(uvicorn.Server):
    """uvicorn's server that on SIGTERM is not ready and still takes requests for `drain_s` seconds before it stops.

    A load balancer learns of the stop by asking /readyz; until then it sends further requests.
    """

    def __init__(self, config: uvicorn.Config, receiver: Receiver, drain_s: float) -> None:
        super().__init__(config)
        self._receiver = receiver
        self._drain_s = drain_s
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Drain on SIGTERM; stop on SIGINT or on a second signal.

        A third changes nothing. uvicorn gives up its answers at a second SIGINT; this server does not, since a Ctrl-C
        comes from the terminal and from the supervisor.
        """
        self._receiver.drain()
        if sig == signal.SIGTERM and self._stop_at is None:
            self._stop_at = time.monotonic() + self._drain_s
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Return True to stop; uvicorn calls this ten times a second."""
        drained = self._stop_at is not None and time.monotonic() >= self._stop_at
        return await super().on_tick(counter) or drained


def make_server(receiver: Receiver, drain_s: float = 0.0) -> uvicorn.Server:
    """The server, not running yet; it takes requests for `drain_s` seconds after SIGTERM."""
    config = uvicorn.Config(
        receiver,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # no line for each request that is no HTTP
        access_log=False,
        proxy_headers=False,  # the client's address decides about loopback, so no header may change it
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        backlog=BACKLOG,
    )
    return DrainingServer(config, receiver, drain_s)


def serve(receiver: Receiver, listening: socket.socket, drain_s: float = 0.0) -> None:
    """Serve until SIGINT, or until `drain_s` seconds after SIGTERM; answer the requests under way and return."""
    host, port = listening.getsockname()[:2]

    server = make_server(receiver, drain_s)

    def stop(_signum: int, _frame: Any) -> None:
        """Stop before and after the time in which the server handles signals itself."""
        server.should_exit = True

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)
    logger().info(Log.receiver_started, host=host, port=port)
    gc.collect()
    gc.freeze()  # present objects stay; collecting them again and again would delay answers
    server.run(sockets=[listening])
    logger().info(Log.receiver_stopped)
