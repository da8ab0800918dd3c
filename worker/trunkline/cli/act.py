"""Commands that change what waits: dead letters, cancel, pause and resume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice, takewhile
from typing import Annotated, Final

import typer

from trunkline.cli.render import dead_table
from trunkline.cli.session import (
    FAILED,
    USAGE,
    ConfigOption,
    JsonOption,
    SandboxOption,
    Session,
    command,
    err,
    fail,
    out,
    print_json,
    print_json_list,
    session,
    spellings,
)
from trunkline.lifecycle import State
from trunkline.operations.documents import dead_document
from trunkline.store import queries
from trunkline.store.model import Dropped, Entry

LETTERS_A_TABLE: Final = 500
Numbers = Annotated[list[str] | None, typer.Argument(metavar="[NUMBER...]")]
ProfileOption = Annotated[str | None, typer.Option("--profile", metavar="P", help="Only this profile's.")]
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
        try:
            letters = queries.dead_letters(opened.store, profile=profile, code=code, after=cursor)
        except ValueError as error:
            fail(str(error), USAGE)
        last = _show_dead(islice(letters, limit), json)
        if last and next(letters, None):
            err().print(f"next cursor: {queries.cursor_after(last)}", markup=False)


def _show_dead(letters: Iterator[Entry], json: bool) -> Entry | None:
    """Prints them as they are read; the last of them."""
    last: Entry | None = None

    def noted() -> Iterator[Entry]:
        nonlocal last
        for letter in letters:
            last = letter
            yield letter

    if json:
        print_json_list(dead_document(letter) for letter in noted())
        return last
    for page in iter(lambda: list(islice(noted(), LETTERS_A_TABLE)), []):
        out().print(dead_table(page))
    if not last:
        out().print("no dead letters")
    return last


@command
def dead_replay(
    numbers: Numbers = None,
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
        replayed = opened.store.replay(_chosen(opened, numbers, profile, code, every))
    _say(replayed, "replayed", json)


@command
def dead_drop(
    numbers: Numbers = None,
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
        done = opened.store.drop_dead(_chosen(opened, numbers, profile, code, every))
    if json:
        print_json({"dropped": done.dropped, "given_back": done.given_back})
    else:
        out().print((f"{done.dropped:,} dropped" if done.dropped else "no such dead letter") + _given_back(done))
    if not done.dropped:
        raise typer.Exit(FAILED)


@command
def cancel(
    numbers: Numbers = None,
    profile: ProfileOption = None,
    source: Annotated[str | None, typer.Option("--source", metavar="S", help="Only from this source.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Takes waiting numbers back out, after a wrong import say; shows how many first.

    Example: trunkline cancel --profile support --source import
    """
    if not (numbers or profile or source):
        fail("say which: NUMBER..., --profile P or --source S", USAGE)
    with session(config, sandbox=sandbox, json=json) as opened:
        waiting = partial(_waiting, opened, numbers, profile, source, queries.now(opened.store))
        if not yes:
            _ask_first(waiting())
        done = opened.store.cancel((entry.profile, entry.number) for entry in waiting())
    if json:
        counts = {"cancelled": done.dropped, "under_way": done.under_way}
        print_json({**counts, "in_doubt": done.in_doubt, "given_back": done.given_back})
    else:
        under_way = f", {done.under_way:,} under way (dropped unless that call attaches them)" if done.under_way else ""
        doubt = f", {done.in_doubt:,} of them in doubt: an earlier call may have attached them" if done.in_doubt else ""
        out().print(f"{done.dropped:,} cancelled{doubt}{under_way}{_given_back(done)}")
    if not done.dropped + done.under_way:
        raise typer.Exit(FAILED)


@command
def pause(
    account: Annotated[str | None, typer.Argument(metavar="ACCOUNT")] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="P", help="A profile in place of an account.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Shown in status.")] = "no reason was given",
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Stops calls for an account or a profile until they are resumed; calls under way end.

    Example: trunkline pause default --reason "maintenance of the PBX"
    """
    _gate(
        session(config, sandbox=sandbox, publish=True),
        account,
        profile,
        "paused",
        lambda o, a: o.store.pause_account(a, reason),
        lambda o, p: o.store.pause_profile(p, reason),
    )


@command
def resume(
    account: Annotated[str | None, typer.Argument(metavar="ACCOUNT")] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="P", help="A profile in place of an account.")
    ] = None,
    config: ConfigOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Starts the calls of an account or a profile again.

    Example: trunkline resume default
    """
    _gate(
        session(config, sandbox=sandbox, publish=True),
        account,
        profile,
        "resumed",
        lambda o, a: o.store.resume_account(a),
        lambda o, p: o.store.resume_profile(p),
    )


Move = Callable[[Session, str], bool]


def _gate(
    opening: AbstractContextManager[Session],
    account: str | None,
    profile: str | None,
    done: str,
    of_account: Move,
    of_profile: Move,
) -> None:
    if (account is None) == (profile is None):
        fail("name an ACCOUNT, or --profile P", USAGE)
    with opening as opened:
        found = of_account(opened, account) if account is not None else of_profile(opened, profile or "")
    what = f"account {account}" if account is not None else f"profile {profile}"
    if not found:
        fail(f"there is no {what}; `trunkline status` lists what there is")
    out().print(f"{what} {done}", markup=False)


def _chosen(
    opened: Session, numbers: list[str] | None, profile: str | None, code: str | None, all_of_them: bool
) -> Iterable[tuple[str, str]]:
    if not (numbers or profile or code or all_of_them):
        fail("say which: NUMBER..., --profile P, --code C or --all", USAGE)
    letters: Iterable[Entry]
    if numbers:
        names = [text for raw in numbers for text in spellings(opened.settings, raw)]
        found = [entry for text in names for entry in queries.entries_of(opened.store, text)]
        letters = [
            e
            for e in found
            if e.state is State.dead and profile in (None, e.profile) and code in (None, e.dead_code, e.api_code)
        ]
    else:
        asked_ms = queries.now(opened.store)  # one that dies again meanwhile was not meant
        every = queries.dead_letters(opened.store, profile=profile, code=code)
        letters = takewhile(lambda letter: (letter.dead_ms or 0) <= asked_ms, every)
    return ((entry.profile, entry.number) for entry in letters)


def _ask_first(waiting: Iterable[Entry]) -> None:
    """Says how many there are, if any, and asks; holds none of them."""
    count, first = 0, ""
    for entry in waiting:
        count += 1
        first = first or entry.number
    if count:
        err().print(f"{count:,} waiting numbers would be taken out, {first} the first.", markup=False)
        typer.confirm("Take them out?", abort=True, err=True)


def _waiting(
    opened: Session, numbers: list[str] | None, profile: str | None, source: str | None, asked_ms: int
) -> Iterable[Entry]:
    """What waits and was queued by then: what comes while somebody thinks about the question was not in it."""
    if not numbers:
        return queries.waiting(opened.store, profile=profile, source=source, queued_by_ms=asked_ms)
    names = [text for raw in numbers for text in spellings(opened.settings, raw)]
    found = [entry for text in names for entry in queries.entries_of(opened.store, text)]
    return [
        entry
        for entry in found
        if entry.state in (State.queued, State.attaching)
        and profile in (None, entry.profile)
        and source in (None, entry.source)
    ]


def _given_back(done: Dropped) -> str:
    return f"; {done.given_back:,} given back to the profiles they were taken from" if done.given_back else ""


def _say(count: int, what: str, json: bool) -> None:
    if json:
        print_json({what: count})
    else:
        out().print(f"{count:,} {what}" if count else "no such dead letter")
    if not count:
        raise typer.Exit(FAILED)
