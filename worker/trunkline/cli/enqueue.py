"""`trunkline enqueue`: enqueues numbers by hand."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import answer, command, err
from trunkline.cli.session import session
from trunkline.events.event import NumberEvent
from trunkline_producers import Enqueuer, Summary


@command
def enqueue(
    numbers: Annotated[list[str], typer.Argument(metavar="NUMBER...")],
    profile: Annotated[str, typer.Option("--profile", metavar="P", help="The direction profile they belong on.")],
    event_id: Annotated[
        str | None, typer.Option("--event-id", help="The same id is one event for 7 days; default: a new one.")
    ] = None,
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Where they come from.")] = "cli",
    force: Annotated[bool, typer.Option("--force", help="Send them even if they are attached.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Enqueues numbers by hand.

    Example: trunkline enqueue --profile support +14155550100 +14155550101
    """
    event = NumberEvent(
        event_id=event_id or f"cli-{uuid.uuid4()}", numbers=tuple(numbers), profile=profile, source=source, force=force
    )
    with session(config, sandbox=sandbox, json=json) as opened:
        summary = Enqueuer.from_settings(opened.store, opened.settings).enqueue([event])
    if not json:
        for refusal in summary.rejected:
            err().print(f"{refusal.number}: {refusal.message}", style="red", markup=False)
    answer(summary.as_json(), sentence_of(summary), json=json, fine=not summary.rejected)


def sentence_of(summary: Summary) -> str:
    """Return what was taken in, for people; refusals are told one by one elsewhere."""
    parts = [f"{summary.accepted:,} accepted"]
    if summary.coalesced:
        parts.append(f"{summary.coalesced:,} of them joined an entry that was there")
    if summary.duplicate:
        parts.append(f"{summary.duplicate:,} seen before within 7 days (--force takes them again)")
    return ", ".join(parts)
