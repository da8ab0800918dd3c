"""The events queue on a real server: what dramatiq's consumer would leave lying is brought back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice

import dramatiq
import pytest
import redis
from dramatiq.broker import Consumer

from support.servers import Server
from trunkline.bootstrap import FOR_DRAMATIQ
from trunkline.runtime.actors import EVENT_ACTOR, EVENTS_QUEUE
from trunkline.runtime.events_queue import EventsBroker
from trunkline.store import connect


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with closing(connect(server.url, **FOR_DRAMATIQ)) as client:
        client.flushdb()
        yield client


def message(index: int) -> dramatiq.Message[None]:
    return dramatiq.Message(EVENTS_QUEUE, EVENT_ACTOR, args=(index,), kwargs={}, options={})


def read(consumer: Consumer, looks: int) -> list[object]:
    """What the next looks find."""
    return [each.args[0] for each in islice(consumer, looks) if each is not None]


@contextmanager
def trouble(client: redis.Redis) -> Iterator[None]:
    """The server refuses what a consumer asks."""
    client.execute_command("ACL", "SETUSER", "default", "-exists", "-evalsha")  # type: ignore[no-untyped-call]
    yield
    client.execute_command("ACL", "SETUSER", "default", "+@all")  # type: ignore[no-untyped-call]


def test_messages_that_were_handed_out_in_an_answer_that_was_lost_come_back(client: redis.Redis) -> None:
    broker = EventsBroker(client)
    consumer = broker.consume(EVENTS_QUEUE)
    assert read(consumer, 1) == []
    for index in range(3):
        broker.enqueue(message(index))
    assert len(broker.do_fetch(EVENTS_QUEUE, 3)) == 3, "the server gave them out, and nobody here has them"
    with trouble(client):
        assert read(consumer, 1) == []
    assert sorted(map(str, read(consumer, 6))) == ["0", "1", "2"]


def test_a_message_under_way_is_not_brought_back_while_it_is(client: redis.Redis) -> None:
    broker = EventsBroker(client)
    consumer = broker.consume(EVENTS_QUEUE)
    broker.enqueue(message(1))
    (under_way,) = [each for each in islice(consumer, 2) if each is not None]
    with trouble(client):
        assert read(consumer, 1) == []
    assert read(consumer, 3) == []
    consumer.ack(under_way)
    assert read(consumer, 3) == []
    assert client.hlen(f"dramatiq:{EVENTS_QUEUE}.msgs") == 0
