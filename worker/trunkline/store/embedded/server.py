"""The Valkey server of our own, shared by every command that works on one data directory.

    with EmbeddedServer(Path(".trunkline")) as server:
        server.client().ping()

The first to open a directory starts its server, the last to close it stops it.
A server that dies in between is started again by whoever next connects, and every write that was acknowledged is
still there. One left behind by processes that were killed is found and used by the next command.
"""

import os
import socket
import subprocess
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from trunkline.store.embedded import process as valkey
from trunkline.store.embedded.process import HOST, Answer, EmbeddedError, Home, State
from trunkline.store.pooling import Pool, TcpConnection

ANSWER_S: Final = 15.0  # a server that is alive and not loading answers within this
GREETING_S: Final = 2.0
STOP_S: Final = 20.0
AGAIN_S: Final = 1.0  # after a failed start the next one is tried no sooner, however many threads connect


class EmbeddedServer:
    """One process's use of the embedded server of one data directory. Safe to share between threads.

    After a fork the child is a user of its own from its first connection on, and not before."""

    def __init__(self, data_dir: Path) -> None:
        """Does nothing yet. A relative directory is taken from where the process is now."""
        self._home = Home(data_dir.absolute() / "valkey")
        self._mutex = threading.Lock()
        self._wanted = False  # between open() and close()
        self._users_lock: int | None = None
        self._server_lock: int | None = None  # ours only from before a server's birth until it holds its own
        self._port = 0
        self._pid: int | None = None
        self._password = ""
        self._child: subprocess.Popen[bytes] | None = None
        self._failure: tuple[float, EmbeddedError] | None = None
        self._survives_forks = False

    def __repr__(self) -> str:
        return f"<EmbeddedServer in {self._home.path}>"

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port on loopback. Another one after a restart, if that port was taken meanwhile."""
        return self._port

    @property
    def pid(self) -> int | None:
        """The server's process; None before open()."""
        return self._pid

    @property
    def log_path(self) -> Path:
        """The server's own log."""
        return self._home.log

    def url(self, db: int = 0) -> str:
        """The address for another program, password included. It holds for as long as the server lives."""
        return f"redis://:{self._password}@{HOST}:{self._port}/{db}"

    def open(self) -> None:
        """Joins the directory's server, or starts it, and returns once it has loaded its data. Repeating it is fine.

        Raises EmbeddedError with a sentence for people; then nothing is held and nothing was left running."""
        with self._mutex:
            if self._wanted and self._users_lock is not None:
                return
            self._wanted = True
            try:
                self._join()
            except BaseException:
                with suppress(EmbeddedError):
                    self._leave()
                raise

    def close(self) -> None:
        """Gives the server up; the last user stops it and waits for its end. Repeating it is fine.

        Connections in use end with the server and are not revived. Raises EmbeddedError if it does not stop."""
        with self._mutex:
            self._leave()

    def connection_pool(self, db: int = 0, **options: Any) -> redis.ConnectionPool:
        """A pool whose connections find the server at every connect, and start it again if it died.

        `options` are redis-py's for a connection: `socket_timeout`, `socket_connect_timeout`, `health_check_interval`,
        `decode_responses`, `max_connections`, `retry`... Without a `retry` nothing is repeated: a command whose
        connection breaks raises redis.ConnectionError, and the next one connects anew. A server that can't be started
        again is a redis.ConnectionError with EmbeddedError's sentence."""
        # RESP 3 brings redis-py's maintenance notifications, which this server has not, and with which redis-py no
        # longer looks whether a pooled connection is still alive before it hands it out.
        options.setdefault("protocol", 2)
        return Pool(connection_class=_Connection, embedded=self, db=db, **options)

    def client(self, db: int = 0, **options: Any) -> redis.Redis:
        """A client on a connection_pool() of its own, which its close() closes."""
        return redis.Redis.from_pool(self.connection_pool(db, **options))

    def dial(self, timeout_s: float | None = None) -> socket.socket:
        """A connected, authenticated socket to the server, which has loaded its data; started again if it died.

        Raises EmbeddedError, or TimeoutError where the server is alive and silent."""
        for attempt in range(3):
            if attempt or self._users_lock is None or not self._alive():
                self._revive()
            with suppress(ConnectionError):
                sock, answer = valkey.dial(self._port, self._password, timeout_s)
                if answer is Answer.READY or (answer is Answer.LOADING and self._loaded(sock)):
                    return sock
                sock.close()
        raise EmbeddedError(
            f"The embedded server in {self._home.path} dies again and again; its log is {self.log_path}."
        )

    def _alive(self) -> bool:
        """Tell if a server of ours runs (its port alone may be anybody's); notes where, as others may restart it."""
        with self._understandable():
            if not self._home.serving():
                return False
        if (state := self._home.state()) is not None:
            self._port = state.port
        return True

    def _loaded(self, sock: socket.socket) -> bool:
        try:
            return valkey.wait_while_loading(sock, time.monotonic() + valkey.PATIENCE_S)
        except BaseException:
            sock.close()
            raise

    def _revive(self) -> None:
        with self._mutex:
            if not self._wanted:
                raise EmbeddedError(f"The embedded server in {self._home.path} is closed here: call open() first.")
            if self._failure is not None and time.monotonic() < self._failure[0] + AGAIN_S:
                raise self._failure[1]
            try:
                self._join()
            except EmbeddedError as error:
                self._failure = (time.monotonic(), error)
                raise

    def _join(self) -> None:
        """Makes this process a user of a server that is up. With the mutex held."""
        with self._understandable():
            self._home.prepare()
            with self._home.start_lock():
                if not self._survives_forks:
                    os.register_at_fork(after_in_child=_weakly(self))
                    self._survives_forks = True
                if self._users_lock is None:
                    self._users_lock = self._home.hold_users_lock()
                self._password = self._home.password()
                self._find_or_start()

    def _find_or_start(self) -> None:
        self._reap()
        until = time.monotonic() + ANSWER_S
        while True:
            self._server_lock = self._home.take_server_lock()
            if self._server_lock is not None:
                try:
                    return self._start(self._server_lock)
                finally:
                    os.close(self._server_lock)  # the server has its own by now, and unlocking ours would unlock that
                    self._server_lock = None
            state = self._home.state()
            if state is not None and self._connects(state.port):
                return None
            if time.monotonic() > until:
                raise EmbeddedError(self._silent(state))
            time.sleep(valkey.POLL_S)

    def _silent(self, state: State | None) -> str:
        at = "" if state is None else f" on {HOST}:{state.port} (process {state.pid})"
        return (
            f"A server of {self._home.path} is running{at} but doesn't answer to this directory's password. "
            "If it runs in another container, name one server for both in store.url; if files were deleted from the "
            f"directory, end that process and try again. Its log is {self.log_path}."
        )

    def _start(self, server_lock: int) -> None:
        """A new server. It inherits the lock; whether it answers or dies is known when this returns or raises."""
        if self._child is not None:
            self._end(self._child, at_once=False)  # its lock is free, so it is on its way out
        before = self._home.state()
        preferred = None if before is None else before.port
        for _ in range(5):
            port = valkey.choose_port(preferred)
            self._home.write_state(State(port, None))
            self._home.write_conf(port, self._password)
            said_before = self._home.log_size()
            self._child = valkey.spawn(self._home, server_lock)
            if self._comes_up(port, self._child):
                self._home.write_state(State(port, self._pid))
                return
            said = self._home.said_since(said_before)
            if "Address already in use" not in said:
                raise EmbeddedError(valkey.explain(self._home, said, self._child.returncode))
            preferred = None
        raise EmbeddedError(
            f"Other programs keep taking the ports chosen for the embedded server in {self._home.path}."
        )

    def _comes_up(self, port: int, child: subprocess.Popen[bytes]) -> bool:
        until = time.monotonic() + valkey.PATIENCE_S
        while time.monotonic() < until:
            if child.poll() is not None:
                return False
            if self._connects(port):
                return True
            time.sleep(valkey.POLL_S)
        raise EmbeddedError(
            f"The embedded server in {self._home.path} isn't ready after {valkey.PATIENCE_S:.0f} s; "
            f"its log, {self.log_path}, says what it is doing."
        )

    def _connects(self, port: int) -> bool:
        """Tell if our server is at that port and has loaded its data; if so, that is the port from now on."""
        with suppress(OSError):  # refused, reset or silent: the caller knows whether to go on waiting
            sock, answer = valkey.dial(port, self._password, GREETING_S)
            with sock:
                if answer is Answer.STRANGER or (answer is Answer.LOADING and not self._loaded(sock)):
                    return False
                self._port, self._pid = port, valkey.process_id(sock)
                return True
        return False

    def _leave(self) -> None:
        """Stops being a user; stops the server if no other is left. With the mutex held."""
        self._wanted = False
        if self._users_lock is None:
            return
        try:
            # Without its directory nobody can join it any more: no lock is needed to end it.
            alone = self._home.start_lock() if self._home.path.is_dir() else nullcontext()
            with self._understandable(), alone:
                if valkey.become_last_user(self._users_lock):
                    self._stop()
        finally:
            valkey.release(self._users_lock)
            self._users_lock = None
            self._reap()
            if self._child is not None:
                self._child.returncode = 0  # it outlives us on purpose: no ResourceWarning
                self._child = None

    def _stop(self) -> None:
        state = self._home.state()
        refusal = ""
        try:
            sock, answer = valkey.dial(self._port if state is None else state.port, self._password, STOP_S)
            with sock:
                if answer is not Answer.STRANGER:
                    refusal = valkey.shut_down(sock)
        except ConnectionError:
            pass  # it is dead already
        except TimeoutError:
            refusal = "it does not answer"
        if self._child is not None:
            self._end(self._child, at_once=bool(refusal))
        elif refusal:
            raise EmbeddedError(
                f"The embedded server in {self._home.path} (process {self._pid}) did not stop: {refusal}. "
                f"Its log is {self.log_path}."
            )

    @staticmethod
    def _end(child: subprocess.Popen[bytes], *, at_once: bool) -> None:
        """Waits for the end of a server that we started; kills it if need be: what it acknowledged is on disk."""
        with suppress(subprocess.TimeoutExpired):
            child.wait(0 if at_once else STOP_S)
            return
        child.kill()
        child.wait(STOP_S)

    def _reap(self) -> None:
        """Takes leave of a server we started and that died, so that no zombie stays."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None

    def _in_forked_child(self) -> None:
        """The parent's locks are the parent's: the child lets go of them without unlocking."""
        for fd in (self._users_lock, self._server_lock):
            if fd is not None:
                os.close(fd)
        self._users_lock = self._server_lock = None
        self._mutex = threading.Lock()  # another thread of the parent may have held it at the fork
        if self._child is not None:
            self._child.returncode = 0  # the parent's to wait for
            self._child = None

    @contextmanager
    def _understandable(self) -> Iterator[None]:
        """The one place where the operating system's errors become sentences."""
        try:
            yield
        except OSError as error:
            raise EmbeddedError(
                f"The embedded server can't use {self._home.path}: {error.strerror or error}. Set store.data_dir (or "
                "TRUNKLINE_DATA_DIR) to a directory on a local disk that this user can write to, or set store.url to a "
                "Redis or Valkey server of your own."
            ) from error


def _weakly(server: EmbeddedServer) -> Any:
    """Clean up in a forked child, without keeping the server object alive for ever."""
    reference = weakref.ref(server)

    def in_child() -> None:
        if (alive := reference()) is not None:
            alive._in_forked_child()

    return in_child


class _Connection(TcpConnection):
    """A redis-py connection that asks its EmbeddedServer where to connect. The password never is an option of it."""

    def __init__(self, *, embedded: EmbeddedServer, **options: Any) -> None:
        self._embedded = embedded
        super().__init__(host=HOST, port=embedded.port, **options)  # type: ignore[no-untyped-call] # redis-py types it so far not

    def _connect(self) -> socket.socket:  # redis-py's seam for where a socket comes from
        try:
            sock = self._embedded.dial(self.socket_connect_timeout)
        except EmbeddedError as error:
            raise redis.ConnectionError(str(error)) from error
        self.port = self._embedded.port
        sock.settimeout(self.socket_timeout)
        return sock
