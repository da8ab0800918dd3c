"""What the receiver answered with a 2xx is in the books and gets attached, whoever is killed at whatever time.

What a power cut leaves is another matter: "on disk" is what `appendfsync always` and WAITAOF promise, as far as the
disk keeps its own promise; `kill -9` shows that nothing waits in a process's memory when the answer goes out.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

from acceptance.posting import Posting
from acceptance.running import TRUNKLINE, Running, kill
from acceptance.site import site_embedded
from acceptance.worker_harness import environment, until

WHERE = re.compile(r"receiving at (http://[\d.]+:\d+)")


def address(process: Running) -> str:
    """Where it says that it receives."""

    def said() -> re.Match[str] | None:
        return next(filter(None, map(WHERE.search, list(process.lines))), None)

    return until(said, lambda: f"{process} listens")[1]


def test_what_was_answered_2xx_is_in_the_books_whoever_is_killed(tmp_path: Path) -> None:
    with site_embedded(tmp_path) as site:
        up = site.start(*TRUNKLINE, "up", "--port", "0")
        url = address(up)
        site.open_store()
        with Posting(site, url) as posting:
            for _ in range(2):
                posting.has_taken(30)
                kill(up.children()[0])  # the receiver is the first that is started
                posting.has_taken(30)
                kill(site.server())
            posting.has_taken(30)
        assert posting.refused, "nobody noticed that anything was killed"
        print(f"{len(posting.taken)} taken; {dict(posting.refused)}")
        site.ends()
        up.signal(signal.SIGINT)
        assert up.exit_code() == 0
        assert up.was_surprised() == []


def test_a_killed_up_leaves_nobody_who_would_take_in_what_no_worker_attaches(tmp_path: Path) -> None:
    with site_embedded(tmp_path) as site:
        up = site.start(*TRUNKLINE, "up", "--port", "0")
        address(up)
        up.says("receiver_started")
        up.says("worker_started")
        kill(up.pid)
        assert up.has_left_nobody()
        again = site.start(*TRUNKLINE, "up", "--port", address(up).rpartition(":")[2])
        again.says("receiver_started")
        again.signal(signal.SIGINT)
        assert again.exit_code() == 0


def test_an_up_that_is_killed_before_its_processes_are_up_leaves_nobody_either(tmp_path: Path) -> None:
    with site_embedded(tmp_path) as site:
        up = site.start(*TRUNKLINE, "up", "--port", "0")
        up.says("process_started", times=2)
        kill(up.pid)
        up.exit_code()
        assert up.has_left_nobody()


def test_a_receiver_that_is_told_to_stop_as_soon_as_it_is_up_stops(tmp_path: Path) -> None:
    with site_embedded(tmp_path) as site:
        serving = site.start(*TRUNKLINE, "serve", "--port", "0")
        serving.says("receiver_started")
        serving.signal(signal.SIGTERM)
        assert serving.exit_code() == 0
        assert serving.was_surprised() == []


def test_a_demo_that_is_told_to_stop_stops_everything(tmp_path: Path) -> None:
    demo = Running((*TRUNKLINE, "demo", "--numbers", "100"), environment(TMPDIR=tmp_path))
    try:
        until(lambda: any("Telnyx" in line for line in list(demo.lines)), lambda: f"{demo} delivers")
        demo.signal(signal.SIGTERM)
        assert demo.has_left_nobody()
        assert list(tmp_path.glob("trunkline-demo-*")) == []
    finally:
        demo.close()
