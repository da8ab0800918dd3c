"""A server that answers and will not: what passes by itself is waited for, what a person has to mend is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from support.servers import HOST, Server, require_redis, running
from support.store_steps import number, publish, push
from support.store_troubles import TROUBLES
from trunkline.store import Store, StoreError, StoreUnavailable, StoreUnfit, connect
from trunkline.store.connection import translated


@contextmanager
def of_its_own(kind: str, directory: Path, **config: str) -> Iterator[tuple[Server, redis.Redis]]:
    if kind == "redis":
        require_redis()
    directory.mkdir()
    with running(kind, directory, **config) as server, server.client() as client:
        yield server, client


@pytest.mark.parametrize("kind", ["valkey", "redis"])
@pytest.mark.parametrize("code", TROUBLES)
def test_what_passes_is_unavailable_with_a_sentence(kind: str, code: str, tmp_path: Path) -> None:
    break_it, sentence = TROUBLES[code]
    with of_its_own(kind, tmp_path / "data") as (server, client):
        store = Store(client)
        publish(store)
        push(store, number(1))
        break_it(client, server, tmp_path / "data")
        with pytest.raises(StoreUnavailable, match=sentence):
            push(store, number(2))
        if code == "BUSY":
            client.script_kill()
        server.process.kill()  # one that can't save does not end by itself


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_cluster_that_is_down_is_unavailable(kind: str, tmp_path: Path) -> None:
    with (
        of_its_own(kind, tmp_path / "data", cluster_enabled="yes") as (_, client),
        pytest.raises(StoreUnavailable, match="cluster is down"),
    ):
        push(Store(client), number(1))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "ERR Error running script (call to f_0c): @user_script:7: @user_script: 7: -OOM command not allowed",
            "out of mem",
        ),
        ("ERR Error running script (call to f_0c): @user_script:7: -MISCONF Redis is configured to save", "disk"),
        ("ERR Error running script (call to f_0c): @user_script:7: -READONLY You can't write against", "read-only"),
        ("ERR Error running script (call to f_0c): @user_script:7: -NOREPLICAS Not enough good replicas", "min-repl"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "disk"),
        ("UNKILLABLE Sorry the script already executed write commands", "has written"),
        (
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
            "became a replica",
        ),
        ("LOADING Redis is loading the dataset in memory", "reading its data"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "moving"),
        ("CLUSTERDOWN Hash slot not served", "cluster is down"),
        ("MASTERDOWN Link with MASTER is down", "lost its primary"),
    ],
)
def test_the_code_is_found_however_the_server_tells_it(text: str, sentence: str) -> None:
    with pytest.raises(StoreUnavailable, match=sentence), translated():
        raise parsed(text)


def parsed(text: str) -> Exception:
    """What the library makes of an error that a server tells."""
    from redis._parsers.base import BaseParser

    error: Exception = BaseParser.parse_error(text)
    return error


@pytest.mark.parametrize(
    "text", ["ERR user_script:9: attempt to index nil", "ERR unknown command 'WAITAOF'", "WRONGTYPE -OOMPH"]
)
def test_what_does_not_pass_is_an_error(text: str) -> None:
    with pytest.raises(StoreError) as caught, translated():
        raise parsed(text)
    assert type(caught.value) is StoreError


@pytest.mark.parametrize("kind", ["valkey", "redis"])
@pytest.mark.parametrize(
    ("right", "sentence"), [("-zadd", "lacks a right"), ("-evalsha", "evalsha"), ("resetkeys ~other:*", "key")]
)
def test_a_right_that_is_missing_is_said_to_be_one(kind: str, right: str, sentence: str, tmp_path: Path) -> None:
    with of_its_own(kind, tmp_path / "data") as (server, client):
        publish(Store(client))
        client.execute_command("ACL", "SETUSER", "t", "on", "nopass", "~*", "&*", "+@all", *right.split())
        with connect(f"redis://t:x@{HOST}:{server.port}/0") as user, pytest.raises(StoreUnfit, match=sentence):
            push(Store(user), number(2))
