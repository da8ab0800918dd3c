"""Expressions are checked once, in a sentence; whatever data they meet later, only ExpressionFailed escapes."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import jmespath
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline_producers.webhooks.expressions import MAX_LENGTH, Expression, ExpressionFailed, compiled

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
json_like = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc") | st.text(), inner, max_size=4),
    max_leaves=12,
)
MANY = [
    "a", "a.b", "a.b.c", "a[0]", "a[*].b", "a[?b == 'c'].b", "[a, b.c, c]", "{x: a, y: b}", "a || b && !c", "a[]",
    "*.b", "a[::-1]", "a[::0]", "length(a)", "sum(a)", "avg(a)", "join('-', a)", "sort(a)", "sort_by(a, &b)",
    "max_by(a, &b)", "min_by(a, &b)", "map(&b, a)", "to_number(a)", "to_string(@)", "keys(a)", "fold(a)",
    "starts_with(a, 'x')", "contains(a, b)", "reverse(a)", "abs(a)", "ceil(a)", "not_null(a, b)", "merge(a, b)",
    "type(a)", "values(a)", "ends_with(a, b)", "a < b", "@", "&a", "floor(a)", "to_array(a)[0]", "min(a)", "max(a)",
]  # fmt: skip
EXPRESSIONS = [compiled(text) for text in MANY]
token_text = st.lists(
    st.sampled_from(
        [*"abc.*[]{}()|&!@?:,-0123456789<>='`\"\\ \n$", "||", "==", "fold", "length", "sort_by", "&a", "\x00"]
    ),
    max_size=25,
).map("".join)


def deep(depth: int, inside: object = 1, *, name: str = "") -> Any:
    found = inside
    for _ in range(depth):
        found = {name: found} if name else [found]
    return found


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax:PendingDeprecationWarning")  # `text`, which works
@given(st.text() | token_text)
@example("[" * MAX_LENGTH)
@example("!" * MAX_LENGTH)
@example("a." * 900 + "a")
@example("(" * 900 + "a" + ")" * 900)
@example("not_null(" * 200 + "a" + ")" * 200)
def test_any_text_is_an_expression_or_refused_with_one_line(text: str) -> None:
    try:
        expression = compiled(text)
    except ValueError as error:
        said = str(error)
    else:
        with suppress(ExpressionFailed):
            expression.search({"a": {"b": [1, "x", None]}})
        return
    assert said.split(" ", 1)[0] in {"must", "is", "calls"}
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a JMESPath expression of at most 2000 characters"),
        ("a" * (MAX_LENGTH + 1), "must be a JMESPath expression of at most 2000 characters"),
        ("a[", "is not JMESPath: "),
        ("a..b", "is not JMESPath: "),
        ("lenght(a)", 'calls lenght(), which is no function of JMESPath; did you mean "length"?'),
        ("a[?flod(b) == 'c']", 'calls flod(), which is no function of JMESPath; did you mean "fold"?'),
        ("sort_by(a, &nope(b))", "calls nope(), which is no function of JMESPath"),
        ("{x: nope(a)}", "calls nope(), which is no function of JMESPath"),
    ],
)
def test_what_is_wrong_with_an_expression_is_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError) as wrong:
        compiled(text)
    assert str(wrong.value).startswith(said)


@given(json_like)
def test_whatever_the_data_an_expression_finds_something_or_fails_as_itself(data: object) -> None:
    for expression in EXPRESSIONS:
        with suppress(ExpressionFailed):
            expression.search(data)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=MANY)
def test_data_of_any_depth_ends_no_more_than_the_expression(expression: Expression) -> None:
    for data in (deep(2_000), deep(2_000, name="a"), {"a": deep(2_000), "b": deep(2_000)}):
        with suppress(ExpressionFailed):
            expression.search(data)


@given(json_like, st.sampled_from(["a", "a.b", "b.a.c", "a.b.c.a"]))
def test_a_plain_path_finds_what_the_interpreter_finds(data: Any, path: str) -> None:
    assert json.dumps(compiled(path).search(data)) == json.dumps(jmespath.search(path, data))


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Port In - Completed", "port_in_completed"), (" COMPLETED\n", "completed"), ("", ""), (None, None)],
)
def test_fold_is_lower_case_with_underscores(text: str | None, folded: str | None) -> None:
    assert compiled("fold(a)").search({"a": text}) == folded


def test_an_expression_that_fails_says_which_it_is_and_repeats_no_data() -> None:
    with pytest.raises(ExpressionFailed) as failed:
        compiled("length(a)").search({"a": 12345})
    assert str(failed.value) == "length(a) can't be applied: JMESPathTypeError"


def test_two_expressions_of_the_same_text_are_equal() -> None:
    assert compiled("a.b") == compiled("a.b") != compiled("a.c")
    assert repr(compiled("a")) == "Expression(text='a')"
