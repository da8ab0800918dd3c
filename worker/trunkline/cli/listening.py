"""Sockets of the receiver, for the commands that start one; without the receiver's libraries."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Annotated

import typer

from trunkline.cli.output import USAGE, err, fail
from trunkline.runtime.supervisor import Program
from trunkline_producers.receiver.listening import listen
from trunkline_producers.sources import Source

HostOption = Annotated[str, typer.Option("--host", help="Where the receiver listens.")]
PortOption = Annotated[int, typer.Option("--port", min=0, max=65535, help="Where the receiver listens; 0: a free one.")]


def listening_on(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; end the command with a sentence if it can't."""
    try:
        return listen(host, port)
    except OSError as error:
        fail(f"can't listen on {host} port {port}: {error.strerror or error}; choose another --port", USAGE)


def receiver_program(listening: socket.socket) -> Program:
    """Return the command of a receiver in a process of its own, on a socket that is open already."""
    listening.set_inheritable(True)
    return Program(("trunkline", "serve", "--fd", str(listening.fileno())), (listening.fileno(),))


def tell_where(listening: socket.socket, sources: Mapping[str, Source]) -> None:
    """Print the URLs at which webhooks and events are taken in, on stderr."""
    paths = [*(f"/hooks/{name}" for name in sources), "/v1/events"]
    err().print(f"receiving at http://{address(listening)}: {', '.join(paths)}", markup=False)


def address(listening: socket.socket) -> str:
    """Return host and port of a socket, as they stand in a URL."""
    host, port = listening.getsockname()[:2]
    if ":" in host:
        return f"[{host}]:{port}"
    return f"{host}:{port}"
