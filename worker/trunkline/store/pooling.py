"""Pooled connections to a server that may be replaced behind its address.

What one connection meets is suspected of all that are idle: after a failover they lead to a server that takes no more
writes, after a hop's restart to nobody. They are closed at the first sign of it, and the next command connects anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import redis

PAUSE_S: Final = 5.0  # a connection that was idle for so long is tried before it is used
TRY_S: Final = 1.0  # how long it may take to answer that
# Another connection may lead to a server that can: a failover's, or one that is up already.
# "UNBLOCKED" ends the waits (WAITAOF) of a primary that becomes a replica; the library has no class for it.
ELSEWHERE: Final = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.exceptions.MasterDownError)
UNBLOCKED: Final = "UNBLOCKED"


class Watched(redis.connection.AbstractConnection):
    """Notes when it met something that a new connection may not meet, and when it was last used."""

    suspect: bool = False
    used_at: float = 0.0

    def read_response(self, *args: Any, **options: Any) -> Any:
        """The reply to a command, as the library has it."""
        try:
            return super().read_response(*args, **options)
        except redis.RedisError as error:
            if isinstance(error, ELSEWHERE) or str(error).startswith(UNBLOCKED):
                self.suspect = True
            raise

    def answers(self) -> bool:
        """Tell if the server answers anything on this connection; close it if not."""
        try:
            self.send_command("PING", check_health=False)  # type: ignore[no-untyped-call]  # redis-py's, as below
            if not self.can_read(TRY_S):
                self.disconnect()  # type: ignore[no-untyped-call]
                return False
            self.read_response()
        except redis.ResponseError:
            return True
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        return True


class TcpConnection(Watched, redis.Connection):
    """Of redis:// URLs."""


class TlsConnection(Watched, redis.SSLConnection):
    """Of rediss:// URLs."""


class SocketConnection(Watched, redis.UnixDomainSocketConnection):
    """Of unix:// URLs."""


WATCHED: Final[Mapping[object, type[Any]]] = MappingProxyType(
    {
        redis.Connection: TcpConnection,
        redis.SSLConnection: TlsConnection,
        redis.UnixDomainSocketConnection: SocketConnection,
    }
)


class Pool(redis.ConnectionPool):
    """The library's pool, less the idle connections that are not to be trusted any more."""

    def __init__(self, connection_class: type[Any] = redis.Connection, **options: Any) -> None:
        super().__init__(connection_class=WATCHED.get(connection_class, connection_class), **options)

    def get_connection(self, *args: Any, **options: Any) -> Any:
        """A connection that is open; one that was idle for long has just answered."""
        connection: Any = super().get_connection(*args, **options)
        if connection.used_at and time.monotonic() - connection.used_at > PAUSE_S and not connection.answers():
            try:
                connection.connect()
            except BaseException:
                self.release(connection)
                raise
        return connection

    def release(self, connection: Any) -> None:
        """Takes a connection back; a suspect one is closed, and all that are idle with it."""
        connection.used_at = time.monotonic()
        super().release(connection)
        if connection.suspect:
            connection.suspect = False
            self.disconnect(inuse_connections=False)
