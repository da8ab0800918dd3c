"""The table `[sources.NAME.api]`: what it takes, and every mistake at its place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from trunkline.schema import Secret
from trunkline_producers.carriers import ApiTable, read_api

KEY = Secret("env:K", SecretStr("k3y"))


def read(kind: str, **api: object) -> ApiTable:
    table, mistakes = read_api({"type": kind, "api": {"key": KEY, **api}}, "sources.x")
    assert mistakes == []
    assert table is not None
    return table


def mistakes(source: Mapping[str, object]) -> list[str]:
    table, found = read_api(source, "sources.x")
    assert table is None
    return [str(each) for each in found]


def test_each_carrier_has_its_own_address_and_page() -> None:
    assert (read("telnyx").url, read("telnyx").page_size) == ("https://api.telnyx.com/v2", 250)
    assert (read("twilio", account="AC1").url, read("twilio", account="AC1").page_size) == (
        "https://api.twilio.com",
        1000,
    )
    assert read("bandwidth", account="12", user="id").url == "https://api.bandwidth.com/api"
    assert read("bandwidth-v2", account="12", user="id").url == "https://api.bandwidth.com/api"
    assert read("didww").url == "https://api.didww.com/v3"


def test_a_reference_is_resolved_where_the_secret_is_not_there_yet() -> None:
    asked: list[Mapping[str, str]] = []

    def resolve(reference: Mapping[str, str]) -> Secret:
        asked.append(reference)
        return KEY

    table, found = read_api({"type": "telnyx", "api": {"key": {"env": "K"}}}, "sources.x", resolve=resolve)
    assert (asked, found) == ([{"env": "K"}], [])
    assert table is not None
    assert table.key is KEY


def test_a_source_without_the_table_has_no_api_and_no_mistake() -> None:
    assert read_api({"type": "telnyx"}, "sources.x") == (None, [])


def test_no_secret_shows() -> None:
    assert "k3y" not in repr(read("telnyx"))


def test_every_mistake_is_told_at_once_and_at_its_place() -> None:
    found = mistakes({"type": "bandwidth", "api": {"url": "http://api.bandwidth.com", "page_size": 0, "kye": 1}})
    assert [each.partition(":")[0] for each in sorted(found)] == [
        f"sources.x.api.{name}" for name in ("account", "key", "kye", "page_size", "url", "user")
    ]
    assert 'did you mean "key"?' in "".join(found)


def test_a_key_written_in_the_file_is_refused_and_not_repeated() -> None:
    (found,) = mistakes({"type": "telnyx", "api": {"key": "KEY123"}})
    assert "never written in the file" in found
    assert "KEY123" not in found


def test_a_secret_that_is_not_to_be_had_is_named() -> None:
    assert mistakes({"type": "telnyx", "api": {"key": Secret("env:TELNYX_API_KEY", SecretStr(""))}}) == [
        "sources.x.api.key: is empty (env:TELNYX_API_KEY); set it"
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://api.telnyx.com",
        "ftp://x",
        "https://u:p@x",
        "https://x/?a=1",
        "https://x#a",
        "https://",
        "x y",
        "",
        "http://127.evil.example",
    ],
)
def test_a_key_goes_over_https_to_an_address_that_holds_nothing_else(url: str) -> None:
    assert len(mistakes({"type": "telnyx", "api": {"key": KEY, "url": url}})) == 1


def test_http_is_good_enough_on_this_machine() -> None:
    assert read("telnyx", url="http://127.0.0.1:8080/v2/").url == "http://127.0.0.1:8080/v2"


def test_an_account_can_not_change_the_path() -> None:
    assert len(mistakes({"type": "twilio", "api": {"key": KEY, "account": "../../x"}})) == 1


def test_only_carriers_have_an_api() -> None:
    assert "telnyx, twilio, bandwidth, bandwidth-v2, didww" in mistakes({"type": "generic", "api": {}})[0]
    assert mistakes({"type": "telnyx", "api": 5}) == ["sources.x.api: must be a table"]


def test_a_page_larger_than_the_carrier_gives_is_a_mistake() -> None:
    assert mistakes({"type": "telnyx", "api": {"key": KEY, "page_size": 251}}) == [
        "sources.x.api.page_size: must be at most 250"
    ]


def test_what_the_documentation_shows_is_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reconcile.md").read_text("utf-8")
    shown = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)]
    sources = {name: source for each in shown for name, source in each["sources"].items()}
    assert set(sources) == {"telnyx", "twilio", "bandwidth"}
    for name, source in sources.items():
        table, found = read_api(source, f"sources.{name}", resolve=lambda _: KEY)
        assert (table is not None, found) == (True, [])
