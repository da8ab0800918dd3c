"""`trunkline sandbox`: the stand-in API alone."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.output import USAGE, command, err, fail
from trunkline.sandbox import STAND_IN, RulesError, SandboxRules, serve


@command
def sandbox(
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.")] = 8089,
    latency: Annotated[float, typer.Option("--latency", min=0, help="Seconds before each answer.")] = 0.2,
    fail_rate: Annotated[
        float, typer.Option("--fail-rate", min=0, max=1, help="Share of numbers that fail at a try.")
    ] = 0.05,
    seed: Annotated[int, typer.Option("--seed", help="Which of them, repeatably.")] = 1,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="NAME=VALUE", help="Any other rule, such as rate_500=0.01 or poison_every=97."),
    ] = None,
) -> None:
    """A local stand-in for the SIP endpoints of api.bland.ai.

    Example: trunkline sandbox --port 8089 --fail-rate 0.1
    """
    given: dict[str, object] = {"api_key": None, "latency_s": latency, "fail_rate": fail_rate, "seed": seed}
    for text in rule or []:
        name, _, value = text.partition("=")
        given[name] = value
    try:
        rules = SandboxRules.from_mapping(given)
    except RulesError as error:
        fail(str(error), USAGE)
    serve(rules, port=port, on_start=lambda url: err().print(f"[yellow]{STAND_IN}[/] at {url} (any key; Ctrl-C stops)"))
