"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="The configuration; default: $TRUNKLINE_CONFIG, else ./trunkline.toml."
    ),
]
SandboxOption = Annotated[
    bool, typer.Option("--sandbox", help="The sandbox's own store and stand-in API, not the configured ones.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
NumbersArgument = Annotated[list[str] | None, typer.Argument(metavar="[NUMBER...]")]
ProfileOption = Annotated[str | None, typer.Option("--profile", metavar="P", help="Only this profile's.")]
SourceOption = Annotated[str | None, typer.Option("--source", metavar="S", help="Only from this source.")]
