"""JMESPath expressions: compiled once when the configuration is read, searched for every webhook.

The language is jmespath.org's, and `fold(text)`, which is the text in lower case with `-` and blanks as `_`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError
from pydantic import PlainValidator

from trunkline.errors import TrunklineError
from trunkline.schema import fault
from trunkline.text import did_you_mean

MAX_LENGTH: Final = 2000  # characters of an expression
_TROUBLE: Final = (JMESPathError, TypeError, ValueError, ArithmeticError, AttributeError, KeyError, RecursionError)
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)


class ExpressionFailed(TrunklineError):
    """An expression that can't be applied to a body, such as a function that met a value of the wrong type."""


class _Functions(functions.Functions):  # type: ignore[misc]  # jmespath has no types
    @functions.signature({"types": ["string", "null"]})  # type: ignore[untyped-decorator]  # jmespath has no types
    def _func_fold(self, text: str | None) -> str | None:
        if text is None:
            return None
        return re.sub(r"[-\s]+", "_", text.strip()).lower()


_OPTIONS: Final = jmespath.Options(custom_functions=_Functions())
_KNOWN: Final = frozenset(_Functions.FUNCTION_TABLE)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. Two are equal if their texts are."""

    text: str
    parsed: Any = field(compare=False, repr=False)

    def search(self, data: Any) -> Any:
        """The value that the expression finds in JSON-like data, None for nothing. Raises ExpressionFailed."""
        try:
            if _PATH.fullmatch(self.text):
                return _walked(self.text, data)
            return self.parsed.search(data, _OPTIONS)
        except _TROUBLE as error:
            raise ExpressionFailed(f"{self.text} can't be applied: {type(error).__name__}") from error


def compiled(text: str) -> Expression:
    """The expression, checked. Raises ValueError with a sentence."""
    if not text or len(text) > MAX_LENGTH:
        raise ValueError(f"must be a JMESPath expression of at most {MAX_LENGTH} characters")
    try:
        parsed = jmespath.compile(text)
    except _TROUBLE as error:
        raise ValueError(f"is not JMESPath: {str(error).splitlines()[0]}") from None
    for name in _called(parsed.parsed):
        if name not in _KNOWN:
            raise ValueError(f"calls {name}(), which is no function of JMESPath{did_you_mean(name, _KNOWN)}")
    return Expression(text, parsed)


def _called(node: dict[str, Any]) -> Iterator[str]:
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict) and "children" in child:
            yield from _called(child)


def _walked(path: str, data: Any) -> Any:
    """A plain path, without the interpreter: most expressions are one, and it is ten times as fast."""
    for step in path.split("."):
        if not isinstance(data, dict):
            return None
        data = data.get(step)
    return data


def _expression(value: object) -> Expression:
    if isinstance(value, Expression):
        return value
    if not isinstance(value, str):
        raise fault("must be a JMESPath expression in quotes")
    try:
        return compiled(value)
    except ValueError as error:
        raise fault(str(error)) from None


ExpressionField = Annotated[Expression, PlainValidator(_expression)]
