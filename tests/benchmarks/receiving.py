"""How many signed deliveries a second one core takes in, and how long they wait for their answer, beside what is usual.

    python tests/benchmarks/receiving.py [--seconds 5] [--connections 128] [--rounds 2]

Each receiver runs on a core of its own, the store and the senders on another. Everything is local and real: the
command `trunkline serve`, Valkey, HTTP. celery is compared with where it is installed. It prints, and asserts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.servers import running

KEY = "benchmark-key"
HERE = Path(__file__).parent
CONFIGURATION = """
[store]
url = "{url}"
acknowledge = "{acknowledge}"

[profiles.support]
[[profiles.support.directions]]
type = "inbound"

[sources.acme]
keys = [{{ env = "PEER_KEY" }}]
number = "data.phone"
event_id = "id"
metadata = {{ customer = "data.customer" }}
profile = "support"

[sources.acme.verify]
scheme = "hmac"
digest = "sha256"
header = "X-Signature"
encoding = "hex"
signed = ["{{timestamp}}", ".", "{{body}}"]
timestamp = {{ header = "X-Timestamp", unit = "s" }}
"""
FSYNC = {"appendonly": "yes", "appendfsync": "always"}
NO_FSYNC = {"appendonly": "yes", "appendfsync": "no"}
_ids = count()


@dataclass
class Measured:
    """One receiver's figures: answers a second, and how long answers take (ms) at half of that."""

    per_second: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def delivery() -> bytes:
    """One signed request, its event unlike any before."""
    serial = next(_ids)
    stamp = str(int(time.time()))
    data = {"phone": f"+1415{2000000 + serial % 7000000}", "customer": "42"}
    body = json.dumps({"id": f"evt-{os.getpid()}-{serial}", "data": data}).encode()
    signature = hmac.new(KEY.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    head = (
        "POST /hooks/acme HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Timestamp: {stamp}\r\nX-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Sender(asyncio.Protocol):
    """One connection: sends a delivery, waits for its answer."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[None] | None = None
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length or self.answered is None:
            return
        if not head.startswith(b"HTTP/1.1 20"):
            raise SystemExit(f"a delivery was refused: {self.received!r}")
        self.received = b""
        if not self.answered.done():
            self.answered.set_result(None)

    async def send(self, request: bytes) -> None:
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)  # type: ignore[attr-defined]
        await self.answered


async def connected(port: int, connections: int) -> list[Sender]:
    """Connections that are open."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Sender, "127.0.0.1", port))[1] for _ in range(connections)]


async def throughput(port: int, connections: int, seconds: float) -> float:
    """Answers a second while every connection always has one delivery under way."""
    requests = [delivery() for _ in range(int(20_000 * seconds / 2))]
    senders = await connected(port, connections)
    waiting = iter(requests)
    done = 0
    end = time.perf_counter() + seconds

    async def keep_on(sender: Sender) -> None:
        nonlocal done
        while time.perf_counter() < end and (request := next(waiting, None)):
            await sender.send(request)
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*map(keep_on, senders))
    return done / (time.perf_counter() - began)


async def waiting_times(port: int, rate: float, seconds: float) -> list[float]:
    """Seconds from when a delivery was due to its answer, at a steady rate; sorted."""
    requests = [delivery() for _ in range(int(rate * seconds))]
    free = asyncio.Queue[Sender]()
    for sender in await connected(port, 256):
        free.put_nowait(sender)
    took: list[float] = []
    began = time.perf_counter() + 0.05

    async def one(due: float, request: bytes) -> None:
        sender = await free.get()
        await sender.send(request)
        took.append(time.perf_counter() - due)
        free.put_nowait(sender)

    async with asyncio.TaskGroup() as group:
        for index, request in enumerate(requests):
            due = began + index / rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            group.create_task(one(due, request))
    return sorted(took)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def receiver(name: str, redis_url: str, acknowledge: str, folder: Path) -> Iterator[int]:
    """One receiver as a process of its own; gives its port."""
    port = free_port()
    env = os.environ | {"PEER_KEY": KEY, "PEER_REDIS_URL": redis_url.replace("/0", "/2")}
    if name == "trunkline":
        config = folder / f"{acknowledge}.toml"
        config.write_text(CONFIGURATION.format(url=redis_url, acknowledge=acknowledge))
        command = [sys.executable, "-m", "trunkline", "serve", "--port", str(port), "--config", str(config)]
    else:
        peer = f"peers:{name}_app"
        command = [sys.executable, "-m", "uvicorn", "--factory", peer, "--port", str(port), "--no-access-log"]
        command += ["--log-level", "warning", "--app-dir", str(HERE)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        pin(process.pid, 0)
        wait_for(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens there."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        time.sleep(0.1)
    raise SystemExit(f"nobody listens on {port}")


def pin(pid: int, core: int) -> None:
    """Keeps a process on a core, where the system can."""
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) >= 1 and (os.cpu_count() or 1) > core:
        os.sched_setaffinity(pid, {core})


def measure(
    names: list[str], settings: dict[str, str], acknowledge: str, args: argparse.Namespace
) -> dict[str, Measured]:
    """Every receiver in turn, round after round, each round on an empty store."""
    found = {name: Measured() for name in names}
    for _ in range(args.rounds):
        for name in names:
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                server = stack.enter_context(running("valkey", folder, **settings))
                pin(server.process.pid, 1)
                port = stack.enter_context(receiver(name, server.url, acknowledge, folder))
                uvloop.run(throughput(port, args.connections, 1.0))  # warm
                rate = uvloop.run(throughput(port, args.connections, args.seconds))
                times = uvloop.run(waiting_times(port, rate / 2, args.seconds))
                found[name].per_second.append(rate)
                found[name].p50.append(times[len(times) // 2] * 1000)
                found[name].p99.append(times[int(len(times) * 0.99)] * 1000)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=["trunkline", "dramatiq", "celery"])
    args = parser.parse_args()
    names = ["trunkline", "dramatiq", *(["celery"] if importlib.util.find_spec("celery") else [])]
    names = [args.only] if args.only else names
    pin(0, 1)
    for title, settings, acknowledge in (("fsync off", NO_FSYNC, "memory"), ("fsync on", FSYNC, "fsync")):
        found = measure(names, settings, acknowledge, args)
        print(f"\n{title} (the store with appendfsync {settings['appendfsync']})")
        for name, figures in found.items():
            print(
                f"  {name:<10} {median(figures.per_second):8,.0f} deliveries/s"
                f"   at half of that: p50 {median(figures.p50):6.1f} ms, p99 {median(figures.p99):6.1f} ms"
            )
        others = [median(figures.per_second) for name, figures in found.items() if name != "trunkline"]
        if others and "trunkline" in found:
            ratio = median(found["trunkline"].per_second) / max(others)
            print(f"  trunkline takes {ratio:.2f} times the better of them")


if __name__ == "__main__":
    main()
