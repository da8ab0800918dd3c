"""The house's own rules: importing does nothing, every module says what it is for, no file has two jobs."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import trunkline
import trunkline_producers

PACKAGES = (trunkline, trunkline_producers)
SOURCES = [path for package in PACKAGES for path in sorted(Path(str(package.__file__)).parent.rglob("*.py"))]
SCRIPTS = [path for package in PACKAGES for path in sorted(Path(str(package.__file__)).parent.rglob("*.lua"))]

# Imports everything twice: the first time to have what others do at their import behind us, the second, with our own
# modules forgotten and these alone run anew, under observation.
OBSERVE = """
import importlib, json, os, pkgutil, sys, threading

sys.dont_write_bytecode = True
PACKAGES = ["trunkline", "trunkline_producers"]
WATCHED = ("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.mkdir", "os.remove", "os.rename")
seen, watching = [], False

def saw(what):
    if watching:
        seen.append(f"{module}: {what}")

def audit(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        saw(f"writes {arguments[0]}")
    elif event.startswith(WATCHED):
        saw(event)

class Watched(type(os.environ)):
    def __getitem__(self, name):
        # pydantic asks for its own switch whenever a model is defined
        if name != "PYDANTIC_DISABLE_PLUGINS":
            saw(f"reads ${name}")
        return super().__getitem__(name)
    def __iter__(self):
        saw("reads the whole environment")
        return super().__iter__()

start = threading.Thread.start
def start_seen(thread):
    saw("starts a thread")
    start(thread)

def names():
    for name in PACKAGES:
        yield name
        for found in pkgutil.walk_packages(importlib.import_module(name).__path__, name + "."):
            if not found.name.endswith("__main__"):
                yield found.name

if PLANTED := sys.argv[1:]:
    sys.path.insert(0, PLANTED[0])
    modules = PLANTED[1:]
else:
    modules = list(names())
    for module in modules:
        importlib.import_module(module)
    for module in list(sys.modules):
        if module.split(".")[0] in PACKAGES:
            del sys.modules[module]
os.environ.__class__ = Watched
threading.Thread.start = start_seen
sys.addaudithook(audit)
watching = True
for module in modules:
    importlib.import_module(module)
watching = False
print(json.dumps({"modules": len(modules), "seen": seen}))
"""


def observe(*planted: str) -> dict[str, object]:
    told = subprocess.run(
        [sys.executable, "-c", OBSERVE, *planted],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    said: dict[str, object] = json.loads(told.stdout.splitlines()[-1])
    return said


def test_importing_any_module_opens_nothing_starts_nothing_and_asks_no_environment() -> None:
    assert observe() == {"modules": sum(path.name != "__main__.py" for path in SOURCES), "seen": []}


@pytest.mark.parametrize(
    ("line", "sight"),
    [
        ("import os; os.environ.get('HOME')", "reads $HOME"),
        ("import os; dict(os.environ)", "reads the whole environment"),
        ("import socket; socket.socket().close()", "socket.__new__"),
        ("import threading; threading.Thread(target=int).start()", "starts a thread"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("open('written', 'w').close()", "writes written"),
    ],
)
def test_an_import_that_does_something_would_be_seen(
    line: str, sight: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planted.py").write_text(line)
    seen = observe(str(tmp_path), "planted")["seen"]
    assert isinstance(seen, list)
    assert f"planted: {sight}" in seen


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-3:]))
def test_a_modules_first_line_says_what_it_is_for(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text("utf-8")), clean=False)
    assert said is not None
    assert said.splitlines()[0].strip()


@pytest.mark.parametrize("path", SOURCES + SCRIPTS, ids=lambda path: "/".join(path.parts[-3:]))
def test_no_file_is_long_enough_for_two_jobs(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-3:]))
def test_only_the_store_speaks_to_its_server(path: Path) -> None:
    outside = "trunkline/store" not in path.as_posix()
    assert not (outside and re.search(r"store\._client\b", path.read_text("utf-8")))


WRITES = re.compile(
    r"_client\.(?:set|hset|delete|rpush|lpush|zadd|sadd|incr|expire)\w*\(|pipe\.(?:set|hset|delete|zadd)\w*\("
)


def test_what_is_written_goes_through_scripts() -> None:
    writes = {path.name: WRITES.findall(path.read_text("utf-8")) for path in SOURCES if path.parent.name == "store"}
    assert {name: len(found) for name, found in writes.items() if found} == {
        "examining.py": 1,  # a byte that shows whether a write would be taken
        "migrating.py": 1,  # a mark of version 0.1
    }
