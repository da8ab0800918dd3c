"""Settings: the environment and the file `trunkline.toml`, read once into one frozen object."""

import hmac
import tomllib
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from trunkline.config.parser import Reading
from trunkline.config.sections import Account, ServerSettings, StoreSettings, WorkerSettings
from trunkline.errors import Mistake, TrunklineError
from trunkline.events.intake import NumberRules
from trunkline.events.routing import Route
from trunkline.profiles.profile import Profile
from trunkline.schema import secrets_within

DEFAULT_FILE: Final = Path("trunkline.toml")


class ConfigError(TrunklineError):
    """A configuration that can't be used. `mistakes` holds all of them, each with its place; no secret in any."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        several = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n  ".join([f"the configuration has {several}:", *map(str, mistakes)]))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Settings:
    """All that is configured. Times are seconds, no secret shows in the repr, `path` is the file that was read.

    `stand_in` is None but for the sandbox's settings, where it is the base URL of the stand-in API, "" while none runs.
    """

    store: StoreSettings = field(default_factory=StoreSettings)
    accounts: Mapping[str, Account] = field(default_factory=dict, hash=False)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    numbers: NumberRules = field(default_factory=NumberRules)
    profiles: Mapping[str, Profile] = field(default_factory=dict, hash=False)
    routes: tuple[Route, ...] = ()
    sources: Mapping[str, Mapping[str, object]] = field(default_factory=dict, hash=False, repr=False)
    server: ServerSettings = field(default_factory=ServerSettings)
    secret_key: SecretStr | None = None
    path: Path | None = None
    stand_in: str | None = None
    warnings: tuple[Mistake, ...] = ()

    def secret_values(self) -> frozenset[str]:
        """Every secret value that is known here, for whoever scrubs texts of them."""
        sections = (self.store, self.accounts, self.worker, self.numbers, self.profiles, self.routes, self.sources)
        values = {secret.value.get_secret_value() for secret in secrets_within((*sections, self.server))}
        if self.secret_key is not None:
            values.add(self.secret_key.get_secret_value())
        for url in filter(None, (self.store.url, self.store.broker_url)):
            text = url.get_secret_value()
            password = urlsplit(text).password
            if password:
                values |= {text, password, unquote(password)}
        return frozenset(values - {""})

    def keyed_hash(self) -> Callable[[str], str] | None:
        """A hash that tells secrets apart and gives none away, by TRUNKLINE_SECRET_KEY; None where it is not set."""
        if self.secret_key is None:
            return None
        key = urlsafe_b64decode(self.secret_key.get_secret_value())
        return lambda value: hmac.digest(key, value.encode("utf-8", "surrogatepass"), "sha256")[:8].hex()


Also = Callable[[Settings], Iterable[Mistake]]


def load(
    path: Path | None,
    env: Mapping[str, str],
    *,
    secrets: Literal["required", "optional"] = "required",
    also: Also | None = None,
) -> Settings:
    """Reads the file (`path`, else $TRUNKLINE_CONFIG, else ./trunkline.toml if it is there) and the environment.

    The environment wins: TRUNKLINE_REDIS_URL, TRUNKLINE_DATA_DIR, TRUNKLINE_API_BASE_URL (for every account); and it
    is the only place of TRUNKLINE_SECRET_KEY. A relative path in the file is relative to the file. With `secrets`
    optional, what is not to be had is empty and a warning (a producer needs no API key). `also` looks for mistakes in
    what others read of it (the sources). Raises ConfigError with every mistake at once.
    """
    file, text = _file(path, env)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((Mistake(str(file), f"is not TOML: {error}"),)) from None
    folder = file.absolute().parent if file else Path.cwd()
    reading = Reading(raw, env, folder, optional=secrets == "optional")
    settings = _assembled(reading, file)
    reading.mistakes += also(settings) if also else ()
    if reading.mistakes:
        raise ConfigError(tuple(dict.fromkeys(reading.mistakes)))
    return settings


def _assembled(reading: Reading, file: Path | None) -> Settings:
    profiles = reading.profiles()
    worker = reading.section("worker", WorkerSettings)
    parts = Settings(
        store=reading.store(),
        accounts=MappingProxyType(reading.accounts(worker)),
        worker=worker,
        numbers=reading.section("numbers", NumberRules),
        profiles=MappingProxyType(profiles),
        routes=reading.routes(),
        sources=MappingProxyType(reading.sources()),
        server=reading.section("server", ServerSettings),
        secret_key=reading.secret_key(profiles),
        path=file,
    )
    warnings = dict.fromkeys([*reading.secrets.missing, *reading.warnings, *_crowding(parts)])
    return replace(parts, warnings=tuple(warnings))


def _crowding(settings: Settings) -> Iterator[Mistake]:
    """Accounts whose calls can take every thread, so that slow ones would hold up the other accounts' numbers."""
    threads = settings.worker.processes * settings.worker.threads
    for name, account in settings.accounts.items():
        if len(settings.accounts) > 1 and account.max_concurrency >= threads:
            yield Mistake(
                f"accounts.{name}.max_concurrency",
                f"is {account.max_concurrency}, and there are {threads} threads (worker.processes x worker.threads): "
                "slow calls of this account could hold up the others; raise worker.threads or lower it",
            )


def _file(path: Path | None, env: Mapping[str, str]) -> tuple[Path | None, str]:
    named = path or (Path(env["TRUNKLINE_CONFIG"]) if env.get("TRUNKLINE_CONFIG") else None)
    if named is None and not DEFAULT_FILE.exists():
        return None, ""
    file = named or DEFAULT_FILE
    try:
        return file, file.read_text("utf-8")
    except OSError as error:
        raise ConfigError((Mistake(str(file), f"can't be read: {error.strerror or error}"),)) from None
    except ValueError:
        raise ConfigError((Mistake(str(file), "is not a text file in UTF-8"),)) from None
