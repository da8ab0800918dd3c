"""Hints are said in the process's memory: each thread that is free takes one, and no heap of them grows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Semaphore

import dramatiq

from trunkline.runtime.actors import declare_attach
from trunkline.runtime.broker import HintBroker

THREADS = 2
PATIENCE_S = 20.0


@contextmanager
def working(broker: HintBroker) -> Iterator[None]:
    worker = dramatiq.Worker(broker, worker_threads=THREADS, worker_timeout=50)
    worker.start()
    try:
        yield
    finally:
        broker.stop()
        worker.stop()


def test_no_more_hints_wait_than_there_are_threads() -> None:
    broker = HintBroker(middleware=[])
    begun, go, ended = Semaphore(0), Event(), Semaphore(0)

    def work() -> bool:
        begun.release()
        assert go.wait(PATIENCE_S)
        ended.release()
        return False

    attach = declare_attach(broker, work)
    with working(broker):
        for _ in range(THREADS):
            attach.send()
            assert begun.acquire(timeout=PATIENCE_S), "a hint wakes a thread"
        assert broker.unread == 0
        for _ in range(100):
            attach.send()
        assert broker.unread == THREADS
        go.set()
        for _ in range(2 * THREADS):
            assert ended.acquire(timeout=PATIENCE_S)
    assert broker.unread == 0
    assert not ended.acquire(blocking=False), "the others were as good as said"


def test_what_may_have_more_to_do_is_begun_again() -> None:
    broker = HintBroker(middleware=[])
    turns = iter((True, True, False))
    done = Event()

    def work() -> bool:
        more = next(turns)
        if not more:
            done.set()
        return more

    attach = declare_attach(broker, work)
    with working(broker):
        attach.send()
        assert done.wait(PATIENCE_S)


def test_before_there_is_a_worker_no_hint_is_kept() -> None:
    broker = HintBroker(middleware=[])
    declare_attach(broker, lambda: False).send()
    assert broker.unread == 0
