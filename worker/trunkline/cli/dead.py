"""`trunkline dead`: the dead letters, and the way back for them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Final

import typer

from trunkline.cli.options import ConfigOption, JsonOption, NumbersArgument, ProfileOption, SandboxOption
from trunkline.cli.output import answer, command, counted, err, out, print_json_list, require_some, warn
from trunkline.cli.render import dead_table, given_back
from trunkline.cli.session import Session, session
from trunkline.operations import dead_letters
from trunkline.operations.documents import dead_document
from trunkline.operations.names import spellings_of_each, unknown_profile
from trunkline.operations.selection import Selection
from trunkline.store.model import Entry

LETTERS_A_TABLE: Final = 500
NONE_SUCH: Final = "no such dead letter"
CodeOption = Annotated[
    str | None, typer.Option("--code", metavar="C", help="Only with this code, trunkline's or the API's.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every dead letter.")]


@command
def dead_list(
    profile: ProfileOption = None,
    code: CodeOption = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="So many at most.")] = None,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="C", help="Go on after an earlier list: its `next cursor`.")
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Dead letters, oldest first. Where --limit leaves some out, stderr says the cursor to go on with.

    Example: trunkline dead list --profile support --limit 100
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        page = dead_letters.dead_letters(opened.store, profile=profile, code=code, limit=limit, cursor=cursor)
        if json:
            print_json_list(map(dead_document, page))
        elif not _print_tables(page):
            out().print("no dead letters")
        if page.next_cursor:
            err().print(f"next cursor: {page.next_cursor}", markup=False)
        warn(unknown_profile(opened.store, opened.settings, profile))


@command
def dead_replay(
    numbers: NumbersArgument = None,
    profile: ProfileOption = None,
    code: CodeOption = None,
    every: AllOption = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Puts dead letters back into the queue, with all their attempts.

    Example: trunkline dead replay --code attempts_exhausted
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        replayed = dead_letters.replay(opened.store, _selected(opened, numbers, profile, code, every))
    answer({"replayed": replayed}, counted(replayed, "replayed", NONE_SUCH), json=json, fine=replayed > 0)


@command
def dead_drop(
    numbers: NumbersArgument = None,
    profile: ProfileOption = None,
    code: CodeOption = None,
    every: AllOption = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Ends dead letters for good; they stay counted as dropped.

    Example: trunkline dead drop +14155550100
    """
    with session(config, sandbox=sandbox, json=json) as opened:
        done = dead_letters.drop(opened.store, _selected(opened, numbers, profile, code, every))
    told = counted(done.dropped, "dropped", NONE_SUCH) + given_back(done)
    answer({"dropped": done.dropped, "given_back": done.given_back}, told, json=json, fine=done.dropped > 0)


def _selected(
    opened: Session, numbers: list[str] | None, profile: str | None, code: str | None, every: bool
) -> Selection:
    """Read the filter of a command that changes dead letters. Raises WrongUse where it says none, and NumberRefused."""
    require_some(numbers, profile, code, every, say="NUMBER..., --profile P, --code C or --all")
    warn(unknown_profile(opened.store, opened.settings, profile))
    texts = spellings_of_each(opened.settings.numbers, numbers or ())
    return Selection(texts, profile, code, every=every)


def _print_tables(letters: Iterator[Entry]) -> bool:
    """Print the letters as they are read, a table for every few hundred; return whether there was any."""
    found = False
    while some := list(islice(letters, LETTERS_A_TABLE)):
        out().print(dead_table(some))
        found = True
    return found
