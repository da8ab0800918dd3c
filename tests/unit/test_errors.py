"""The error tree that is drawn in trunkline.errors is the real one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import pytest

import trunkline
import trunkline_producers
from trunkline.errors import TrunklineError

DRAWING = inspect.getdoc(TrunklineError) or ""
LINE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<rest>( +.*)?)$")
STEP = len("├── ")


def drawn() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each class of the drawing: its parent's name, its own, and the attributes that stand beside it."""
    above: list[str] = []
    for line in DRAWING.split("::")[1].splitlines():
        found = LINE.match(line.strip("\n").removeprefix("    "))
        if not found:
            continue
        depth = len(found["branch"]) // STEP
        above[depth:] = [found["name"]]
        parent = above[depth - 1] if depth else ""
        yield parent, found["name"], tuple(re.findall(r" \.(\w+)", found["rest"]))


def real() -> Iterator[tuple[str, type[TrunklineError]]]:
    """Each error class of the two packages, with its parent's name."""
    for package in (trunkline, trunkline_producers):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    yield "", TrunklineError
    to_visit: list[type[TrunklineError]] = [TrunklineError]
    while to_visit:
        parent = to_visit.pop()
        for child in parent.__subclasses__():
            if child.__module__.split(".")[0] in {"trunkline", "trunkline_producers"}:
                yield parent.__name__, child
                to_visit.append(child)


def test_the_drawing_has_every_error_under_its_parent() -> None:
    assert sorted((parent, name) for parent, name, _ in drawn()) == sorted(
        (parent, child.__name__) for parent, child in real()
    )


@pytest.mark.parametrize(("name", "attributes"), [(name, attributes) for _, name, attributes in drawn() if attributes])
def test_the_attributes_that_are_drawn_are_set_by_the_class(name: str, attributes: tuple[str, ...]) -> None:
    (found,) = [child for _, child in real() if child.__name__ == name]
    code = inspect.getsource(found)
    assert [each for each in attributes if f"self.{each} =" not in code] == []
