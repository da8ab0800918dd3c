"""Direction profiles: a named SIP configuration, the body of an attach request less its numbers."""

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from json import dumps
from typing import ClassVar, Final, Literal

from pydantic import Field, ValidationError

from trunkline.errors import Mistake
from trunkline.profiles.directions import (
    Direction,
    Options,
    items_of,
    part_of,
)
from trunkline.profiles.sip_uri import endpoint_port
from trunkline.schema import Fault, Name, Resolve, Secret, Table, Text, mistakes_of, rising

DEFAULT_ACCOUNT: Final = "default"


class BatchRules(Table):
    """Bounds of a batch: at most `max_size` numbers (the API takes 100), of which none waits over `max_wait_s`."""

    what: ClassVar[str] = "batch"
    max_size: int = Field(default=100, ge=1, le=100)
    max_wait_s: float = Field(default=1.0, ge=0, le=3600)


class RetryRules(Table):
    """Attempts of a number, the backoff between them in seconds, and when the API is read back before a repeat."""

    what: ClassVar[str] = "retry"
    max_attempts: int = Field(default=8, ge=1, le=1000)
    initial_s: float = Field(default=5.0, gt=0, le=86400)
    max_s: float = Field(default=900.0, gt=0, le=604800)
    verify: Literal["on_doubt", "always", "never"] = "on_doubt"

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """Check that the longest pause is no shorter than the first."""
        yield from rising(raw, ("initial_s", 5.0), ("max_s", 900.0))


class Profile(Table):
    """A direction profile: the configuration that its numbers are attached with, its account, batches and retries."""

    what: ClassVar[str] = "a profile"
    name: Name
    account: Name = DEFAULT_ACCOUNT
    trunk_id: Text | None = None
    service: Literal["sip"] = "sip"
    directions: tuple[Direction, ...] = Field(strict=False)
    batch: BatchRules = BatchRules()
    retry: RetryRules = RetryRules()

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """Check what spans several fields.

        There is at most one inbound and one outbound direction; an outbound direction needs `sip_endpoint` unless the
        profile has a `trunk_id`.
        """
        if raw.get("directions") in ([], ()):
            yield ("directions",), 'must hold a direction, such as { type = "inbound" }'
        seen: set[object] = set()
        for index, direction in enumerate(items_of(raw.get("directions"))):
            kind = part_of(direction, "type")
            if kind in ("inbound", "outbound") and kind in seen:
                yield ("directions", index, "type"), f"is a second {kind} direction; a number has at most one of each"
            if isinstance(kind, str):
                seen.add(kind)
            if kind == "outbound" and part_of(direction, "sip_endpoint") is None and raw.get("trunk_id") is None:
                yield (
                    ("directions", index, "sip_endpoint"),
                    "is required for outbound unless the profile has a trunk_id",
                )

    @property
    def direction_types(self) -> tuple[str, ...]:
        """The directions that the profile configures: inbound, outbound or both, in this order."""
        return tuple(sorted(direction.type for direction in self.directions))

    @property
    def registers(self) -> bool:
        """True if a PBX registers: the API then answers with a password that it shows only once."""
        return any(direction.auth_mode == "register" for direction in self.directions)

    def fingerprint(self, base_url: str, keyed: Callable[[str], str] | None = None) -> str:
        """16 hex digits that change when what is attached, or where, does.

        Secrets count by their names, and by their values where there is a `keyed` hash that gives none of them away.
        """

        def counted(secret: Secret) -> dict[str, str]:
            value = secret.value.get_secret_value()
            if not keyed or not value:
                return {"secret": secret.ref}
            return {"secret": secret.ref, "value": keyed(value)}

        content = {
            "account": [self.account, base_url],
            "service": self.service,
            "trunk_id": self.trunk_id,
            "directions": sorted((d.as_fields(counted) for d in self.directions), key=_kind_of),
        }
        canonical = dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return sha256(canonical.encode()).hexdigest()[:16]


def parse_profiles(
    raw: Mapping[str, object],
    resolve: Resolve,
    *,
    batch: BatchRules | None = None,
    retry: RetryRules | None = None,
) -> tuple[dict[str, Profile], list[Mistake], list[Mistake]]:
    """Read the `profiles` table: name to profile, over the global rules `batch` and `retry`.

    Returns the profiles that are right, every mistake and every warning, each with its place from `profiles` on.
    Raises nothing: what `resolve` can't resolve (SecretUnresolved) is a mistake too.
    """
    profiles: dict[str, Profile] = {}
    mistakes: list[Mistake] = []
    warnings: list[Mistake] = []
    for name, table in raw.items():
        place = f"profiles.{name}"
        try:
            profile = Profile.model_validate(_merged(name, table, batch, retry), context={"resolve": resolve})
        except ValidationError as error:
            mistakes += (_of_the_name(mistake, place) for mistake in mistakes_of(error, place))
        else:
            profiles[name] = profile
            warnings += _doubts(profile, place)
    return profiles, mistakes, warnings


def _merged(name: str, table: object, batch: BatchRules | None, retry: RetryRules | None) -> object:
    if not isinstance(table, Mapping):
        return table
    merged = {**table, "name": name}
    for key, rules in (("batch", batch), ("retry", retry)):
        own = table.get(key, {})
        if rules is not None and isinstance(own, Mapping):
            merged[key] = {**rules.model_dump(), **own}
    return merged


def _of_the_name(mistake: Mistake, place: str) -> Mistake:
    """A profile's name is its table's own, so a mistake in it stands at the table."""
    if mistake.place == f"{place}.name":
        return Mistake(place, mistake.message)
    return mistake


def _doubts(profile: Profile, place: str) -> Iterator[Mistake]:
    """Warn of settings that the API's schema takes and its edge does not: TLS on 5061 with SRTP alone works."""
    for index, direction in enumerate(profile.directions):
        here, options = f"{place}.directions[{index}]", direction.options or Options()
        if options.transport in ("udp", "tcp"):
            yield Mistake(
                f"{here}.options.transport", f'is "{options.transport}", but Bland\'s edge accepts TLS only; use "tls"'
            )
        if options.secure_media is False:
            yield Mistake(f"{here}.options.secure_media", "is false, but Bland's edge accepts SRTP only; use true")
        port: int | None = None
        if direction.sip_endpoint:
            port = endpoint_port(direction.sip_endpoint)
        if port is not None and options.port not in (None, port):
            yield Mistake(f"{here}.options.port", f"is {options.port} and overrides the endpoint's own port {port}")


def _kind_of(direction: Mapping[str, object]) -> str:
    return str(direction["type"])
