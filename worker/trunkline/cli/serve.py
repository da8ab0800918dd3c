"""`trunkline serve`: the receiver alone."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from trunkline.bootstrap import open_store
from trunkline.cli.listening import HostOption, PortOption, listening_on, tell_where
from trunkline.cli.options import ConfigOption, SandboxOption
from trunkline.cli.output import command, err
from trunkline.cli.session import settings_of, sources_of, tell_store
from trunkline.redaction import make_scrubber
from trunkline.runtime.supervisor import end_with_supervisor
from trunkline.store.rights import examine_rights
from trunkline_producers.receiver import Receiver
from trunkline_producers.receiver import serve as run_receiver


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
    with _listening(host, port, fd) as listening:
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


def _listening(host: str, port: int, fd: int | None) -> socket.socket:
    """Return the socket that a supervisor handed over, else a new one."""
    if fd is not None:
        return socket.socket(fileno=fd)
    return listening_on(host, port)
