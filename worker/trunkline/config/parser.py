"""One reading of a configuration: the parsed file and the environment, section by section, every mistake kept."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_core import PydanticCustomError

from trunkline.config.secret_source import SecretSource
from trunkline.config.sections import DEFAULT_TIMEOUT_S, Account, StoreSettings, WorkerSettings
from trunkline.errors import Mistake
from trunkline.events.routing import Route, known_region
from trunkline.http.urls import api_url, on_loopback, redis_url
from trunkline.profiles.directions import part_of
from trunkline.profiles.profile import DEFAULT_ACCOUNT, BatchRules, Profile, RetryRules, parse_profiles
from trunkline.schema import Table, is_reference, mistakes_of
from trunkline.text import did_you_mean

SECTIONS: Final = (
    "store", "accounts", "batch", "retry", "worker", "numbers", "profiles", "sources", "routes", "server",
)  # fmt: skip
_DEFAULT_KEY: Final = {"env": "BLAND_API_KEY"}
_HOW_TO_MAKE_A_KEY: Final = "make one with `openssl rand -base64 32` and keep it"
_Given = TypeVar("_Given")
_AnyTable = TypeVar("_AnyTable", bound=Table)


class Reading:
    """Reads section after section; nothing is raised, `mistakes` and `warnings` say what was found on the way."""

    def __init__(self, raw: Mapping[str, object], env: Mapping[str, str], folder: Path, *, optional: bool) -> None:
        self.mistakes: list[Mistake] = [
            Mistake(key, f"is not a section{did_you_mean(key, SECTIONS)}") for key in raw if key not in SECTIONS
        ]
        self.warnings: list[Mistake] = []
        self.secrets = SecretSource(env, folder, optional=optional)
        self._raw = raw
        self._env = env
        self._folder = folder
        self._optional = optional

    def section(self, key: str, model: type[_AnyTable]) -> _AnyTable:
        """A section that is one table; its defaults where it is wrong or not there."""
        return self._read(model, self._table(key), key) or model()

    def store(self) -> StoreSettings:
        """`[store]` under its environment variables."""
        table = {"data_dir": ".trunkline", **self._table("store")}
        if url := self._from_env("TRUNKLINE_REDIS_URL", redis_url):
            table["url"] = url
        if data_dir := self._env.get("TRUNKLINE_DATA_DIR"):
            table["data_dir"] = Path(data_dir).absolute()
        return self._read(StoreSettings, table, "store") or StoreSettings()

    def profiles(self) -> dict[str, Profile]:
        """`[profiles.*]` over `[batch]` and `[retry]`."""
        batch, retry = self.section("batch", BatchRules), self.section("retry", RetryRules)
        profiles, mistakes, warnings = parse_profiles(self._table("profiles"), self.secrets, batch=batch, retry=retry)
        self.mistakes += mistakes
        self.warnings += warnings
        return profiles

    def accounts(self, worker: WorkerSettings) -> dict[str, Account]:
        """`[accounts.*]`, with `default` added where a profile uses it and nobody wrote it."""
        tables = dict(self._table("accounts"))
        for name, profile in self._table("profiles").items():
            wanted = profile.get("account", DEFAULT_ACCOUNT) if isinstance(profile, Mapping) else None
            if wanted == DEFAULT_ACCOUNT:
                tables.setdefault(DEFAULT_ACCOUNT, {})
            elif isinstance(wanted, str) and wanted not in tables:
                self._unknown("account", wanted, tables, f"profiles.{name}.account")
        read = {name: self._account(name, table, worker) for name, table in tables.items()}
        return {name: account for name, account in read.items() if account}

    def routes(self) -> tuple[Route, ...]:
        """`[[routes]]`, in their order."""
        tables = self._raw.get("routes", [])
        if not isinstance(tables, list):
            self.mistakes.append(Mistake("routes", "must be a list of tables: [[routes]]"))
            return ()
        read = [self._read(Route, table, f"routes[{index}]") for index, table in enumerate(tables)]
        for index, table in enumerate(tables):
            self._check_profile(table, f"routes[{index}].profile")
        return tuple(route for route in read if route)

    def sources(self) -> dict[str, Mapping[str, object]]:
        """`[sources.*]` as written, a Secret in the place of each reference; `type`, `profile`, `region` are looked at.

        A secret that is not to be had is empty: a worker needs none of them, and the receiver says what is missing.
        """
        tables: dict[str, Mapping[str, object]] = {}
        for name, table in self._table("sources").items():
            if not isinstance(table, Mapping):
                self.mistakes.append(Mistake(f"sources.{name}", f"must be a table: [sources.{name}]"))
                continue
            for key in ("type", "profile", "region"):
                if not isinstance(table.get(key, ""), str):
                    self.mistakes.append(Mistake(f"sources.{name}.{key}", "must be text in quotes"))
            self._check_profile(table, f"sources.{name}.profile")
            self._check_region(table.get("region"), f"sources.{name}.region")
            tables[name] = MappingProxyType({key: self._with_secrets(key, value) for key, value in table.items()})
        return tables

    def _with_secrets(self, key: str, value: object) -> object:
        """What was written, a Secret in the place of each reference, but not in a map whose names are free."""
        if key == "metadata":
            return value
        if isinstance(value, Mapping):
            if is_reference(value):
                return self.secrets.if_there(value)
            return {inner: self._with_secrets(inner, item) for inner, item in value.items()}
        return [self._with_secrets(key, item) for item in value] if isinstance(value, list) else value

    def secret_key(self, profiles: Mapping[str, Profile]) -> SecretStr | None:
        """TRUNKLINE_SECRET_KEY, which seals the passwords that registering profiles are given."""
        place = "TRUNKLINE_SECRET_KEY"
        text = self._env.get(place, "").strip()
        registering = next((name for name, profile in profiles.items() if profile.registers), None)
        if not text and registering:
            found = self.warnings if self._optional else self.mistakes
            found.append(Mistake(place, f'is not set, and profile "{registering}" registers; {_HOW_TO_MAKE_A_KEY}'))
        if text and not _is_key(text):
            self.mistakes.append(Mistake(place, f"is not 32 bytes in base64; {_HOW_TO_MAKE_A_KEY}"))
        return SecretStr(text) if text else None

    def _table(self, key: str) -> Mapping[str, object]:
        value = self._raw.get(key, {})
        if isinstance(value, Mapping):
            return value
        self.mistakes.append(Mistake(key, f"must be a table: [{key}]"))
        return {}

    def _read(self, model: type[_AnyTable], value: object, place: str) -> _AnyTable | None:
        try:
            return model.model_validate(value, context={"resolve": self.secrets, "folder": self._folder})
        except ValidationError as error:
            self.mistakes += mistakes_of(error, place)
            return None

    def _from_env(self, name: str, read: Callable[[str], _Given]) -> _Given | None:
        try:
            return read(text) if (text := self._env.get(name)) else None
        except PydanticCustomError as error:
            self.mistakes.append(Mistake(name, str(error)))
            return None

    def _account(self, name: str, table: object, worker: WorkerSettings) -> Account | None:
        place = f"accounts.{name}"
        if isinstance(table, Mapping):
            table = {**({"key": _DEFAULT_KEY} if name == DEFAULT_ACCOUNT else {}), **table, "name": name}
            if "key" not in table:
                self.mistakes.append(Mistake(f"{place}.key", 'is required: { env = "NAME" }'))
            if url := self._from_env("TRUNKLINE_API_BASE_URL", api_url):
                table["base_url"] = url
            self._check_time(table.get("timeout_s", DEFAULT_TIMEOUT_S), worker, f"{place}.timeout_s")
        account = self._read(Account, table, place)
        if account and account.base_url.startswith("http:") and not on_loopback(account.base_url):
            text = "is http, so the key and the SIP passwords travel in clear; use https"
            self.warnings.append(Mistake(f"{place}.base_url", text))
        return account

    def _check_time(self, timeout_s: object, worker: WorkerSettings, place: str) -> None:
        most = worker.lease_s * 0.75
        if isinstance(timeout_s, int | float) and timeout_s >= most:
            text = (
                f"is {timeout_s:g} and must be less than {most:g}, three quarters of worker.lease_s "
                f"({worker.lease_s:g}): lower it or raise lease_s"
            )
            self.mistakes.append(Mistake(place, text))

    def _check_profile(self, holder: object, place: str) -> None:
        name, known = part_of(holder, "profile"), self._table("profiles")
        if isinstance(name, str) and name not in known:
            self._unknown("profile", name, known, place)

    def _check_region(self, region: object, place: str) -> None:
        try:
            if isinstance(region, str) and region:  # "": its numbers have a country code
                known_region(region)
        except PydanticCustomError as error:
            self.mistakes.append(Mistake(place, str(error)))

    def _unknown(self, kind: str, name: str, known: Mapping[str, object], place: str) -> None:
        text = f'names {kind} "{name}", which is not there; add [{kind}s.{name}]{did_you_mean(name, known)}'
        self.mistakes.append(Mistake(place, text))


def _is_key(text: str) -> bool:
    try:
        return len(b64decode(text.replace("-", "+").replace("_", "/"), validate=True)) == 32
    except ValueError:
        return False
