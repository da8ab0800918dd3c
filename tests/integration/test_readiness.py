"""`/readyz` and `check --online` say yes where an event would be stored now, and nowhere else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from acceptance.worker_harness import Commands, environment, until
from support.receivers import Site, receiving, settings_with
from support.servers import HOST, require_redis, running
from support.store_troubles import TROUBLES
from trunkline.store import Store

CRM = {"crm": {"type": "native", "profile": "support", "verify": {"scheme": "none"}}}
EVENT = '{"event_id": "evt_1", "number": "+14155550100"}'


def ready(site: Site) -> int:
    return site.client.get("/readyz").status_code


@pytest.mark.parametrize("kind", ["valkey", "redis"])
@pytest.mark.parametrize("code", ["OOM", "READONLY", "MISCONF", "NOREPLICAS"])
def test_a_receiver_is_ready_only_while_an_event_would_be_stored(kind: str, code: str, tmp_path: Path) -> None:
    if kind == "redis":
        require_redis()
    data = tmp_path / "data"
    data.mkdir()
    with running(kind, data) as server, server.client() as client, receiving(Store(client), settings_with(CRM)) as site:
        assert (ready(site), site.post("crm", EVENT).status_code) == (200, 200)
        TROUBLES[code][0](client, server, data)
        until(lambda: ready(site) == 503, "a receiver that is not ready")
        assert site.client.get("/readyz").json()["detail"] == "The store takes no write now."
        assert site.post("crm", EVENT.replace("evt_1", "evt_2")).status_code == 503
        server.process.kill()


def test_a_receiver_is_ready_again_when_the_store_is(tmp_path: Path) -> None:
    with (
        running("valkey", tmp_path) as server,
        server.client() as client,
        receiving(Store(client), settings_with(CRM)) as site,
    ):
        client.config_set("maxmemory", "1")
        until(lambda: ready(site) == 503, "a receiver that is not ready")
        client.config_set("maxmemory", "0")
        until(lambda: ready(site) == 200, "a receiver that is ready again")


def test_asking_again_and_again_costs_the_store_a_write_a_second(tmp_path: Path) -> None:
    def written(client: redis.Redis) -> int:
        return int(client.info("commandstats").get("cmdstat_set", {"calls": 0})["calls"])

    with (
        running("valkey", tmp_path) as server,
        server.client() as client,
        receiving(Store(client), settings_with(CRM)) as site,
        ThreadPoolExecutor(8) as threads,
    ):
        before = written(client)
        answers = list(threads.map(lambda _: ready(site), range(200)))
        assert set(answers) == {200}
        assert written(client) - before <= 4


def test_what_is_written_goes_by_itself(tmp_path: Path) -> None:
    with (
        running("valkey", tmp_path) as server,
        server.client() as client,
        receiving(Store(client), settings_with(CRM)) as site,
    ):
        assert ready(site) == 200
        assert 0 < client.pttl("{tl}:ready") <= 60_000


def test_the_address_is_not_told(tmp_path: Path) -> None:
    with (
        running("valkey", tmp_path) as server,
        server.client() as client,
        receiving(Store(client), settings_with(CRM)) as site,
    ):
        server.process.kill()
        until(lambda: ready(site) == 503, "a receiver that is not ready")
        assert HOST not in site.client.get("/readyz").text


@pytest.mark.parametrize("code", ["OOM", "READONLY", "MISCONF"])
def test_check_online_fails_where_no_write_is_taken(code: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    break_it, sentence = TROUBLES[code]
    with running("valkey", data, appendonly="yes", appendfsync="always") as server, server.client() as client:
        config = tmp_path / "trunkline.toml"
        config.write_text(f'[store]\nurl = "{server.url}"\n[accounts]\n', "utf-8")
        with Commands(tmp_path, environment()) as trunkline:
            assert "takes writes" in trunkline("check", "--online", "--config", str(config)).out
            break_it(client, server, data)
            ran = trunkline("check", "--online", "--config", str(config))
            server.process.kill()
            assert (ran.code, sentence in ran.err) == (1, True), ran


@pytest.mark.parametrize(("fsync", "warns"), [("everysec", True), ("always", False)])
def test_check_online_warns_of_a_server_that_may_say_too_early_that_a_write_is_on_disk(
    fsync: str, warns: bool, tmp_path: Path
) -> None:
    with running("valkey", tmp_path, appendonly="yes", appendfsync=fsync) as server:
        config = tmp_path / "trunkline.toml"
        config.write_text(f'[store]\nurl = "{server.url}"\n[accounts]\n', "utf-8")
        with Commands(tmp_path, environment()) as trunkline:
            ran = trunkline("check", "--online", "--config", str(config))
        assert (ran.code, "set appendfsync always" in ran.err) == (0, warns), ran
