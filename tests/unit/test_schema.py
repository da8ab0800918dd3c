"""What people see holds any identity that a trunk could have, square brackets too, as it is."""

from __future__ import annotations

import pytest
import typer
from rich.console import Console, RenderableType

from trunkline.cli import output
from trunkline.cli.render import dead_table, entries_view
from trunkline.lifecycle import State
from trunkline.store.model import AccountBook, Books, Entry, ProfileBook

BOOKS = Books((ProfileBook("support", "default", None, {}),), (AccountBook("default", None, None),), {}, {}, {})
AWKWARD = ("[/x]", "[red]100", "\\[b]", "[bold")


def shown(view: RenderableType) -> str:
    console = Console(width=160, record=True, highlight=False)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


def entry(number: str) -> Entry:
    return Entry(
        "support",
        number,
        State.dead,
        1,
        0,
        0,
        None,
        ("e",),
        "test",
        "",
        "x",
        number,
        f"said {number}",
        number,
        "poison",
        0,
    )


@pytest.mark.parametrize("number", AWKWARD)
def test_a_number_is_shown_as_it_is(number: str) -> None:
    assert shown(dead_table([entry(number)])).count(number) == 3
    assert shown(entries_view([entry(number)], BOOKS)).count(number) == 3


@pytest.mark.parametrize("text", AWKWARD)
def test_an_error_is_shown_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.err.cache_clear()
    with pytest.raises(typer.Exit):
        output.fail(f"no such profile: {text}")
    output.err.cache_clear()
    assert f"no such profile: {text}" in capsys.readouterr().err
