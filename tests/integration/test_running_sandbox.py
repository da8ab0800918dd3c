"""A sandbox's mark counts for as long as a process holds it, and nobody who looks is in its way."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path

import pytest

from trunkline.config.running_sandbox import MARK, RunningSandbox, SandboxTaken, marked, running_sandbox

URL = "http://127.0.0.1:8089"


def test_it_is_found_while_it_is_held(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "sandbox"
    assert running_sandbox(folder) is None
    for _ in range(2):
        with marked(folder, URL):
            assert running_sandbox(folder) == RunningSandbox(URL, os.getpid())
        assert running_sandbox(folder) is None


def test_a_folder_holds_one(tmp_path: Path) -> None:
    with marked(tmp_path, URL):
        with pytest.raises(SandboxTaken, match=f"process {os.getpid()}"), marked(tmp_path, "http://127.0.0.1:1"):
            pass
        assert running_sandbox(tmp_path) == RunningSandbox(URL, os.getpid())


def test_what_a_killed_one_left_behind_is_none(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text(json.dumps({"url": URL, "pid": os.getpid()}), "ascii")
    assert running_sandbox(tmp_path) is None
    with marked(tmp_path, "http://127.0.0.1:1"):
        assert running_sandbox(tmp_path) == RunningSandbox("http://127.0.0.1:1", os.getpid())


def test_one_that_is_about_to_write_its_mark_is_waited_for(tmp_path: Path) -> None:
    with (tmp_path / MARK).open("w", encoding="ascii") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        found: list[RunningSandbox | None] = []
        looking = threading.Thread(target=lambda: found.append(running_sandbox(tmp_path)))
        looking.start()
        mark.write(json.dumps({"url": URL, "pid": 7}))
        mark.flush()
        looking.join()
    assert found == [RunningSandbox(URL, 7)]


def test_who_looks_at_the_moment_of_a_start_does_not_prevent_it(tmp_path: Path) -> None:
    (tmp_path / MARK).touch()
    with (tmp_path / MARK).open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        done = threading.Timer(0.05, lambda: fcntl.flock(looking, fcntl.LOCK_UN))
        done.start()
        with marked(tmp_path, URL):
            done.join()


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SandboxTaken, match="TRUNKLINE_DATA_DIR"), marked(tmp_path / "file" / "sandbox", URL):
        pass
