"""The API's client against real servers, kind and unkind: what left, what came, and always within the deadline."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from support.http_servers import answering, behaving, dripping, hanging, saying
from trunkline.bland.client import MAX_BODY_BYTES, PAUSES_S, BlandApi, NotSent, Unanswered
from trunkline.config.sections import Account
from trunkline.schema import Secret

KEY = "sk-live-0123456789abcdef"
BODY = {"phone_number": "+14155550100", "directions": [{"type": "inbound"}], "service": "sip"}
OK = b'{"data": {"configured": ["+14155550100"], "failed": []}, "errors": null}'


def account(base_url: str, *, key: str | None = KEY, scheme: str = "Bearer", timeout_s: float = 10.0) -> Account:
    secret = None if key is None else Secret("env:BLAND_API_KEY", SecretStr(key))
    return Account.model_validate(
        {"name": "default", "base_url": base_url, "key": secret, "auth_scheme": scheme, "timeout_s": timeout_s}
    )


class Calls:
    """A client, what it asked leave for, and how long it would have slept."""

    def __init__(self, base_url: str, **settings: Any) -> None:
        self.slept: list[float] = []
        self.permits = 0
        self.api = BlandApi(account(base_url, **settings), sleep=self.slept.append)

    def permit(self) -> None:
        self.permits += 1

    def attach(self, *, within_s: float = 20.0) -> Any:
        with closing(self.api):
            return self.api.attach(BODY, deadline=time.monotonic() + within_s, permit=self.permit)


def deadline(within_s: float = 20.0) -> float:
    return time.monotonic() + within_s


def leave() -> None:
    """Always allowed."""


def a_closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


# What is sent


def test_attach_posts_the_body_as_json_with_the_key() -> None:
    with answering((200, {"X-Request-Id": "r1"}, OK)) as (url, seen):
        exchange = Calls(url).attach()
    ((method, path, headers, octets),) = seen.requests
    assert (method, path, json.loads(octets)) == ("POST", "/v1/sip/attach", BODY)
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("trunkline/")
    assert (exchange.status, exchange.headers["x-request-id"], exchange.body) == (200, "r1", OK)


@pytest.mark.parametrize(
    ("key", "scheme", "header"), [(KEY, "", KEY), (f"{KEY}\n", "Token", f"Token {KEY}"), (None, "Bearer", None)]
)
def test_the_scheme_of_the_account_says_how_the_key_goes(key: str | None, scheme: str, header: str | None) -> None:
    with answering((200, {}, OK)) as (url, seen):
        Calls(url, key=key, scheme=scheme).attach()
    assert seen.requests[0][2].get("authorization") == header


def test_the_read_backs_have_their_paths_and_a_plus_is_escaped() -> None:
    with answering((200, {}, b"{}")) as (url, seen), closing(BlandApi(account(f"{url}/v1/"))) as api:
        api.numbers(lambda _: None, deadline=deadline(), permit=leave)
        api.number("+14155550100", deadline=deadline(), permit=leave)
        api.me(deadline=deadline(), permit=leave)
    assert [(method, path) for method, path, _, _ in seen.requests] == [
        ("GET", "/v1/sip/numbers"), ("GET", "/v1/sip?phone_number=%2B14155550100"), ("GET", "/v1/me"),
    ]  # fmt: skip
    assert len(set(seen.connections)) == 1


@pytest.mark.parametrize("status", [200, 207, 400, 401, 404, 418, 422, 500, 503])
def test_any_status_is_an_answer(status: int) -> None:
    with answering((status, {}, b"words")) as (url, seen):
        assert Calls(url).attach().status == status
    assert len(seen.requests) == 1


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with answering((302, {"Location": "/elsewhere"}, b"")) as (url, seen):
        assert Calls(url).attach().status == 302
    assert len(seen.requests) == 1


def test_a_compressed_answer_is_unpacked_and_a_broken_one_is_none() -> None:
    with answering((200, {"Content-Encoding": "gzip"}, gzip.compress(OK))) as (url, _):
        assert Calls(url).attach().body == OK
    with answering((200, {"Content-Encoding": "gzip"}, b"not gzip")) as (url, _):
        with pytest.raises(Unanswered) as raised:
            Calls(url).attach()
        assert raised.value.code == "garbled"


def test_many_threads_get_their_own_answers() -> None:
    with (
        answering(lambda path: (200, {}, path.encode())) as (url, _),
        closing(BlandApi(account(url))) as api,
        ThreadPoolExecutor(8) as pool,
    ):
        numbers = [f"2{index:03d}" for index in range(100)]
        answers = pool.map(lambda n: api.number(n, deadline=deadline(), permit=leave).body.decode(), numbers)
        assert list(answers) == [f"/v1/sip?phone_number={number}" for number in numbers]


# What was not sent


def test_a_refused_connection_was_not_sent_and_is_repeated_twice() -> None:
    calls = Calls(a_closed_port())
    with pytest.raises(NotSent) as raised:
        calls.attach()
    assert raised.value.code == "connect_failed"
    assert calls.slept == list(PAUSES_S)
    assert calls.permits == 3


def test_nothing_is_repeated_without_room_before_the_deadline() -> None:
    calls = Calls(a_closed_port())
    with pytest.raises(NotSent):
        calls.attach(within_s=1.1)
    assert (calls.slept, calls.permits) == ([], 1)


def test_nothing_is_sent_after_the_deadline() -> None:
    with answering((200, {}, OK)) as (url, seen):
        with pytest.raises(NotSent) as raised:
            Calls(url).attach(within_s=-1)
        assert raised.value.code == "deadline"
    assert seen.requests == []


def test_a_deadline_that_passes_while_waiting_for_leave_is_kept() -> None:
    with answering((200, {}, OK)) as (url, seen), closing(BlandApi(account(url))) as api:
        until = time.monotonic() + 0.05

        def slow_leave() -> None:
            while time.monotonic() <= until:
                threading.Event().wait(0.01)

        with pytest.raises(NotSent):
            api.attach(BODY, deadline=until, permit=slow_leave)
    assert seen.requests == []


def test_leave_that_is_refused_passes_through_and_nothing_is_sent() -> None:
    class LeaseLostError(Exception):
        pass

    def refuse() -> None:
        raise LeaseLostError

    with (
        answering((200, {}, OK)) as (url, seen),
        closing(BlandApi(account(url))) as api,
        pytest.raises(LeaseLostError),
    ):
        api.attach(BODY, deadline=deadline(), permit=refuse)
    assert seen.requests == []


def test_a_server_that_does_not_speak_tls_was_not_sent_to() -> None:
    with behaving(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as (url, _), pytest.raises(NotSent) as raised:
        Calls(url.replace("http:", "https:")).attach(within_s=1)
    assert raised.value.code == "connect_failed"


def test_a_tls_handshake_that_hangs_was_not_sent() -> None:
    with behaving(hanging) as (url, _), pytest.raises(NotSent) as raised:
        Calls(url.replace("http:", "https:")).attach(within_s=0.3)
    assert raised.value.code == "connect_timeout"


@pytest.mark.parametrize("host", ["http://" + "a" * 64 + ".invalid", "http://127.0.0.1:1"])
def test_a_host_that_can_not_be_reached_was_not_sent_to(host: str) -> None:
    with pytest.raises(NotSent):
        Calls(host).attach(within_s=1)


def test_a_key_that_is_no_header_shows_in_no_error() -> None:
    with answering((200, {}, OK)) as (url, seen):
        with pytest.raises(NotSent) as raised:
            Calls(url, key="sk-live\r\nX-Evil: 0123456789").attach()
        assert raised.value.code == "not_sent"
        assert "sk-live" not in f"{raised.value!r} {raised.value.message}"
        assert "0123456789" not in f"{raised.value!r} {raised.value.message}"
    assert seen.requests == []


def test_no_repr_shows_the_key() -> None:
    assert KEY not in repr(BlandApi(account("http://127.0.0.1:1")))


# What was sent and is not known


CUTS = {
    "at once": b"",
    "within the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "within the body": b"HTTP/1.1 200 OK\r\nContent-Length: 72\r\n\r\n" + OK[:20],
    "within a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n48\r\n" + OK[:20],
    "garbage": b"\x00\xff\x13 garbage\r\n\r\n",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 200_000,
}


@pytest.mark.parametrize("how", CUTS)
def test_an_answer_that_breaks_off_is_unknown_and_not_repeated(how: str) -> None:
    with behaving(saying(CUTS[how])) as (url, seen):
        calls = Calls(url)
        with pytest.raises(Unanswered) as raised:
            calls.attach()
        assert raised.value.code == "connection_lost"
    assert len(seen.requests) == calls.permits == 1


def stalling(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(CUTS["within the body"])
    hanging(connection, over)


SLOW: dict[str, Callable[[socket.socket, threading.Event], None]] = {
    "silence": hanging,
    "within the status line": dripping(b"HTTP/1.1 200 O"),
    "within the headers": dripping(b"HTTP/1.1 200 OK\r\nX-Slow: "),
    "within the body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    "before the body": stalling,
    "with a body without an end": dripping(b"HTTP/1.1 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("how", SLOW)
@pytest.mark.parametrize("limit", ["deadline", "timeout_s"])
def test_an_answer_that_takes_its_time_is_unknown_at_the_deadline(how: str, limit: str) -> None:
    with behaving(SLOW[how]) as (url, seen):
        calls = Calls(url, timeout_s=10.0 if limit == "deadline" else 0.4)
        started = time.monotonic()
        with pytest.raises(Unanswered) as raised:
            calls.attach(within_s=0.4 if limit == "deadline" else 20.0)
        assert 0.3 < time.monotonic() - started < 1.5
        assert raised.value.code == "timeout"
    assert len(seen.requests) == calls.permits == 1


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    def flood(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(MAX_BODY_BYTES // 1_000_000 + 2):
            connection.sendall(b" " * 1_000_000)

    with behaving(flood) as (url, _), pytest.raises(Unanswered) as raised:
        Calls(url).attach()
    assert raised.value.code == "too_large"


def test_a_connection_that_the_server_closed_in_between_is_replaced() -> None:
    with answering((200, {"Connection": "close"}, OK)) as (url, seen), closing(BlandApi(account(url))) as api:
        for _ in range(3):
            assert api.me(deadline=deadline(), permit=leave).status == 200
    assert len(set(seen.connections)) == 3


# The quick layer


@pytest.mark.parametrize("status", [429, 503])
def test_a_short_retry_after_is_waited_for(status: int) -> None:
    with answering((status, {"Retry-After": "1"}, b""), (200, {}, OK)) as (url, seen):
        calls = Calls(url)
        assert calls.attach().status == 200
    assert calls.slept == [1.0]
    assert calls.permits == len(seen.requests) == 2


def test_the_last_answer_stands_after_two_repeats() -> None:
    with answering((429, {"Retry-After": "0"}, b"slow down")) as (url, seen):
        calls = Calls(url)
        exchange = calls.attach()
    assert (exchange.status, exchange.body) == (429, b"slow down")
    assert calls.permits == len(seen.requests) == 3


@pytest.mark.parametrize(
    ("status", "headers", "content"),
    [(429, {"Retry-After": "30"}, b""), (429, {}, b""), (503, {}, b""), (500, {"Retry-After": "1"}, b""),
     (429, {"Retry-After": "1"}, OK), (503, {"Retry-After": "soon"}, b"")],
)  # fmt: skip
def test_nothing_else_is_repeated_quickly(status: int, headers: dict[str, str], content: bytes) -> None:
    with answering((status, headers, content)) as (url, seen):
        calls = Calls(url)
        assert calls.attach().status == status
    assert calls.slept == []
    assert len(seen.requests) == 1


# Proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_the_environments_proxy_is_used_but_not_for_loopback(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with answering((200, {}, OK)) as (url, seen), answering((200, {}, b"proxied")) as (proxy, proxied):
        monkeypatch.setenv(variable.lower(), f"http://user:pass@{urlsplit(proxy).netloc}")
        assert Calls("http://api.example.test").attach().body == b"proxied"
        assert Calls(url).attach().body == OK
    assert [path for _, path, _, _ in proxied.requests] == ["http://api.example.test/v1/sip/attach"]
    assert proxied.requests[0][2]["proxy-authorization"].startswith("Basic ")
    assert len(seen.requests) == 1
