"""The broker of the hints: "there is work", said in this process's memory to this process's own threads."""

from __future__ import annotations

from collections.abc import Iterable
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Any, Final

import dramatiq
from dramatiq.broker import Consumer, MessageProxy

STOPPING_LOOK_S: Final = 0.05  # how often a consumer looks whether it may end, once it was asked to


class HintBroker(dramatiq.Broker):
    """Hands hints to the worker's threads, each at once.

    A hint that is lost is sent again by the dispatcher, and one too many finds nothing to do: so hints are neither
    stored nor acknowledged, and no more of them wait than the worker has threads.
    """

    def __init__(self, middleware: list[dramatiq.Middleware]) -> None:
        super().__init__(middleware=[_Threads(self), *middleware])
        self.queues: set[str] = set()
        self._waiting: SimpleQueue[dramatiq.Message[Any] | None] = SimpleQueue()
        self._mutex = Lock()
        self._unread = 0
        self._most = 0
        self._stopping = Event()

    @property
    def unread(self) -> int:
        """Number of hints that no thread has begun with."""
        return self._unread

    def declare_queue(self, queue_name: str) -> None:
        """Declares the queue; hints are never delayed, so it has no delay queue."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def get_declared_queues(self) -> set[str]:
        """The names of the queues."""
        return self.queues.copy()

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Takes a hint, unless as many wait already as there are threads."""
        self.emit_before("enqueue", message, delay)
        with self._mutex:
            has_room = self._unread < self._most
            self._unread += has_room
        if has_room:
            self._waiting.put(message)
        self.emit_after("enqueue", message, delay)
        return message

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:  # noqa: ARG002 - dramatiq's
        """The hints, as they come."""
        return _HintConsumer(self, timeout / 1000)

    def stop(self) -> None:
        """Ends the wait for hints, so that a stop is not held up by it."""
        self._stopping.set()
        self._waiting.put(None)

    def next_hint(self, within_s: float) -> dramatiq.Message[Any] | None:
        """The next hint, or None if none comes in that time (a short one, once it was asked to stop)."""
        try:
            return self._waiting.get(timeout=STOPPING_LOOK_S if self._stopping.is_set() else within_s)
        except Empty:
            return None

    def has_threads(self, threads: int) -> None:
        """A worker with so many threads takes the hints from now on."""
        self._most = threads

    def begun(self) -> None:
        """A thread has begun with a hint."""
        with self._mutex:
            self._unread -= 1


class _Threads(dramatiq.Middleware):
    """Tells the broker how many threads there are, and when one has begun with a hint."""

    def __init__(self, hints: HintBroker) -> None:
        self._hints = hints

    def before_worker_boot(self, _broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._hints.has_threads(worker.worker_threads)

    def before_process_message(self, _broker: dramatiq.Broker, _message: MessageProxy) -> None:
        self._hints.begun()


class _HintConsumer(Consumer):
    """Waits for hints; there is nothing to acknowledge."""

    def __init__(self, hints: HintBroker, timeout_s: float) -> None:
        self._hints = hints
        self._timeout_s = timeout_s

    def __next__(self) -> MessageProxy | None:
        hint = self._hints.next_hint(self._timeout_s)
        return None if hint is None else MessageProxy(hint)

    def ack(self, message: MessageProxy) -> None:
        """Nothing."""

    def nack(self, message: MessageProxy) -> None:
        """Nothing."""

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Nothing: the dispatcher of the next process hints anew."""

    def close(self) -> None:
        """Nothing."""
