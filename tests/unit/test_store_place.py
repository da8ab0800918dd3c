"""The store is named without its login, also where a URL was written wrongly."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from trunkline.config.sections import StoreSettings
from trunkline.config.settings import Settings
from trunkline.config.store_place import near, place_of, without_login


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://ann:hush@host.example:6380/3", "rediss://host.example:6380/3"),
        ("redis://:hush@[::1]:6379", "redis://[::1]:6379"),
        ("redis://host?db=2&password=hush&username=ann", "redis://host?db=2"),
        ("unix://:hush@/run/redis.sock?db=1&password=hush", "unix:///run/redis.sock?db=1"),
        ("redis://ann:hu/sh@host/0", "redis://…"),
        ("redis://ann:6#hush@host/0", "redis://…"),
        ("redis://ann:6?hush@host/0", "redis://…"),
        ("unix:///run/redis.sock@hush", "unix://…"),
    ],
)
def test_a_url_is_told_without_its_login(url: str, told: str) -> None:
    assert without_login(url) == told


@given(
    st.text(st.characters(codec="ascii", exclude_characters="\t\r\n"), min_size=1).map(lambda text: f"hush{text}hush")
)
def test_no_password_shows_however_it_is_quoted(password: str) -> None:
    try:
        told = without_login(f"redis://ann:{password}@host:6379/0")
    except ValueError:
        return  # no URL at all: the settings refuse it
    assert "hush" not in told


def test_the_three_kinds_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    embedded = Settings(store=StoreSettings(data_dir=tmp_path / ".trunkline"))
    assert str(place_of(embedded)) == "embedded in .trunkline"
    assert place_of(embedded).at == str(tmp_path / ".trunkline")
    sandbox = replace(embedded, stand_in="", store=StoreSettings(data_dir=tmp_path / ".trunkline/sandbox"))
    assert str(place_of(sandbox)) == "the sandbox's, in .trunkline/sandbox"
    server = Settings(store=StoreSettings(url=SecretStr("redis://:hush@host:6379/0")))
    assert str(place_of(server)) == "server at redis://host:6379/0"
    assert near(Path("/elsewhere")) == "/elsewhere"
