"""Settings: the file and the environment in one frozen object, every mistake at its place, no secret in any of it."""

import base64
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from trunkline.config.sections import Account, ServerSettings, StoreSettings, WorkerSettings
from trunkline.config.settings import ConfigError, Settings, load
from trunkline.events.intake import NumberRules
from trunkline.events.routing import Route, When
from trunkline.profiles.profile import BatchRules, Profile, RetryRules
from trunkline.schema import Secret

SEALING_KEY = base64.b64encode(bytes(range(32))).decode()
ENV = {"BLAND_API_KEY": "planted-key", "SIP_PASSWORD": "planted-sip", "PBX_PASSWORD": "planted-pbx"}
INBOUND = '[profiles.support]\ndirections = [{ type = "inbound" }]\n'
REGISTER = """
[[profiles.pbx.directions]]
type = "inbound"
auth_mode = "register"
register_auth = { username = "bland", password = { env = "PBX_PASSWORD" } }
"""
WHOLE = (
    """
[store]
url = "redis://127.0.0.1:6379/0"
data_dir = "data"
acknowledge = "memory"
keep_attached_days = 30
broker_url = { env = "BROKER_URL" }
max_waiting = 1000

[accounts.default]
base_url = "https://us.api.bland.ai/v1/"
key = { env = "BLAND_API_KEY" }
auth_scheme = ""
timeout_s = 20
requests_per_second = 2.5
max_concurrency = 4

[batch]
max_size = 50
[retry]
max_attempts = 5
verify = "always"
[worker]
processes = 2
threads = 4
lease_s = 30.0
grace_s = 20
[numbers]
region = "GB"
check = "valid"

[sources.telnyx]
type = "telnyx"
public_keys = [{ env = "TELNYX_PUBLIC_KEY" }]
profile = "support"

[[routes]]
when = { source = "hubspot", country = "GB" }
profile = "pbx"

[server]
public_url = "https://hooks.example.com/"
token = { file = "token" }
max_body_bytes = 2048

"""
    + INBOUND
    + REGISTER
)

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str) -> Path:
        path = tmp_path / "trunkline.toml"
        path.write_text(text, "utf-8")
        return path

    return to_file


def mistakes(path: Path | None, env: Mapping[str, str] = ENV) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(path, env)
    assert "planted" not in str(caught.value) + repr(caught.value)
    return {mistake.place: mistake.message for mistake in caught.value.mistakes}


def test_a_whole_file_is_read_field_by_field(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("planted-token\n")
    env = {**ENV, "BROKER_URL": "redis://:planted-broker@10.0.0.1/1", "TRUNKLINE_SECRET_KEY": SEALING_KEY}

    settings = load(write(WHOLE), env)

    assert settings.store == StoreSettings(
        url=SecretStr("redis://127.0.0.1:6379/0"),
        data_dir=tmp_path / "data",
        acknowledge="memory",
        keep_attached_days=30,
        broker_url=SecretStr("redis://:planted-broker@10.0.0.1/1"),
        max_waiting=1000,
    )
    account = settings.accounts["default"]
    assert account.base_url == "https://us.api.bland.ai"
    assert account.key is not None
    assert account.key.ref == "env:BLAND_API_KEY"
    assert account.key.value.get_secret_value() == "planted-key"
    assert (account.auth_scheme, account.timeout_s, account.requests_per_second, account.max_concurrency) == (
        "", 20.0, 2.5, 4,
    )  # fmt: skip
    assert settings.worker == WorkerSettings(processes=2, threads=4, lease_s=30.0, grace_s=20.0)
    assert settings.numbers == NumberRules(region="GB", check="valid")
    assert list(settings.profiles) == ["support", "pbx"]
    assert settings.profiles["support"].batch == BatchRules(max_size=50)
    assert settings.profiles["support"].retry == RetryRules(max_attempts=5, verify="always")
    assert settings.routes == (Route(when=When(source="hubspot", country="GB"), profile="pbx"),)
    assert settings.sources["telnyx"]["public_keys"] == [Secret("env:TELNYX_PUBLIC_KEY", SecretStr(""))]
    assert settings.server.public_url == "https://hooks.example.com"
    assert settings.server.max_body_bytes == 2048
    assert settings.secret_key == SecretStr(SEALING_KEY)
    assert settings.path == tmp_path / "trunkline.toml"
    assert settings.warnings == ()


def test_without_a_file_there_are_defaults_and_no_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = load(None, {})

    assert settings.store.url is None
    assert settings.store.data_dir == tmp_path / ".trunkline"
    assert settings.profiles == {}
    assert settings.accounts == {}
    assert settings.worker == WorkerSettings(processes=1, threads=8, lease_s=60.0, grace_s=45.0)
    assert settings.path is None


def test_the_file_is_the_one_given_else_that_of_the_environment_else_the_one_here(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, named, given_path = write(INBOUND), tmp_path / "named.toml", tmp_path / "given.toml"
    named.write_text(INBOUND)
    given_path.write_text(INBOUND)
    monkeypatch.chdir(tmp_path)
    env = {**ENV, "TRUNKLINE_CONFIG": str(named)}

    assert load(given_path, env).path == given_path
    assert load(None, env).path == named
    assert load(None, ENV).path == Path(here.name)


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    absent = tmp_path / "absent.toml"

    assert mistakes(absent) == {str(absent): "can't be read: No such file or directory"}
    assert list(mistakes(None, {"TRUNKLINE_CONFIG": str(absent)})) == [str(absent)]


def test_what_is_not_toml_is_told_of_with_line_and_column(write: Write) -> None:
    path = write('[store]\nurl = "planted\n')

    assert "line 2, column" in mistakes(path)[str(path)]


def test_what_is_not_text_is_told_of(write: Write) -> None:
    path = write("")
    path.write_bytes(b"\xff\xfe")

    assert mistakes(path) == {str(path): "is not a text file in UTF-8"}


def test_the_environment_wins(write: Write, tmp_path: Path) -> None:
    env = {
        **ENV,
        "TRUNKLINE_REDIS_URL": "redis://:planted-redis@10.0.0.1:6379/2",
        "TRUNKLINE_DATA_DIR": str(tmp_path / "elsewhere"),
        "TRUNKLINE_API_BASE_URL": "http://127.0.0.1:8089",
    }
    text = (
        '[store]\nurl = "redis://127.0.0.1/0"\ndata_dir = "x"\n[accounts.b]\nkey = { env = "SIP_PASSWORD" }\n' + INBOUND
    )

    settings = load(write(text), env)

    assert settings.store.url == SecretStr("redis://:planted-redis@10.0.0.1:6379/2")
    assert settings.store.data_dir == tmp_path / "elsewhere"
    assert {account.base_url for account in settings.accounts.values()} == {"http://127.0.0.1:8089"}
    assert settings.warnings == ()


def test_an_empty_variable_is_as_good_as_none(write: Write) -> None:
    empty = dict.fromkeys(["TRUNKLINE_REDIS_URL", "TRUNKLINE_DATA_DIR", "TRUNKLINE_API_BASE_URL"], "")

    assert load(write(INBOUND), {**ENV, **empty}).store.url is None


def test_a_default_account_is_there_for_whoever_uses_it(write: Write) -> None:
    settings = load(write(INBOUND), ENV)

    account = settings.accounts["default"]
    assert account.base_url == "https://api.bland.ai"
    assert account.key is not None
    assert account.key.ref == "env:BLAND_API_KEY"


def test_a_file_has_all_its_mistakes_listed_at_once(write: Write) -> None:
    found = mistakes(
        write(
            """
            server = "planted"
            [store]
            url = "redis://:planted@127.0.0.1/0"
            acknowledg = "fsync"
            [accounts.default]
            key = "planted"
            timeout_s = 50
            [accounts.other]
            base_url = "https://user:planted@api.example"
            [batch]
            max_size = 0
            [workr]
            [numbers]
            region = "UK"
            [profiles.support]
            account = "othr"
            directions = [{ type = "outbound" }]
            [sources.telnyx]
            profile = "suport"
            [[routes]]
            when = { county = "GB" }
            profile = "uk"
            """
        ),
        {"TRUNKLINE_REDIS_URL": "planted", "TRUNKLINE_SECRET_KEY": "planted"},
    )

    assert set(found) == {
        "workr",
        "server",
        "TRUNKLINE_REDIS_URL",
        "store.url",
        "store.acknowledg",
        "accounts.default.key",
        "accounts.default.timeout_s",
        "accounts.other.key",
        "accounts.other.base_url",
        "batch.max_size",
        "numbers.region",
        "profiles.support.account",
        "profiles.support.directions[0].sip_endpoint",
        "sources.telnyx.profile",
        "routes[0].when.county",
        "routes[0].profile",
        "TRUNKLINE_SECRET_KEY",
    }
    assert 'did you mean "worker"?' in found["workr"]
    assert 'did you mean "other"?' in found["profiles.support.account"]
    assert 'did you mean "support"?' in found["sources.telnyx.profile"]
    assert "GB" in found["numbers.region"]


def test_a_time_out_must_end_well_within_the_lease(write: Write) -> None:
    lease = "[worker]\nlease_s = 40\n"

    message = mistakes(write(lease + INBOUND))["accounts.default.timeout_s"]
    assert "is 30 and must be less than 30, three quarters of worker.lease_s (40)" in message
    assert load(write(lease + INBOUND + "[accounts.default]\ntimeout_s = 29\n"), ENV).worker.lease_s == 40.0


def test_a_route_to_nowhere_is_a_mistake(write: Write) -> None:
    text = INBOUND + '[[routes]]\nprofile = "support"\n[[routes]]\nprofile = "uk"\n'

    assert list(mistakes(write(text))) == ["routes[1].profile"]


def test_what_a_route_asks_and_can_not_is_a_mistake_at_its_place(write: Write) -> None:
    asked = '{ type = "moble", prefix = ["+1", "1"], metadata = { a = 1 } }'
    text = f'{INBOUND}[[routes]]\nprofile = "support"\nwhen = {asked}\n'
    found = mistakes(write(text))
    assert set(found) == {"routes[0].when.type", "routes[0].when.prefix[1]", "routes[0].when.metadata.a"}
    assert 'did you mean "mobile"?' in found["routes[0].when.type"]


def test_a_sources_region_is_one_that_phonenumbers_knows(write: Write) -> None:
    text = '[sources.a]\nregion = "GB"\n[sources.b]\nregion = "UK"\n[sources.c]\nregion = ""\n[sources.d]\nregion = 1\n'
    found = mistakes(write(text))
    assert set(found) == {"sources.b.region", "sources.d.region"}
    assert "the United Kingdom is GB" in found["sources.b.region"]


@pytest.mark.parametrize("text", ["routes = 1", "sources = 1", "[sources]\na = 1", "accounts = 1", "profiles = []"])
def test_a_section_of_the_wrong_kind_is_a_mistake(write: Write, text: str) -> None:
    assert any("must be a" in message for message in mistakes(write(text)).values())


def test_there_is_room_to_keep_the_largest_body(write: Write) -> None:
    found = mistakes(write("[server]\nmax_body_bytes = 70000\nmax_kept_bytes = 69999\n"))
    assert found == {"server.max_kept_bytes": "is 69999 and must be at least max_body_bytes, which is 70000"}


def test_a_key_in_clear_over_the_network_is_a_warning(write: Write) -> None:
    settings = load(write('[accounts.default]\nbase_url = "http://api.example"\n'), ENV)

    assert [warning.place for warning in settings.warnings] == ["accounts.default.base_url"]


# Secrets.


def test_an_account_that_can_take_every_thread_is_a_warning_where_there_are_others(write: Write) -> None:
    crowding = "[accounts.default]\nmax_concurrency = 8\n"
    assert load(write(crowding + INBOUND), ENV).warnings == ()
    other = '[accounts.other]\nkey = { env = "BLAND_API_KEY" }\n'
    settings = load(write(crowding + other + INBOUND), ENV)
    assert [warning.place for warning in settings.warnings] == ["accounts.default.max_concurrency"]


def test_a_profile_that_registers_needs_a_key_to_seal_with(write: Write) -> None:
    path = write(REGISTER)

    assert 'profile "pbx" registers' in mistakes(path)["TRUNKLINE_SECRET_KEY"]
    assert "32 bytes" in mistakes(path, {**ENV, "TRUNKLINE_SECRET_KEY": "cGxhbnRlZA=="})["TRUNKLINE_SECRET_KEY"]
    assert load(path, {**ENV, "TRUNKLINE_SECRET_KEY": SEALING_KEY}).profiles["pbx"].registers


def test_where_secrets_are_optional_a_missing_one_is_a_warning(write: Write) -> None:
    settings = load(write(INBOUND + REGISTER), {}, secrets="optional")

    assert sorted(settings.profiles) == ["pbx", "support"]
    assert {warning.place for warning in settings.warnings} == {"secrets", "TRUNKLINE_SECRET_KEY"}
    assert any("BLAND_API_KEY" in warning.message for warning in settings.warnings)
    assert settings.secret_values() == frozenset()


def secret_fields(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The places in a model that may hold a secret."""
    for name, each in model.model_fields.items():
        text = repr(each.annotation)
        if "Secret" in text:
            yield f"{path}.{name}"
        for inner in [each.annotation, *get_args(each.annotation)]:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from secret_fields(inner, f"{path}.{name}")


def test_a_new_place_for_a_secret_is_noticed() -> None:
    """What holds a URL is looked at by name in Settings.secret_values; a Secret is found wherever it is."""
    models = (StoreSettings, Account, WorkerSettings, ServerSettings, NumberRules, Profile)
    assert {place for model in models for place in secret_fields(model, model.__name__)} == {
        "Account.key",
        "Profile.directions.options.sip_password",
        "Profile.directions.register_auth.password",
        "ServerSettings.token",
        "StoreSettings.broker_url",
        "StoreSettings.url",
    }


def test_every_secret_is_known_to_the_scrubber_and_none_is_shown(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("planted-token")
    env = {
        **ENV,
        "TRUNKLINE_REDIS_URL": "redis://:planted%2Fredis@10.0.0.1/0",
        "BROKER_URL": "redis://u:planted-broker@10.0.0.1/1",
        "TRUNKLINE_SECRET_KEY": SEALING_KEY,
    }
    outbound = """
        [[profiles.support.directions]]
        type = "outbound"
        sip_endpoint = "sip:h.example"
        options = { sip_password = { env = "SIP_PASSWORD" } }
        """
    text = WHOLE.replace(INBOUND, "") + outbound

    settings = load(write(text), env)

    assert settings.secret_values() == {
        "planted-key",
        "planted-sip",
        "planted-pbx",
        "planted-token",
        "planted%2Fredis",
        "planted/redis",
        "planted-broker",
        env["TRUNKLINE_REDIS_URL"],
        env["BROKER_URL"],
        SEALING_KEY,
    }
    shown = repr(settings) + str(settings)
    assert not [value for value in settings.secret_values() if value in shown]
    assert "env:BLAND_API_KEY" in shown


def test_settings_can_be_made_without_a_file() -> None:
    assert Settings().store.acknowledge == "fsync"


TOML_VALUE = st.recursive(
    st.booleans() | st.integers(-9, 999) | st.floats() | st.text(max_size=5) | st.just("planted"),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["default", "p", "key", "env", "directions", "type", "profile"]), inner)
    ),
    max_leaves=6,
)
SECTION = st.sampled_from(
    ["store", "accounts", "batch", "retry", "worker", "numbers", "profiles", "sources", "routes", "server", "x"]
)


def as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
    return str(value)


@given(st.dictionaries(SECTION, TOML_VALUE, max_size=4))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_gives_settings_or_mistakes(write: Write, raw: dict[str, object]) -> None:
    path = write("\n".join(f"{key} = {as_toml(value)}" for key, value in raw.items()))

    try:
        load(path, ENV)
    except ConfigError as error:
        found = error.mistakes
    else:
        found = ()
    assert all(mistake.place and mistake.message for mistake in found)
