"""Writing a first configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from trunkline.cli.options import ConfigOption, JsonOption
from trunkline.cli.output import command, err, fail, out, print_json
from trunkline.config.example import example_text, schema_url, with_schema
from trunkline.config.settings import DEFAULT_FILE
from trunkline.config.store_place import near

NEXT: Final = (
    "say in [[profiles.support.directions]] where calls go; every other setting has its default",
    "export BLAND_API_KEY=…",
    "trunkline check --online",
    "trunkline up",
)


@command
def init(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Writes a commented configuration with every setting to ./trunkline.toml, and says what to do next.

    A file that is there already stays as it is. The first line names the JSON schema for editors.

    Example: trunkline init
    """
    file = config or Path(os.environ.get("TRUNKLINE_CONFIG") or DEFAULT_FILE)
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(with_schema(example_text()))
    except FileExistsError:
        fail(f"{near(file)} is there already, and is not written over; name another with --config, or move it away")
    except OSError as error:
        fail(f"{near(file)} can't be written: {error.strerror or error}")
    if as_json:
        print_json({"file": str(file.absolute()), "schema": schema_url(), "next": list(NEXT)})
        return
    out().print(f"{near(file)} is written; its first line names the schema for editors. Next:", markup=False)
    for step in NEXT:
        out().print(f"  {step}", markup=False)
    err().print("to try it without a key: trunkline up --sandbox", style="dim", markup=False)
