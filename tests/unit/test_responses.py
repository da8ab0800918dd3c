"""Replies are values: JSON, and problem documents that programs and people can read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline_producers.receiver.responses import (
    RETRY_FULL_S,
    RETRY_S,
    Reply,
    document,
    full,
    problem,
    too_large,
    unavailable,
    unknown_source,
)


def test_a_problem_is_what_rfc_9457_says() -> None:
    reply = problem(422, "no_route", "Nothing of it was taken in", "no route matches", accepted=0)
    assert (reply.status, reply.media_type) == (422, "application/problem+json")
    assert json.loads(reply.body) == {
        "type": "about:blank",
        "title": "Nothing of it was taken in",
        "status": 422,
        "code": "no_route",
        "detail": "no route matches",
        "accepted": 0,
    }
    assert "detail" not in json.loads(problem(404, "a", "b").body)


@pytest.mark.parametrize(
    ("reply", "status", "code", "retry"),
    [
        (unknown_source(), 404, "unknown_source", None),
        (too_large(1024), 413, "too_large", None),
        (unavailable(), 503, "unavailable", RETRY_S),
        (unavailable("later", 60), 503, "unavailable", 60),
        (full(rejected=[]), 429, "queue_full", RETRY_FULL_S),
    ],
)
def test_what_is_to_come_again_says_when(reply: Reply, status: int, code: str, retry: int | None) -> None:
    content = json.loads(reply.body)
    assert (reply.status, content["status"], content["code"]) == (status, status, code)
    assert dict(reply.headers) == ({} if retry is None else {"retry-after": str(retry)})


@given(st.recursive(st.text(st.characters(codec="utf-8")) | st.integers(), st.lists, max_leaves=4))
def test_a_document_is_its_content_in_utf_8(content: object) -> None:
    assert json.loads(document(200, content).body.decode("utf-8")) == content


def test_headers_are_added_to_a_reply_that_stays_as_it_was() -> None:
    reply = Reply(200)
    assert reply.with_headers(("a", "1")).with_headers(("b", "2")).headers == (("a", "1"), ("b", "2"))
    assert reply.headers == ()
