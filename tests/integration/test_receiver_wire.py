"""What comes slowly, hugely or in pieces: bounds hold while it comes, and the others are not held up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.raw_http import Answer, connected, head
from support.receivers import Site, receiving, settings_with
from support.servers import Server
from trunkline.store import Store
from trunkline_producers.receiver import protocol, requests
from trunkline_producers.receiver.requests import Budget, Disconnected, Message, Refused, read_body

CAP = 4_096
CRM = {"crm": {"type": "native", "profile": "support", "verify": {"scheme": "none"}}}
BODY = json.dumps({"event_id": "evt_1", "number": "+14155550100"}).encode()


@pytest.fixture(scope="module")
def site(valkey: Server) -> Iterator[Site]:
    with valkey.client() as client:
        client.flushdb()
        with receiving(Store(client), settings_with(CRM, max_body_bytes=CAP)) as site:
            yield site


def post(**headers: str | int) -> bytes:
    return head("POST", "/hooks/crm", **headers)


def code(answer: Answer | None) -> tuple[int, str]:
    assert answer is not None
    return answer.status, json.loads(answer.body)["code"]


def taken(answer: Answer | None) -> bool:
    assert answer is not None
    return answer.status == 200


@pytest.mark.parametrize("length", [CAP + 1, 10**17, 10**30, "9" * 400])
def test_a_body_that_says_it_is_too_large_is_refused_before_any_of_it_comes(site: Site, length: int | str) -> None:
    with connected(site.url) as line:
        line.send(post(content_length=length))
        answer = line.answer()
        assert answer is not None
        assert answer.status in {413, 400}  # a length beyond 64 bits is no HTTP
        assert answer.status == 413 or len(str(length)) > 19


def test_a_body_that_goes_on_and_on_is_refused_at_the_limit(site: Site) -> None:
    with connected(site.url) as line:
        line.send(post(transfer_encoding="chunked"), *[b"400\r\n" + b"x" * 1024 + b"\r\n"] * 5)
        assert code(line.answer()) == (413, "too_large")


def test_no_more_than_the_limit_and_one_part_is_ever_read() -> None:
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"x" * 1_000, "more_body": True}

    with pytest.raises(Refused) as refused:
        asyncio.run(read_body(receive, 10_000, Budget()))
    assert (refused.value.reply.status, asked) == (413, 11)


@pytest.mark.parametrize("messages", [[], [{"type": "http.request", "body": b"a", "more_body": True}]])
def test_who_hangs_up_in_the_middle_is_nobody_to_answer(messages: list[Message]) -> None:
    coming = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(coming)

    budget = Budget(100)
    with pytest.raises(Disconnected):
        asyncio.run(read_body(receive, 10, budget))
    assert budget.left == 100


def test_bodies_that_come_in_at_once_share_a_budget_and_give_it_back() -> None:
    budget = Budget(25)

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x" * 10, "more_body": budget.left > 0}

    async def several() -> list[bytes | BaseException]:
        return await asyncio.gather(*(read_body(receive, 100, budget) for _ in range(4)), return_exceptions=True)

    results = asyncio.run(several())
    assert {result.reply.status for result in results if isinstance(result, Refused)} == {503}
    assert budget.left == 25


@pytest.mark.parametrize("begun", [b"", BODY[:5]])
def test_a_body_that_does_not_come_is_not_waited_for(site: Site, begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_S", 0.05)
    with connected(site.url) as line:
        line.send(post(content_length=len(BODY)), begun)
        assert code(line.answer()) == (408, "too_slow")
        assert line.ended(), "the rest of it is not waited for either"


@pytest.mark.parametrize("begun", [b"", b"POST /hooks/c", b"POST /hooks/crm HTTP/1.1\r\nhost: a\r\nx-a: "])
def test_a_head_that_does_not_come_is_not_waited_for(site: Site, begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.05)
    with connected(site.url) as line:
        line.send(begun)
        assert line.ended()


def test_the_second_head_of_a_connection_is_not_waited_for_either(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(site.url) as line:
        line.send(post(content_length=len(BODY)), BODY)
        assert taken(line.answer())
        monkeypatch.setattr(protocol, "HEAD_S", 0.05)
        line.send(b"POST /hooks/crm HTT")
        assert line.ended()


@pytest.mark.parametrize(
    "endless",
    [b"POST /hooks/crm HTTP/1.1\r\nx-a: " + b"a" * 70_000, b"POST /hooks/crm HTTP/1.1\r\n" + b"x: y\r\n" * 12_000,
     b"POST /" + b"a" * 70_000, b"POST /hooks/crm?" + b"a=&" * 25_000],
)  # fmt: skip
def test_a_head_that_is_too_large_ends_the_connection(site: Site, endless: bytes) -> None:
    with connected(site.url) as line:
        line.send(endless)
        assert line.ended()


def test_bodies_do_not_count_as_heads(site: Site) -> None:
    body = BODY.ljust(CAP)
    with connected(site.url) as line:
        for _ in range(2 * protocol.HEAD_BYTES // CAP):
            line.send(post(content_length=len(body)), body)
            assert taken(line.answer())


def test_deliveries_that_come_before_the_answers_to_those_before_them_are_answered_in_order(site: Site) -> None:
    with connected(site.url) as line:
        line.send((post(content_length=len(BODY)) + BODY) * 3 + head("GET", "/hooks/nobody"))
        assert [taken(line.answer()) for _ in range(3)] == [True] * 3
        assert code(line.answer()) == (404, "unknown_source")


def test_a_body_in_single_bytes_is_the_same_body(site: Site) -> None:
    with connected(site.url) as line:
        line.send(post(content_length=len(BODY)), *(BODY[index : index + 1] for index in range(len(BODY))))
        assert taken(line.answer())
        line.send(post(transfer_encoding="chunked"), *(b"1\r\n%c\r\n" % octet for octet in BODY), b"0\r\n\r\n")
        assert taken(line.answer())


def test_who_wants_to_know_first_whether_to_send_a_body_is_told(site: Site) -> None:
    with connected(site.url) as line:
        line.send(post(content_length=len(BODY), expect="100-continue"))
        go_on = line.answer()
        assert go_on is not None
        assert go_on.status == 100
        line.send(BODY)
        assert taken(line.answer())
        line.send(post(content_length=CAP + 1, expect="100-continue"))
        assert code(line.answer()) == (413, "too_large")


OFFER = (
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"
)


def test_who_offers_another_protocol_is_answered_in_this_one(site: Site) -> None:
    offering = head("POST", "/hooks/crm", content_length=len(BODY)).replace(b"host:", f"{OFFER}\r\nhost:".encode())
    with connected(site.url) as line:
        for _ in range(2):
            line.send(offering, BODY)
            assert taken(line.answer())


def test_what_follows_an_offer_that_came_in_pieces_is_never_taken_for_a_request(site: Site) -> None:
    for offer in ("Connection: Upgrade\r\nUpgrade: h2c", "Connection: upgrade\r\nupgrade: websocket"):
        with connected(site.url) as line:
            line.send(b"POST /hooks/nobody HTTP/1.1\r\nhost: a\r\n")
            site.client.get("/healthz")  # so that the rest comes by itself
            line.send(f"{offer}\r\ncontent-length: 35\r\n\r\n".encode(), b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
            assert code(line.answer()) == (404, "unknown_source")
            line.send(
                head("GET", "/hooks/nobody", connection="close")
            )  # where the pieces came as one, this is answered
            assert b" 200 " not in line.rest()


@pytest.mark.parametrize(
    "sent",
    [
        post(content_length=len(BODY), transfer_encoding="chunked") + BODY,
        head("POST", "/hooks/crm", Content_Length="1, 2") + BODY,
        b"POST /hooks/crm HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\n" + BODY,
        b"POST /hooks/crm HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n" + BODY,
        b"POST /hooks/crm HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_length_that_two_servers_could_read_differently_is_refused(site: Site, sent: bytes) -> None:
    with connected(site.url) as line:
        line.send(sent)
        assert b" 400 " in line.rest().partition(b"\r\n")[0]


def test_many_who_never_finish_keep_nobody_else_waiting(site: Site) -> None:
    def hold(_: int) -> None:
        with connected(site.url) as line:
            line.send(post(content_length=len(BODY)), BODY[:3])
            assert site.client.get("/healthz").status_code == 200

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(hold, range(40)))
    assert site.post("crm", BODY).status_code == 200


def test_an_end_in_the_middle_of_a_body_is_no_delivery_and_no_trouble(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for begun in (b"", BODY[:7]):
        with connected(site.url) as line:
            line.send(post(content_length=len(BODY)), begun)
    assert site.client.get("/healthz").status_code == 200
    assert caplog.records == []
