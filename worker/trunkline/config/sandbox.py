"""Settings for the stand-in API: the configuration's profiles, but neither its store, nor its API, nor its keys.

A real number must never be marked attached by a stand-in, so the sandbox has a store of its own beside the real one.
Every command works on it with `--sandbox`, or with `TRUNKLINE_STAND_IN` set.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from pydantic import SecretStr

from trunkline.config.running_sandbox import running_sandbox
from trunkline.config.sections import Account
from trunkline.config.settings import Also, Settings, load
from trunkline.profiles.directions import Direction
from trunkline.profiles.profile import Profile
from trunkline.schema import Secret

STAND_IN: Final = "TRUNKLINE_STAND_IN"  # the sandbox's base URL
KEY: Final = "sandbox-key"
PLACEHOLDER: Final = "stand-in-secret"  # for secrets that nobody set: none is needed to try things out
FOLDER: Final = "sandbox"  # of the data directory
NOWHERE: Final = "http://127.0.0.1:0"  # the API while no stand-in runs: nothing can listen on port 0
DEFAULT: Final = "default"
DEMO_PROFILE: Final = {
    "demo": Profile(name="demo", directions=(Direction(type="inbound"),))
}  # where none is configured


class _Lenient(Mapping[str, str]):
    """An environment in which every secret has a value."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def __getitem__(self, name: str) -> str:
        if name in self._env or name.startswith("TRUNKLINE_"):
            return self._env[name]
        return PLACEHOLDER

    def __iter__(self) -> Iterator[str]:
        return iter(self._env)

    def __len__(self) -> int:
        return len(self._env)


def load_settings(
    path: Path | None,
    env: Mapping[str, str],
    *,
    secrets: Literal["required", "optional"] = "required",
    also: Also | None = None,
    sandbox: bool = False,
) -> Settings:
    """The settings, the sandbox's if the caller or the environment says so. Raises ConfigError.

    `secrets` optional: for those who call no API, a secret that is not to be had is a warning. `also` as in load; the
    stand-in does without it, as there nothing needs to be set up.
    """
    url = env.get(STAND_IN)
    if sandbox or url:
        return load_for_stand_in(path, env, url)
    return load(path, env, secrets=secrets, also=also)


def sandbox_folder(settings: Settings) -> Path:
    """Where the sandbox of a configuration is, whether or not these settings are the sandbox's."""
    return settings.store.data_dir / FOLDER if settings.stand_in is None else settings.store.data_dir


def load_for_stand_in(path: Path | None, env: Mapping[str, str], url: str | None) -> Settings:
    """The settings with the store and the API replaced, the API by the stand-in at `url`.

    Without a URL it is the stand-in that runs in the sandbox's folder, if one does. Raises ConfigError.
    """
    named = {
        name: value for name, value in env.items() if name not in ("TRUNKLINE_REDIS_URL", "TRUNKLINE_API_BASE_URL")
    }
    named.setdefault("TRUNKLINE_SECRET_KEY", base64.b64encode(bytes(32)).decode())
    settings = load(path, _Lenient(named), secrets="optional")
    folder = sandbox_folder(settings)
    if not url:
        running = running_sandbox(folder)
        url = running.url if running else ""
    profiles = settings.profiles or DEMO_PROFILE
    accounts = settings.accounts or {DEFAULT: Account(name=DEFAULT)}
    store = settings.store.model_copy(
        update={"url": None, "broker_url": None, "data_dir": folder, "acknowledge": "fsync"}
    )
    key = Secret("stand-in", SecretStr(KEY))
    api = {"base_url": url or NOWHERE, "key": key}
    swapped = {name: account.model_copy(update=api) for name, account in accounts.items()}
    token = settings.server.token
    if token and not token.value.get_secret_value():
        settings = replace(settings, server=settings.server.model_copy(update={"token": None}))  # so on loopback only
    return replace(settings, store=store, accounts=swapped, profiles=profiles, stand_in=url)
