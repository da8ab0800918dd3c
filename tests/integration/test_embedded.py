"""The embedded server under real processes: who starts it, who stops it, and what outlives which kill."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from trunkline.store.embedded.process import Answer, EmbeddedError, Home, dial, explain, wait_while_loading
from trunkline.store.embedded.server import EmbeddedServer

AGAIN = Retry(ConstantBackoff(0.01), 3)

HOLDER = """
    import os, sys
    from pathlib import Path
    from redis.backoff import ConstantBackoff
    from redis.retry import Retry
    from trunkline.store.embedded.server import EmbeddedServer

    server = EmbeddedServer(Path(sys.argv[1]))
    def say(*words):
        print(*words, flush=True)
    def wait():
        return sys.stdin.readline().strip()
"""
OPEN_AND_CLOSE = """
    server.open()
    say(server.pid, server.port)
    wait()
    server.close()
    say("closed")
"""


class Holder:
    """Another process that uses the directory, told by lines what to do next."""

    def __init__(self, directory: Path, script: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOLDER) + textwrap.dedent(script), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[Callable[..., Holder]]:
    started: list[Holder] = []

    def start(directory: Path, script: str = OPEN_AND_CLOSE) -> Holder:
        started.append(Holder(directory, script))
        return started[-1]

    yield start
    for holder in started:
        holder.end()
    if (tmp_path / "valkey").is_dir():  # what killed holders left behind: join it, and be the last to go
        with EmbeddedServer(tmp_path):
            pass


def alive(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def kill(server: EmbeddedServer) -> None:
    """kill -9, and back only when it is dead."""
    with server.dial(5) as sock:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""


def test_processes_that_open_at_the_same_moment_share_one_server(
    tmp_path: Path, holders: Callable[..., Holder]
) -> None:
    crowd = [holders(tmp_path) for _ in range(4)]
    assert len({holder.says() for holder in crowd}) == 1


def test_the_last_one_out_stops_the_server(tmp_path: Path, holders: Callable[..., Holder]) -> None:
    first, second = holders(tmp_path), holders(tmp_path)
    _, port = first.says().split()
    second.says()
    first.go_on()
    assert first.says() == "closed"
    assert alive(int(port))
    second.go_on()
    assert second.says() == "closed"
    assert not alive(int(port))


def test_what_was_written_is_there_at_the_next_start_on_the_same_port(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        server.client().set("number", "+14155550100")
        server.client(1).set("number", "another database")
        port = server.port
    with EmbeddedServer(tmp_path) as server:
        assert server.port == port
        assert server.client().get("number") == b"+14155550100"


def test_every_acknowledged_write_survives_kills_of_the_server_under_writes(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    progress, enough = threading.Semaphore(0), threading.Event()

    def write(server: EmbeddedServer) -> None:
        client = server.client(retry=AGAIN, socket_timeout=10)
        number = 0
        while not enough.is_set():
            client.set(f"n:{number}", number)
            acknowledged.append(number)
            number += 1
            progress.release()

    with EmbeddedServer(tmp_path) as server:
        writer = threading.Thread(target=write, args=(server,))
        writer.start()
        pids = set()
        for _ in range(3):
            for _ in range(50):
                assert progress.acquire(timeout=20)
            pids.add(server.pid)
            kill(server)
        for _ in range(50):
            assert progress.acquire(timeout=20)
        enough.set()
        writer.join()
        assert len(pids) == 3
        client = server.client()
        assert [number for number in acknowledged if client.get(f"n:{number}") != str(number).encode()] == []


def test_many_threads_that_find_the_server_dead_start_one(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        client = server.client(retry=AGAIN, socket_timeout=10)
        kill(server)
        pids: list[int] = []
        threads = [threading.Thread(target=lambda: pids.append(client.info("server")["process_id"])) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(pids) == 12
        assert set(pids) == {server.pid}


def test_any_holder_starts_a_dead_server_again_and_the_others_find_it(
    tmp_path: Path, holders: Callable[..., Holder]
) -> None:
    other = holders(
        tmp_path,
        """
        server.open()
        client = server.client(retry=Retry(ConstantBackoff(0.01), 3))
        say(server.pid)
        wait()
        say(client.info("server")["process_id"])
        wait()
        server.close()
        """,
    )
    started_by = other.says()
    with EmbeddedServer(tmp_path) as server:
        assert str(server.pid) == started_by
        kill(server)
        client = server.client()
        now = str(client.info("server")["process_id"])
        assert now != started_by
        other.go_on()
        assert other.says() == now
        other.go_on()
        assert other.process.wait(20) == 0
        assert client.ping()


def test_a_holder_that_was_killed_leaves_a_server_that_the_next_command_uses_and_stops(
    tmp_path: Path, holders: Callable[..., Holder]
) -> None:
    killed = holders(tmp_path)
    pid, port = killed.says().split()
    killed.end()
    with EmbeddedServer(tmp_path) as server:
        assert (server.pid, server.port) == (int(pid), int(port))
    assert not alive(int(port))


def test_a_ctrl_c_reaches_the_command_and_not_its_server(tmp_path: Path, holders: Callable[..., Holder]) -> None:
    holder = holders(
        tmp_path,
        """
        server.open()
        client = server.client()
        try:
            say(server.pid)
            wait()
        except KeyboardInterrupt:
            client.set("settled", 1)
            say(client.info("server")["process_id"])
        wait()
        server.close()
        say("closed")
        """,
    )
    pid = holder.says()
    os.killpg(holder.process.pid, signal.SIGINT)
    assert holder.says() == pid
    holder.go_on()
    assert holder.says() == "closed"


def test_a_forked_child_holds_the_server_from_its_first_use_on_and_not_before(
    tmp_path: Path, holders: Callable[..., Holder]
) -> None:
    holder = holders(
        tmp_path,
        """
        server.open()
        client = server.client()
        client.set("n", 1)
        told, tell = os.pipe()
        if os.fork() == 0:
            os.read(told, 1)                     # the parent has closed: the server is gone
            say("child reads", client.get("n"))  # and is started again for the child alone
            pid = server.pid
            server.close()
            say("child closed")
            os._exit(0)
        server.close()
        say("parent closed", server.port)
        wait()
        os.write(tell, b"x")
        os.wait()
        """,
    )
    *words, port = holder.says().split()
    assert words == ["parent", "closed"]
    assert not alive(int(port))
    holder.go_on()
    assert holder.says() == "child reads b'1'"
    assert holder.says() == "child closed"
    assert not alive(int(port))


def test_a_forked_child_that_closes_does_not_take_the_server_from_its_parent(
    tmp_path: Path, holders: Callable[..., Holder]
) -> None:
    holder = holders(
        tmp_path,
        """
        server.open()
        client = server.client()
        pid = server.pid
        if os.fork() == 0:
            client.set("n", 2)
            server.close()
            os._exit(0)
        os.wait()
        say(client.get("n"), client.info("server")["process_id"] == pid)
        server.close()
        say("closed")
        """,
    )
    assert holder.says() == "b'2' True"
    assert holder.says() == "closed"


def test_a_stale_state_file_that_names_a_stranger_is_left_alone_with_its_stranger(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        server.client().set("n", 1)
    with socket.create_server(("127.0.0.1", server.port)) as stranger:
        stranger.setblocking(False)
        (tmp_path / "valkey" / "state.json").write_text(json.dumps({"port": server.port, "pid": os.getpid()}))
        with EmbeddedServer(tmp_path) as again:
            assert again.port != server.port
            assert again.pid != os.getpid()
            assert again.client().get("n") == b"1"
        with pytest.raises(BlockingIOError):  # our password was offered to nobody
            stranger.accept()


@pytest.mark.parametrize("state", ["", "{", "[]", '{"port": 99999999, "pid": null}', '{"port": "x", "pid": 1}'])
def test_a_damaged_state_file_is_no_obstacle(tmp_path: Path, state: str) -> None:
    Home(tmp_path / "valkey").prepare()
    (tmp_path / "valkey" / "state.json").write_text(state)
    with EmbeddedServer(tmp_path) as server:
        assert server.client().ping()


def test_open_and_close_may_be_repeated_and_a_closed_server_says_so(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.close()
    server.open()
    server.open()
    client = server.client()
    assert client.ping()
    server.close()
    server.close()
    with pytest.raises(redis.ConnectionError, match=r"closed here: call open\(\)"):
        client.ping()
    server.open()
    assert client.ping()
    server.close()


def test_two_users_within_one_process_are_two_users(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as one:
        with EmbeddedServer(tmp_path) as other:
            assert other.pid == one.pid
        assert one.client().ping()


def test_a_relative_directory_stays_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = EmbeddedServer(Path("kept"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with server:
        assert server.client().ping()
    assert (tmp_path / "kept" / "valkey" / "appendonlydir").is_dir()


@pytest.mark.parametrize("name", ["with spaces", 'quote\'s "double"', "Zürich №5", "new\nline", "$HOME %s \\"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        with EmbeddedServer(tmp_path / name) as server:
            assert server.client().incr("starts")
    assert (tmp_path / name / "valkey" / "appendonlydir").is_dir()


def test_nobody_else_may_read_the_data_or_the_password(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "data") as server:
        server.client().set("n", 1)
        home = tmp_path / "data" / "valkey"
        for path in (tmp_path / "data", home, *home.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port, retry=Retry(ConstantBackoff(0), 0)).ping()


def test_the_password_shows_in_no_repr(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        password = (tmp_path / "valkey" / "password").read_text().strip()
        assert password in server.url(1)
        client = server.client()
        for shown in (server, client, client.connection_pool, client.connection_pool.get_connection()):
            assert password not in repr(shown)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
def test_the_server_inherits_its_own_lock_and_neither_our_descriptors_nor_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLAND_API_KEY", "sk-secret")
    with EmbeddedServer(tmp_path) as server:
        process = Path(f"/proc/{server.pid}")
        assert b"sk-secret" not in (process / "environ").read_bytes()
        open_files = [fd.readlink() for fd in (process / "fd").iterdir()]
        assert [path for path in open_files if path.suffix == ".lock"] == [tmp_path / "valkey" / "server.lock"]


def test_the_clients_options_reach_redis_py(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        client = server.client(2, socket_timeout=7.5, health_check_interval=9, decode_responses=True, retry=AGAIN)
        connection = client.connection_pool.get_connection()
        assert (connection.db, connection.socket_timeout, connection.health_check_interval) == (2, 7.5, 9)
        assert connection.retry.get_retries() == 3
        client.set("n", "1")
        assert client.get("n") == "1"
        assert server.connection_pool().get_connection().retry.get_retries() == 0


def test_the_configuration_keeps_what_it_acknowledges_and_evicts_nothing(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        config = server.client().config_get("*")
        wanted = {"appendonly": "yes", "appendfsync": "always", "save": "", "bind": "127.0.0.1"}
        assert {key: config[key] for key in wanted} == wanted
        assert config["maxmemory-policy"] == "noeviction"


def test_a_directory_that_cannot_be_used_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(EmbeddedError) as refused:
            EmbeddedServer(place).open()
        assert str(place) in str(refused.value)
        assert "store.data_dir" in str(refused.value)
        assert "store.url" in str(refused.value)


def test_damaged_data_is_reported_with_a_command_that_mends_it(tmp_path: Path) -> None:
    directory = tmp_path / "it's here"
    with EmbeddedServer(directory) as server:
        for number in range(20):
            server.client().set(f"n:{number}", number)
    (data,) = (directory / "valkey" / "appendonlydir").glob("*.incr.aof")
    written = data.read_bytes()
    data.write_bytes(written.replace(b"n:10", b"\0\0\0\0\0\0", 1))

    with pytest.raises(EmbeddedError) as refused:
        EmbeddedServer(directory).open()
    sentence = str(refused.value)
    assert data.name in sentence
    assert str(server.log_path) in sentence

    command = re.search(r"after it: (cd .*)", sentence)
    assert command is not None
    subprocess.run(["bash", "-c", command[1]], input="y\n", text=True, check=True, capture_output=True)
    with EmbeddedServer(directory) as mended:
        assert mended.client().dbsize() == 10


def test_data_cut_short_by_a_crash_is_loaded_up_to_there(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        for number in range(20):
            server.client().set(f"n:{number}", number)
    (data,) = (tmp_path / "valkey" / "appendonlydir").glob("*.incr.aof")
    data.write_bytes(data.read_bytes()[:-7])
    with EmbeddedServer(tmp_path) as server:
        assert server.client().dbsize() == 19


def test_a_server_that_cannot_be_started_again_is_a_connection_error_with_the_reason(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        client = server.client()
        client.set("n", 1)
        (tmp_path / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("junk\n")
        client.connection_pool.disconnect()
        kill(server)
        for _ in range(2):  # the second is answered from memory: a crowd of threads does not start a crowd of servers
            with pytest.raises(redis.ConnectionError, match="damaged or incomplete"):
                client.ping()


def test_a_platform_without_a_server_is_told_to_bring_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(EmbeddedError, match=r"no embedded server for this platform.*store\.url"):
        EmbeddedServer(tmp_path).open()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("1:M # Write error writing append only file on disk: No space left on device\n", "the disk is full"),
        ("1:M # Invalid AOF manifest file format\n", "damaged or incomplete"),
        ("1:M # Unable to obtain the AOF file a.incr.aof length. stat: No such file\n", "damaged or incomplete"),
        ("1:M # Bad file format reading the append only file a.1.base.rdb: make a\n", "damaged or incomplete"),
        ("./valkey-server: version `GLIBC_2.28' not found\n", "GLIBC_2.28"),
        ("", "nothing"),
    ],
)
def test_the_reason_of_a_death_is_a_sentence_that_names_the_place(said: str, sentence: str) -> None:
    told = explain(Home(Path("/data/valkey")), said, 1)
    assert sentence in told
    assert "/data/valkey" in told


def test_a_server_that_still_loads_is_waited_for() -> None:
    answers = [b"+OK\r\n-LOADING reading the file\r\n", b"-LOADING still\r\n", b"-LOADING still\r\n", b"+PONG\r\n"]

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            for reply in answers:
                connection.recv(1000)
                connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer)
        server.start()
        sock, first = dial(listener.getsockname()[1], "password", 5)
        with sock:
            assert first is Answer.LOADING
            assert not wait_while_loading(sock, until=0)
            assert wait_while_loading(sock, until=float("inf"))
        server.join()


def test_a_port_that_speaks_otherwise_is_a_stranger() -> None:
    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer)
        server.start()
        sock, first = dial(listener.getsockname()[1], "password", 5)
        sock.close()
        server.join()
        assert first is Answer.STRANGER
