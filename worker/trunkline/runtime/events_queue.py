"""The events queue: where programs that speak dramatiq put number events, on the broker's server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Event
from typing import Any, Final, TypeVar

import dramatiq
import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError, ConnectionClosed, DecodeError

from trunkline.runtime.actors import EVENTS_QUEUE
from trunkline.runtime.event_actor import GivenBack
from trunkline.telemetry.logs import Log, logger

Result = TypeVar("Result")

NAMESPACE: Final = "dramatiq"  # the default: programs that speak dramatiq find their queue
THREADS: Final = 1  # events are taken in in the order they came
WORKER_TIMEOUT_MS: Final = 250  # how long a stop waits for an idle thread
STOP_MS: Final = 2_000  # how long a stop waits for the event under way, after the worker's own grace time
PREFETCH: Final = 16
IDLE_POLL_S: Final = 2.0
QUICK_POLL_MS: Final = 5
MAINTENANCE_CHANCE: Final = 10_000  # of a million
ALWAYS: Final = 1_000_000
HEARTBEAT_S: Final = 15.0  # a process that is silent for a minute is taken for dead, and its messages come back
STOPPING_LOOK_S: Final = 0.05
PAUSE_S: Final = 1.0  # between tries while the server is away
GIVEN_BACK: Final = "given_back"  # an option of a message in memory: it was not taken in
AWAY: Final = (BrokerConnectionError, redis.RedisError)


def start(broker: EventsBroker) -> dramatiq.Worker:
    """A worker for the queue alone, running."""
    worker = dramatiq.Worker(broker, worker_threads=THREADS, worker_timeout=WORKER_TIMEOUT_MS)
    worker.start()
    return worker


class EventsBroker(RedisBroker):
    """dramatiq's broker for Redis, which waits whatever the trouble with the server is.

    dramatiq itself knows a lost connection only: it takes a time-out, a server out of memory or one that loads its data
    for a bug of its own, forgets to acknowledge, and logs each of them with a traceback.
    """

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # dramatiq's
            client=client, middleware=[_LastWord()], namespace=NAMESPACE, maintenance_chance=MAINTENANCE_CHANCE
        )
        self.stopping = Event()
        self._away = False

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:  # noqa: ARG002 - dramatiq's
        """A consumer that polls quickly while messages come, rarely while none does, and waits out all trouble."""
        inner: Any = super().consume(queue_name, prefetch=max(prefetch, PREFETCH), timeout=QUICK_POLL_MS)
        return _PatientConsumer(self, inner, queue_name)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Puts a message there: one that was delayed, when its time has come. Raises ConnectionClosed in a stop."""
        done: dramatiq.Message[Any] = self.wait_out(lambda: super(EventsBroker, self).enqueue(message, delay=delay))
        return done

    def wait_out(self, action: Callable[[], Result]) -> Result:
        """Return what `action` returns, once the server lets it. Raises ConnectionClosed if a stop comes first."""
        while True:
            try:
                result = action()
            except AWAY as error:
                self.is_away(error)
                if self.stopping.wait(PAUSE_S):
                    raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]  # dramatiq's
            else:
                self.is_back()
                return result

    def is_away(self, error: Exception) -> None:
        """Logs the beginning of trouble with the server."""
        if not self._away:
            logger().error(Log.store_unavailable, queue=EVENTS_QUEUE, error=str(error))
        self._away = True

    def is_back(self) -> None:
        """Logs the end of trouble with the server."""
        if self._away:
            logger().info(Log.store_available, queue=EVENTS_QUEUE)
        self._away = False


class _LastWord(dramatiq.Middleware):
    """An event that can't be taken in goes to dramatiq's dead letters; one that nobody had the time for goes back."""

    @property
    def actor_options(self) -> set[str]:
        return {"throws"}

    def after_process_message(
        self,
        _broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,  # noqa: ARG002 - dramatiq's
        exception: BaseException | None = None,
    ) -> None:
        if isinstance(exception, GivenBack):
            message.options[GIVEN_BACK] = True
        elif exception is not None:
            message.fail()


class _PatientConsumer(Consumer):
    """dramatiq's consumer; how it waits is ours."""

    def __init__(self, broker: EventsBroker, inner: Any, queue_name: str) -> None:
        self._broker = broker
        self._inner = inner
        self._queue = queue_name
        self._key = f"{broker.namespace}:{queue_name}"
        self._handed_out = f"{broker.namespace}:__acks__.{broker.broker_id}.{queue_name}"
        self._may_lack = False
        self._misses = 0
        self._fetched = float("-inf")

    def __next__(self) -> MessageProxy | None:
        if self._broker.stopping.is_set():
            time.sleep(STOPPING_LOOK_S)
            return None
        try:
            message = self._next()
        except AWAY as error:
            self._may_lack = True
            self._broker.is_away(error)
            self._broker.stopping.wait(PAUSE_S)
            return None
        except DecodeError as error:  # it stays where dramatiq has what was fetched
            self._misses = 0  # what came with it is in memory by now
            logger().warning(Log.event_refused, queue=EVENTS_QUEUE, first=f"it is no message of dramatiq's: {error}")
            return None
        self._broker.is_back()
        if message is None:
            self._misses = min(self._misses + 1, 10)
            self._broker.stopping.wait(min(IDLE_POLL_S, QUICK_POLL_MS / 1000 * 2**self._misses))
        else:
            self._misses = 0
        return message

    def _next(self) -> MessageProxy | None:
        """The next message. While none comes, a look is one command that reads; dramatiq's are three, one a write.

        Those few that are dramatiq's then also bring back what processes that died had fetched.
        """
        if self._may_lack:
            self._bring_back()
        now = time.monotonic()
        if self._misses:
            if now - self._fetched < HEARTBEAT_S and not self._broker.client.exists(self._key):
                return None
            self._broker.maintenance_chance = ALWAYS
        self._fetched = now
        try:
            message: MessageProxy | None = next(self._inner)
            return message
        finally:
            self._broker.maintenance_chance = MAINTENANCE_CHANCE

    def _bring_back(self) -> None:
        """Puts back what the server handed out in answers that were lost, once nothing else of this queue is out here:
        dramatiq would leave it until this process ends."""
        if self._inner.outstanding_message_count == 0:
            if lacking := self._broker.client.smembers(self._handed_out):
                self._broker.do_requeue(self._queue, *lacking)
            self._may_lack = False

    def ack(self, message: MessageProxy) -> None:
        if GIVEN_BACK in message.options:
            self._inner.queued_message_ids.discard(message.message_id)  # first: it may be fetched again at once
            self.requeue([message])
        else:
            self._try(lambda: self._inner.ack(message))

    def nack(self, message: MessageProxy) -> None:
        self._try(lambda: self._inner.nack(message))

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        several = list(messages)
        self._try(lambda: self._inner.requeue(several))

    def close(self) -> None:
        self._inner.close()

    def _try(self, action: Callable[[], None]) -> None:
        """Does it once the server lets us; a message whose end can't be told before a stop comes again, and may."""
        try:
            self._broker.wait_out(action)
        except BrokerConnectionError:
            return
