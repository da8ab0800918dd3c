"""/v1 is for whoever has the token; without one for this machine's programs, not for what only seems to be one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline_producers.receiver.access import refusal

LOCAL = {"host": "127.0.0.1:8080"}
TOKEN = "t0ken"


def status(token: str | None, peer: str | None, headers: dict[str, str]) -> int:
    found = refusal(token, peer, headers)
    return 200 if found is None else found.status


@pytest.mark.parametrize("given_", ["Bearer t0ken", "bearer t0ken", "BEARER  t0ken "])
def test_the_token_opens_from_anywhere(given_: str) -> None:
    headers = {"authorization": given_, "host": "hooks.example.com", "x-forwarded-for": "203.0.113.7"}
    assert status(TOKEN, "203.0.113.7", headers) == 200


@pytest.mark.parametrize(
    "given_",
    ["", "Bearer", "Bearer ", "Bearer t0ke", "Bearer t0kenn", "Basic t0ken", "t0ken", "Bearer T0KEN", "Bearer é"],
)
def test_a_wrong_token_opens_nothing_not_even_from_here(given_: str) -> None:
    found = refusal(TOKEN, "127.0.0.1", {**LOCAL, "authorization": given_})
    assert found is not None
    assert (found.status, dict(found.headers)) == (401, {"www-authenticate": "Bearer"})


@given(st.text())
def test_whatever_is_presented_is_compared_and_no_more(text: str) -> None:
    assert status(TOKEN, None, {"authorization": f"Bearer {text}"}) == (200 if text.strip() == TOKEN else 401)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", None])
@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "LocalHost:80", "127.0.0.1", "[::1]", "[::1]:8080"])
def test_without_a_token_programs_of_this_machine_may(peer: str | None, host: str) -> None:
    assert status(None, peer, {"host": host}) == 200


@pytest.mark.parametrize(
    "peer", ["203.0.113.7", "10.0.0.1", "0.0.0.0", "::", "fe80::1%eth0", "", "localhost", "testclient"]
)
def test_without_a_token_others_may_not(peer: str) -> None:
    assert status(None, peer, LOCAL) == 403


@pytest.mark.parametrize(
    "header",
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "cf-connecting-ip"],
)
def test_behind_a_proxy_everybody_comes_from_here_so_nobody_may(header: str) -> None:
    assert status(None, "127.0.0.1", {**LOCAL, header: "127.0.0.1"}) == 403


@pytest.mark.parametrize(
    "host",
    [
        "",
        "hooks.example.com",
        "attacker.example:8080",
        "localhost.attacker.example",
        "127.0.0.1.nip.io",
        "localhost@evil",
        "evil#localhost",
        "[::1]x",
        "evil:localhost",
        "0.0.0.0:8080",
        "127.0.0.1.",
    ],
)
def test_a_name_that_somebody_points_at_this_machine_is_not_this_machine(host: str) -> None:
    assert status(None, "127.0.0.1", {"host": host}) == 403
    assert status(None, "127.0.0.1", {}) == 403


@pytest.mark.parametrize("origin", ["https://attacker.example", "null", "http://localhost:8080", ""])
def test_a_page_in_a_browser_here_is_somebody_else(origin: str) -> None:
    assert status(None, "127.0.0.1", {**LOCAL, "origin": origin}) == 403


def test_where_it_is_public_a_proxy_that_does_not_say_so_opens_nothing() -> None:
    found = refusal(None, "127.0.0.1", LOCAL, public=True)
    assert found is not None
    assert found.status == 403
    assert refusal(TOKEN, "127.0.0.1", {**LOCAL, "authorization": f"Bearer {TOKEN}"}, public=True) is None


@pytest.mark.parametrize("given_", ["", "Bearer", "Bearer ", "Bearer x"])
def test_a_token_that_is_empty_opens_nothing(given_: str) -> None:
    assert status("", "127.0.0.1", {**LOCAL, "authorization": given_}) == 401


def test_a_refusal_says_what_to_set_and_not_what_is_set() -> None:
    found, wrong = refusal(None, "203.0.113.7", {}), refusal(TOKEN, None, {})
    assert found is not None
    assert wrong is not None
    assert b"set token under [server]" in found.body
    assert TOKEN.encode() not in wrong.body
