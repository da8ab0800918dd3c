"""The broker of the hints: dramatiq's, with an idle poll that is slow and a wake-up that is instant."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Event
from typing import Final

import dramatiq
import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker

from trunkline.actors import ATTACH_QUEUE

IDLE_POLL_S: Final = 2.0  # how long a hint of another process may lie; this process's own wake it at once
QUICK_POLL_MS: Final = 5
MAINTENANCE_CHANCE: Final = 10_000  # of a million: messages of killed processes come back in about a minute
NAMESPACE: Final = "dramatiq"  # the default: programs that speak dramatiq find their queue


class HintBroker(RedisBroker):
    """Redis broker whose idle consumers wait for `wake` instead of asking the server again and again."""

    def __init__(self, client: redis.Redis, middleware: list[dramatiq.Middleware]) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # dramatiq's
            client=client, middleware=middleware, namespace=NAMESPACE, maintenance_chance=MAINTENANCE_CHANCE
        )
        self.wake = Event()
        self.stopping = Event()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:  # noqa: ARG002 - dramatiq's
        """A consumer that polls quickly while there is work and waits for the wake-up while there is none."""
        inner: Consumer = super().consume(queue_name, prefetch=prefetch, timeout=QUICK_POLL_MS)
        return _WakingConsumer(inner, self.wake if queue_name == ATTACH_QUEUE else None, self.stopping)

    def declare_queue(self, queue_name: str) -> None:
        """Hints are never delayed, so theirs gets no delay queue, whose consumer would poll all day."""
        if queue_name != ATTACH_QUEUE:
            super().declare_queue(queue_name)
        elif queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def stop(self) -> None:
        """Ends every idle wait, so that a stop is not held up by one."""
        self.stopping.set()
        self.wake.set()

    def waiting(self, queue_name: str) -> int:
        """How many messages lie in a queue."""
        length: int = self.client.llen(f"{self.namespace}:{queue_name}")
        return length


class _WakingConsumer(Consumer):
    """dramatiq's consumer; only its idle wait is ours."""

    def __init__(self, inner: Consumer, wake: Event | None, stopping: Event) -> None:
        self._inner = inner
        self._wake = wake
        self._stopping = stopping
        self._misses = 0

    def ack(self, message: MessageProxy) -> None:
        self._inner.ack(message)

    def nack(self, message: MessageProxy) -> None:
        self._inner.nack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        self._inner.requeue(messages)

    def close(self) -> None:
        self._inner.close()

    def __next__(self) -> MessageProxy | None:
        message: MessageProxy | None = next(self._inner)
        if message is not None:
            self._misses = 0
            return message
        self._misses = min(self._misses + 1, 10)
        self._wait(min(IDLE_POLL_S, QUICK_POLL_MS / 1000 * 2**self._misses))
        return None

    def _wait(self, seconds: float) -> None:
        if self._wake is None:
            self._stopping.wait(seconds)
        elif self._wake.wait(seconds) and not self._stopping.is_set():
            self._wake.clear()
            self._misses = 0
