"""The sections of `trunkline.toml` that say where the store, the API and the receiver are, and how work is run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, SecretStr, ValidationInfo

from trunkline.http.urls import api_url, http_url, redis_url
from trunkline.schema import Fault, Name, SecretField, Table, fault, read_secret, rising

API_BASE_URL: Final = "https://api.bland.ai"
DEFAULT_TIMEOUT_S: Final = 30.0


def _redis_url(value: object, info: ValidationInfo) -> SecretStr:
    if isinstance(value, SecretStr):
        return redis_url(value.get_secret_value())
    if not isinstance(value, str):
        return redis_url(read_secret(value, info).value.get_secret_value())
    url = redis_url(value)
    if urlsplit(value).password:
        raise fault('holds a password, and a secret is never written in the file; write { env = "NAME" } for the URL')
    return url


def _path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise fault("must be the path of a folder")
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / Path(value).expanduser()


class StoreSettings(Table):
    """Where the store is (`url` None: an embedded server under `data_dir`) and when an event counts as kept."""

    what: ClassVar[str] = "store"
    url: Annotated[SecretStr, PlainValidator(_redis_url)] | None = None
    data_dir: Annotated[Path, PlainValidator(_path)] = Path(".trunkline")
    acknowledge: Literal["fsync", "memory"] = "fsync"
    keep_attached_days: int = Field(default=400, ge=1, le=36500)
    broker_url: Annotated[SecretStr, PlainValidator(_redis_url)] | None = None
    max_waiting: int = Field(default=2_000_000, ge=1)


class Account(Table):
    """One API key at one base URL. Rate, concurrency and pauses belong to it; `auth_scheme` "" sends the bare key."""

    what: ClassVar[str] = "an account"
    name: Name
    base_url: Annotated[str, AfterValidator(api_url)] = API_BASE_URL
    key: SecretField | None = None
    auth_scheme: str = Field(default="Bearer", pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]*$", max_length=32)
    timeout_s: float = Field(default=DEFAULT_TIMEOUT_S, gt=0, le=3600)
    requests_per_second: float = Field(default=5.0, ge=0.1, le=10_000)
    max_concurrency: int = Field(default=2, ge=1, le=1000)
    pause_initial_s: float = Field(default=30.0, gt=0, le=86400)
    pause_max_s: float = Field(default=900.0, gt=0, le=86400)

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """The longest pause is no shorter than the first."""
        yield from rising(raw, ("pause_initial_s", 30.0), ("pause_max_s", 900.0))


class WorkerSettings(Table):
    """Processes, threads, the lease of a batch and how long a stop waits, in seconds."""

    what: ClassVar[str] = "worker"
    processes: int = Field(default=1, ge=1, le=256)
    threads: int = Field(default=8, ge=1, le=1024)
    lease_s: float = Field(default=60.0, ge=1, le=86400)
    grace_s: float = Field(default=45.0, ge=0, le=86400)


class ServerSettings(Table):
    """The receiver: its public address, the token for /v1 and the console, the largest body it reads, how it stops, and
    how much of what could not be taken in is kept."""

    what: ClassVar[str] = "server"
    public_url: Annotated[str, AfterValidator(http_url)] | None = None
    token: SecretField | None = None
    max_body_bytes: int = Field(default=1_048_576, ge=1024, le=1_073_741_824)
    max_kept_bytes: int = Field(default=268_435_456, ge=65_536)
    drain_s: float = Field(default=5.0, ge=0, le=3600)

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """The largest body can be kept."""
        yield from rising(raw, ("max_body_bytes", 1_048_576), ("max_kept_bytes", 268_435_456))
