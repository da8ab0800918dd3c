"""`trunkline serve`: the receiver alone."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Annotated

import typer

from trunkline.attach import make_scrubber
from trunkline.cli.session import (
    USAGE,
    ConfigOption,
    SandboxOption,
    command,
    err,
    fail,
    settings_of,
    sources_of,
    tell_store,
)
from trunkline.opening import open_store
from trunkline.store.rights import examine_rights
from trunkline.supervisor import Program, end_with_supervisor
from trunkline_producers.receiver import Receiver, listen
from trunkline_producers.receiver import serve as run_receiver
from trunkline_producers.sources import Source

HostOption = Annotated[str, typer.Option("--host", help="Where the receiver listens.")]
PortOption = Annotated[int, typer.Option("--port", min=0, max=65535, help="Where the receiver listens; 0: a free one.")]


@command
def serve(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    fd: Annotated[int | None, typer.Option("--fd", hidden=True, help="A socket that listens already.")] = None,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """The receiver alone: takes webhooks and events in, until Ctrl-C.

    Example: trunkline serve --port 8080
    """
    settings = settings_of(config, secrets="optional", receives=True, sandbox=sandbox)  # only workers call the API
    sources = sources_of(settings)
    with socket.socket(fileno=fd) if fd is not None else listening_on(host, port) as listening:
        opened = open_store(settings)
        try:
            examine_rights(opened.store)
            scrub = make_scrubber(settings.secret_values())
            receiver = Receiver(opened.store, settings, sources, scrub=scrub)
            if fd is None:
                tell_store(settings, quiet=not err().is_terminal)
                tell_where(listening, sources)
            else:
                end_with_supervisor()
            run_receiver(receiver, listening, settings.server.drain_s)
        finally:
            opened.close()


def listening_on(host: str, port: int) -> socket.socket:
    """A socket that listens there, or the end of the command with a sentence."""
    try:
        return listen(host, port)
    except OSError as error:
        fail(f"can't listen on {host} port {port}: {error.strerror or error}; choose another --port", USAGE)


def receiver_program(listening: socket.socket) -> Program:
    """The receiver as a process of its own, on a socket that is open already."""
    listening.set_inheritable(True)
    return Program(("trunkline", "serve", "--fd", str(listening.fileno())), (listening.fileno(),))


def tell_where(listening: socket.socket, sources: Mapping[str, Source]) -> None:
    """Says where webhooks and events are taken in."""
    paths = [*(f"/hooks/{name}" for name in sources), "/v1/events"]
    err().print(f"receiving at http://{address(listening)}: {', '.join(paths)}", markup=False)


def address(listening: socket.socket) -> str:
    """Where a socket listens, as it stands in a URL."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
