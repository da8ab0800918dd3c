"""`trunkline`: puts the commands together."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline import __version__
from trunkline.cli import act, ask, demo, feed, reconcile, rejected, run, serve, sources, upkeep

app = typer.Typer(
    name="trunkline",
    help="Attaches phone numbers to Bland AI's SIP, and says what became of every number.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
dead = typer.Typer(
    help="Dead letters: numbers that are not tried again until somebody replays them.", no_args_is_help=True
)
rejections = typer.Typer(help="What was delivered and could not be taken in.", no_args_is_help=True)
origins = typer.Typer(help="Where webhooks come from.", no_args_is_help=True)
kept = typer.Typer(help="The store as a whole.", no_args_is_help=True)
profile = typer.Typer(help="What belongs to one profile.", no_args_is_help=True)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"trunkline {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """What comes before a command."""


app.command("demo")(demo.demo)
app.command("up")(run.up)
app.command("worker")(run.worker)
app.command("serve")(serve.serve)
app.command("sandbox")(run.sandbox)
app.command("enqueue")(feed.enqueue)
app.command("import")(feed.import_file)
app.command("reconcile")(reconcile.reconcile)
app.command("status")(ask.status)
app.command("number")(ask.number)
app.command("workers")(ask.workers)
app.add_typer(dead, name="dead")
dead.command("list")(act.dead_list)
dead.command("replay")(act.dead_replay)
dead.command("drop")(act.dead_drop)
app.add_typer(rejections, name="rejected")
rejections.command("list")(rejected.rejected_list)
rejections.command("show")(rejected.rejected_show)
rejections.command("replay")(rejected.rejected_replay)
rejections.command("drop")(rejected.rejected_drop)
app.add_typer(origins, name="sources")
origins.command("list")(sources.sources_list)
origins.command("test")(sources.sources_test)
app.command("cancel")(act.cancel)
app.command("pause")(act.pause)
app.command("resume")(act.resume)
app.add_typer(profile, name="profile")
profile.command("secret")(ask.profile_secret)
app.command("check")(ask.check)
app.command("audit")(upkeep.audit)
app.add_typer(kept, name="store")
kept.command("migrate")(upkeep.store_migrate)


def main() -> None:
    """The entry point of the `trunkline` command."""
    app()
