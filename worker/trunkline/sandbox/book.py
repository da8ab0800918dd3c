"""The sandbox's book of numbers: which direction of which number is configured how, since when.

Nothing here is locked: the service does that. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

DIRECTIONS = ("inbound", "outbound")
REDACTED = "[REDACTED]"
_INHERITED = "sip:inherited.from.trunk.invalid"


@dataclass(frozen=True, slots=True)
class Configuration:
    """One direction's fields as they were sent; shared by all numbers of a call."""

    type: str
    fields: Mapping[str, Any]
    trunk_id: str | None = None

    @property
    def sip_endpoint(self) -> str | None:
        """The endpoint as it reads back: its own, or for outbound the trunk's."""
        own: str | None = self.fields.get("sip_endpoint")
        inherits = self.trunk_id is not None and self.type == "outbound"
        return own or (_INHERITED if inherits else None)

    def options(self) -> dict[str, Any]:
        """The options as they read back: credentials redacted, `auth_mode` among them."""
        options = {name: value for name, value in (self.fields.get("options") or {}).items() if value is not None}
        shown = {name: REDACTED if name in ("sip_username", "sip_password") else options[name] for name in options}
        return {**shown, "auth_mode": self.fields.get("auth_mode", "ip")} if self.type == "inbound" else shown


@dataclass(frozen=True, slots=True)
class _Held:
    configuration: Configuration
    created_at: float
    updated_at: float


class Book:
    """Every number's inbound and outbound configuration; one never touches the other."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, _Held]] = {}

    def __len__(self) -> int:
        """How many numbers have a configuration."""
        return len(self._held)

    def attach(self, numbers: Iterable[str], configurations: Sequence[Configuration], now: float) -> None:
        """Configures the given directions of the numbers, over whatever was there."""
        fresh = {each.type: _Held(each, now, now) for each in configurations}
        for number in numbers:
            held = self._held.get(number)
            if held is None:
                self._held[number] = fresh.copy()
                continue
            for direction, new in fresh.items():
                old = held.get(direction)
                held[direction] = new if old is None else _Held(new.configuration, old.created_at, now)

    def update(self, number: str, change: Configuration, now: float) -> bool:
        """Changes the fields given of one direction; False if it isn't configured."""
        held = self._held.get(number, {})
        old = held.get(change.type)
        if old is None:
            return False
        fields = {**old.configuration.fields, **change.fields}
        held[change.type] = _Held(Configuration(change.type, fields, old.configuration.trunk_id), old.created_at, now)
        return True

    def detach(self, number: str, directions: Iterable[str]) -> list[str]:
        """Removes directions of a number; the ones that were there."""
        held = self._held.get(number, {})
        removed = [direction for direction in directions if held.pop(direction, None) is not None]
        if not held:
            self._held.pop(number, None)
        return removed

    def detail(self, number: str) -> dict[str, Any] | None:
        """A number as GET /v1/sip shows it, None if it has no configuration."""
        held = self._held.get(number)
        if held is None:
            return None
        return {direction: _shown(number, held.get(direction)) for direction in DIRECTIONS}

    def listing(self) -> list[dict[str, Any]]:
        """All numbers as GET /v1/sip/numbers shows them."""
        return [_listed(number, held) for number, held in self._held.items()]


def _listed(number: str, held: Mapping[str, _Held]) -> dict[str, Any]:
    directions = [direction for direction in DIRECTIONS if direction in held]
    endpoints = (held[direction].configuration.sip_endpoint for direction in reversed(directions))
    return {
        "phone_number": number,
        "directions": directions,
        "sip_endpoint": next((each for each in endpoints if each), None),
        "health_status": "unchecked",
    }


def _shown(number: str, held: _Held | None) -> dict[str, Any] | None:
    if held is None:
        return None
    configuration = held.configuration
    return {
        "number": number,
        "id": blake2b(f"{number} {configuration.type}".encode(), digest_size=8).hexdigest(),
        "org_id": "org_sandbox",
        "direction": configuration.type,
        "sip_endpoint": configuration.sip_endpoint,
        "created_at": timestamp(held.created_at),
        "updated_at": timestamp(held.updated_at),
        "headers": configuration.fields.get("headers"),
        "options": configuration.options(),
    }


def timestamp(at: float) -> str:
    """RFC 3339 in UTC with milliseconds, as the API writes times."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
