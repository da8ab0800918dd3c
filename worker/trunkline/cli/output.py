"""Output of a command: answers on stdout, messages on stderr, errors as exit codes."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.markup import escape

from trunkline.config.settings import ConfigError
from trunkline.errors import TrunklineError
from trunkline.operations.names import WrongUse

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def out() -> Console:
    """Return the console of answers: stdout."""
    return Console(highlight=False, soft_wrap=True, emoji=False)


@functools.cache
def err() -> Console:
    """Return the console of everything but answers: stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def print_json_list(documents: Iterable[Any]) -> None:
    """Print one JSON list on stdout as print_json does, one document after the other, so that memory stays bounded."""
    before = "["
    for document in documents:
        indented = json.dumps(document, ensure_ascii=False, indent=1).replace("\n", "\n ")
        sys.stdout.write(f"{before}\n {indented}")
        before = ","
    if before == "[":
        sys.stdout.write("[]\n")
    else:
        sys.stdout.write("\n]\n")


def answer(document: Any, shown: RenderableType, *, json: bool, fine: bool = True) -> None:
    """Print an answer, `document` for --json or `shown` for people, and end with exit code 1 unless all is fine."""
    if json:
        print_json(document)
    else:
        out().print(shown, markup=False)
    if not fine:
        raise typer.Exit(FAILED)


def counted(count: int, done: str, none: str) -> str:
    """Return `1,234 dropped`, or for 0 the sentence `none`."""
    if not count:
        return none
    return f"{count:,} {done}"


def require_some(*given: object, say: str) -> None:
    """Raise WrongUse unless something is given that says which things a command is about."""
    if not any(given):
        raise WrongUse(f"say which: {say}")


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print a sentence on stderr and end the command with this exit code."""
    err().print(f"[bold red]trunkline:[/] {escape(message)}")
    raise typer.Exit(code)


def warn(*sentences: str | None) -> None:
    """Print sentences on stderr, each on its line; None is left out."""
    for sentence in sentences:
        if sentence:
            err().print(sentence, style="yellow", markup=False)


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Turn errors into exit codes: 2 for a wrong configuration or wrong use, 1 for every other TrunklineError."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (ConfigError, WrongUse) as error:
            fail(str(error), USAGE)
        except TrunklineError as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)
        except BrokenPipeError:
            # The reader of stdout is gone: the interpreter must not fail when it flushes stdout at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None

    return run
