"""`trunkline worker` and `trunkline up`: processes that run until they are stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from trunkline.bootstrap import Opened, examine_for_work, open_store, policies_of
from trunkline.cli.listening import HostOption, PortOption, listening_on, receiver_program, tell_where
from trunkline.cli.options import ConfigOption, SandboxOption
from trunkline.cli.output import FAILED, command, err, fail
from trunkline.cli.session import settings_of, sources_of, tell_store
from trunkline.config.running_sandbox import marked
from trunkline.config.sandbox import KEY, load_for_stand_in, sandbox_folder
from trunkline.config.sandbox import STAND_IN as STAND_IN_VARIABLE
from trunkline.config.settings import Settings
from trunkline.redaction import make_scrubber
from trunkline.runtime.supervisor import Program, Supervisor
from trunkline.sandbox import STAND_IN, Sandbox, SandboxRules
from trunkline.store import Store, StoreError, StoreNewer, StoreUnavailable
from trunkline.store.examining import refuse_newer
from trunkline.telemetry import logs

ProcessesOption = Annotated[int | None, typer.Option("--processes", min=1, help="Worker processes.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="Threads of each process.")]


@command
def worker(
    processes: ProcessesOption = None,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """The worker alone: dramatiq processes, supervised and restarted when one dies.

    Example: trunkline worker --processes 2 --threads 8
    """
    settings = settings_of(config, sandbox=sandbox)
    if settings.stand_in == "":
        fail("the sandbox's stand-in API is not running; `trunkline up --sandbox` starts it, with a worker of its own")
    tell_store(settings, quiet=not err().is_terminal)
    opened = open_store(settings)  # held until the workers are done; and what is wrong with it is said here, once
    try:
        examine_for_work(opened)
        env = child_environment(config, threads, settings)
        _run_workers(opened, settings, env, processes or settings.worker.processes)
    finally:
        opened.close()


@command
def up(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    processes: ProcessesOption = None,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Store, receiver and worker in one terminal, until Ctrl-C.

    Example: trunkline up --sandbox
    """
    with ExitStack() as stack:
        settings = _started_sandbox(config, stack) if sandbox else settings_of(config, receives=True)
        sources = sources_of(settings)
        listening = stack.enter_context(listening_on(host, port))  # held here: calls wait while it starts again
        opened = open_store(settings)  # held until the workers are done, so that the store outlives them
        stack.callback(opened.close)
        examine_for_work(opened)
        opened.store.publish(policies_of(settings))
        tell_store(settings)
        err().print(f"profiles: {', '.join(settings.profiles) or 'none'}; Ctrl-C stops", markup=False)
        tell_where(listening, sources)
        env = child_environment(config, threads, settings)
        _run_workers(opened, settings, env, processes or settings.worker.processes, [receiver_program(listening)])


def _started_sandbox(config: Path | None, stack: ExitStack) -> Settings:
    """Start a stand-in API that lives as long as the stack and that other terminals find; return its settings."""
    stand_in = stack.enter_context(Sandbox(SandboxRules(api_key=KEY)))
    settings = load_for_stand_in(config, os.environ, stand_in.base_url)
    logs.configure(scrub=make_scrubber(settings.secret_values()))
    stack.enter_context(marked(sandbox_folder(settings), stand_in.base_url))
    err().print(f"[yellow]{STAND_IN}[/] at {stand_in.base_url}: nothing real is attached")
    err().print("in another terminal, with --sandbox on every command: trunkline status --sandbox --watch")
    return settings


def child_environment(config: Path | None, threads: int | None, settings: Settings) -> dict[str, str]:
    """Return the environment of worker processes: that of this process, with what the command line says."""
    env = dict(os.environ)
    if config is not None:
        env["TRUNKLINE_CONFIG"] = str(config.absolute())
    if threads is not None:
        env["TRUNKLINE_THREADS"] = str(threads)
    if settings.stand_in:
        env[STAND_IN_VARIABLE] = settings.stand_in
    return env


def _run_workers(
    opened: Opened, settings: Settings, env: Mapping[str, str], processes: int, beside: Sequence[Program] = ()
) -> None:
    if not settings.profiles:
        err().print("[yellow]warning:[/] no profile is configured, so nothing can be attached")
    supervisor = Supervisor(
        env, processes, settings.worker.grace_s, beside=beside, in_vain=lambda: _is_newer(opened.store)
    )

    def stop(signum: int, _frame: FrameType | None) -> None:
        supervisor.stop(signum)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)
    supervisor.start()
    if code := supervisor.run():
        if code == FAILED:
            refuse_newer(opened.store)  # says why
        raise typer.Exit(code)


def _is_newer(store: Store) -> bool:
    try:
        refuse_newer(store)
    except StoreNewer:
        return True
    except (StoreUnavailable, StoreError):
        return False
    return False
