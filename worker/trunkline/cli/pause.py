"""`trunkline pause` and `trunkline resume`: stop and restart the calls of an account or a profile."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.options import ConfigOption, JsonOption, SandboxOption
from trunkline.cli.output import answer, command
from trunkline.cli.session import session
from trunkline.operations import pauses
from trunkline.operations.names import WrongUse
from trunkline.operations.pauses import Target

AccountArgument = Annotated[str | None, typer.Argument(metavar="ACCOUNT")]
InsteadOption = Annotated[str | None, typer.Option("--profile", metavar="P", help="A profile in place of an account.")]


@command
def pause(
    account: AccountArgument = None,
    profile: InsteadOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Shown in status.")] = "no reason was given",
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Stops calls for an account or a profile until they are resumed; calls under way end.

    Example: trunkline pause default --reason "maintenance of the PBX"
    """
    target = _target(account, profile)
    with session(config, sandbox=sandbox, json=json, publish=True) as opened:
        pauses.pause(opened.store, target, reason)
    answer({target.kind: target.name, "done": "paused"}, f"{target} paused", json=json)


@command
def resume(
    account: AccountArgument = None,
    profile: InsteadOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Starts the calls of an account or a profile again.

    Example: trunkline resume default
    """
    target = _target(account, profile)
    with session(config, sandbox=sandbox, json=json, publish=True) as opened:
        pauses.resume(opened.store, target)
    answer({target.kind: target.name, "done": "resumed"}, f"{target} resumed", json=json)


def _target(account: str | None, profile: str | None) -> Target:
    """Read which of the two is named. Raises WrongUse unless it is exactly one."""
    if account is not None and profile is None:
        return Target("account", account)
    if profile is not None and account is None:
        return Target("profile", profile)
    raise WrongUse("name an ACCOUNT, or --profile P")
