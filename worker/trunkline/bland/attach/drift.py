"""Whether a direction as the API shows it is the direction as the profile has it."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from trunkline.bland.attach.envelope import Json
from trunkline.profiles.directions import Direction
from trunkline.profiles.profile import Profile

_ENDPOINT: Final = re.compile(r"(?:sips?:)?(?:[^@]*@)?(\[[^\]]*\]|[^:;]*)(?::([0-9]+))?.*", re.IGNORECASE | re.DOTALL)


def has_unreadable_fields(profile: Profile) -> bool:
    """Whether part of the profile can't be read back: a trunk binding is not shown, credentials are redacted."""
    if profile.trunk_id is not None:
        return True
    return any(
        direction.register_auth is not None
        or (direction.options is not None and (direction.options.sip_username or direction.options.sip_password))
        for direction in profile.directions
    )


def endpoint_agrees(profile: Profile, listed: str | None) -> bool:
    """Whether the one endpoint of a listing is one of the profile's; a trunk's is inherited, so it can't be told."""
    ours = {_endpoint(direction.sip_endpoint) for direction in profile.directions if direction.sip_endpoint}
    return listed is None or not ours or profile.trunk_id is not None or _endpoint(listed) in ours


def disagreements(direction: Direction, found: Mapping[str, Json], *, missing_counts: bool) -> Iterator[str]:
    """The names of the readable fields that differ from the profile's; `auth_mode` is read inside `options`.

    With `missing_counts` a field that one side has and the other lacks differs too; without it only two values can.
    """
    options = found.get("options")
    shown = options if isinstance(options, dict) else {}
    wanted = direction.options
    pairs: tuple[tuple[str, Json, Json], ...] = (
        ("auth_mode", direction.auth_mode or "ip", shown.get("auth_mode", found.get("auth_mode")) or "ip"),
        ("sip_endpoint", _endpoint(direction.sip_endpoint), _endpoint(found.get("sip_endpoint"))),
        ("headers", _headers(direction.as_fields(lambda _: None).get("headers")), _headers(found.get("headers"))),
        ("options.port", _plain(wanted and wanted.port), _plain(shown.get("port"))),
        ("options.transport", _plain(wanted and wanted.transport), _plain(shown.get("transport"))),
        ("options.secure_media", _plain(wanted and wanted.secure_media), _plain(shown.get("secure_media"))),
    )
    for name, ours, theirs in pairs:
        if ours != theirs and (missing_counts or not (ours is None or theirs is None)):
            yield name


def _endpoint(value: Json) -> tuple[str, str] | None:
    """Host and port of a SIP endpoint: `sip:Host` and `host` are the same."""
    if not isinstance(value, str) or not value.strip():
        return None
    found = _ENDPOINT.fullmatch(value.strip())
    if found is None:
        return None
    return found[1].lower().removesuffix("."), found[2] or ""


def _plain(value: Json) -> str | None:
    if value is None or value == "":
        return None
    return str(value).lower()


def _headers(value: Json) -> Json:
    """The header items less what says nothing, in a form that can be compared; None for none."""
    items = value.get("headers") if isinstance(value, dict) else value
    if not isinstance(items, list) or not items:
        return None
    return sorted(_header(item) for item in items if isinstance(item, dict))


def _header(item: Mapping[str, Json]) -> str:
    return repr(sorted((key, repr(value)) for key, value in item.items() if value not in (None, False)))
