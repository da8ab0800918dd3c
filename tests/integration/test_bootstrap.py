"""Opening the store that the settings name, and the place beside it for dramatiq's hints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from support.servers import HOST, Server, running
from trunkline.bootstrap import Opened, examine_broker, open_store
from trunkline.config.sections import StoreSettings
from trunkline.config.settings import Settings
from trunkline.store import StoreUnavailable, StoreUnfit


@contextmanager
def opened(url: str, broker_url: str | None = None) -> Iterator[Opened]:
    broker = SecretStr(broker_url) if broker_url else None
    settings = Settings(store=StoreSettings(url=SecretStr(url), broker_url=broker, acknowledge="memory"))
    found = open_store(settings)
    try:
        yield found
    finally:
        found.close()


@pytest.mark.parametrize(("tail", "db"), [("", 1), ("/0", 1), ("/3", 4), ("?db=3", 4)])
def test_the_hints_are_in_the_next_database(valkey: Server, tail: str, db: int) -> None:
    with opened(f"redis://{HOST}:{valkey.port}{tail}") as found:
        assert found.broker_client.connection_pool.connection_kwargs["db"] == db
        examine_broker(found.broker_client)


def test_a_unix_socket_works(tmp_path: Path) -> None:
    with running("valkey", tmp_path, unixsocket=str(tmp_path / "s")), opened(f"unix://{tmp_path / 's'}?db=2") as found:
        assert found.store._client.ping()
        examine_broker(found.broker_client)
        assert found.broker_client.connection_pool.connection_kwargs["db"] == 3


def test_a_last_database_has_no_next_one_and_that_is_said(valkey: Server) -> None:
    with opened(f"redis://{HOST}:{valkey.port}/15") as found, pytest.raises(StoreUnfit, match=r"store\.broker_url"):
        examine_broker(found.broker_client)


def test_a_server_for_the_hints_that_is_away_is_said(valkey: Server) -> None:
    with (
        opened(f"redis://{HOST}:{valkey.port}/0", broker_url=f"redis://{HOST}:1/0") as found,
        pytest.raises(StoreUnavailable, match=r"store\.broker_url"),
    ):
        examine_broker(found.broker_client)
