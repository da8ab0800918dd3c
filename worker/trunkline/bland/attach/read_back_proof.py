"""Reading back what the API has of a number: its details, and what they and its listing prove about a call in doubt."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Literal

from trunkline.bland.attach.drift import disagreements, endpoint_agrees, has_unreadable_fields
from trunkline.bland.attach.envelope import Json, parse_json
from trunkline.bland.attach.listing import ListedNumber
from trunkline.profiles.profile import Profile
from trunkline.timestamps import aware, read_http_date, read_iso


class _Listing(Enum):
    unknown = "there is no usable listing"


UNKNOWN: Final = _Listing.unknown  # in place of a number's listing: whether it is listed is not known
CLOCK_ROOM: Final = timedelta(seconds=2)  # one for the Date's whole seconds, one for good measure
Proof = Literal["attached", "absent", "unclear"]

_SPACING: Final = re.compile(r"[\s().\-]+")

Listed = ListedNumber | Literal[_Listing.unknown] | None  # None: the listing doesn't have the number


@dataclass(frozen=True, slots=True)
class DirectionDetail:
    """One direction of a number as `GET /v1/sip` shows it; credentials are redacted there, a trunk isn't shown."""

    updated_at: datetime | None = None
    fields: Mapping[str, Json] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class NumberDetail:
    """Both directions of a number, None where it has none."""

    inbound: DirectionDetail | None = None
    outbound: DirectionDetail | None = None

    @property
    def directions(self) -> frozenset[str]:
        """The directions that the number has: inbound, outbound, both or none."""
        both = (("inbound", self.inbound), ("outbound", self.outbound))
        return frozenset(name for name, direction in both if direction is not None)

    def of(self, direction: str) -> DirectionDetail | None:
        """The direction by its name."""
        if direction == "inbound":
            return self.inbound
        return self.outbound


def read_detail(status: int, body: bytes) -> NumberDetail | None:
    """`GET /v1/sip?phone_number=`; two nulls and 404 both mean that the API has nothing. None: it can't be used."""
    if status == 404:
        return NumberDetail()
    data = _data(status, body)
    if not isinstance(data, dict) or not {"inbound", "outbound"} & data.keys():
        return None
    directions = [data.get("inbound"), data.get("outbound")]
    if any(direction is not None and not isinstance(direction, dict) for direction in directions):
        return None
    inbound, outbound = (_direction(direction) for direction in directions)
    return NumberDetail(inbound, outbound)


def proof(
    profile: Profile,
    number: str,
    *,
    updated_since: datetime | None,
    known_absent: bool,
    listed: Listed,
    detail: NumberDetail | None,
) -> Proof:
    """The proof that a read-back gives of a number whose call went unanswered. Only `attached` spares a second call.

    `updated_since` (aware, by the API's clock) is a time after the call had left, None if it is not known;
    `known_absent`: the API had no such number before the call; `listed` is None for a number that is not in the listing
    and UNKNOWN without a listing; `detail` is None if it was not read. Presence is proof if the number was absent
    before, or all the profile's directions were updated since then, or all of the profile's fields can be read and
    agree. A field that disagrees is drift, and then nothing is proof.
    """
    if detail is None:
        return _proof_by_listing(profile, listed, known_absent=known_absent)
    if not present(profile, detail):
        return "absent"
    if not _is_of(detail, number) or _drifted(profile, detail):
        return "unclear"
    if known_absent or _updated_since(profile, detail, updated_since):
        return "attached"
    if has_unreadable_fields(profile) or _differs(profile, detail):
        return "unclear"
    return "attached"


def _proof_by_listing(profile: Profile, listed: Listed, *, known_absent: bool) -> Proof:
    if listed is UNKNOWN:
        return "unclear"
    if not present(profile, listed):
        return "absent"
    if known_absent and isinstance(listed, ListedNumber) and endpoint_agrees(profile, listed.sip_endpoint):
        return "attached"
    return "unclear"


def by_api_clock(moment: datetime, *, asked: datetime, headers: Mapping[str, str]) -> datetime | None:
    """A time of our clock by the API's clock, plus CLOCK_ROOM, so that it is never too early; None if unknown.

    `asked` is when the request left whose answer had these headers (both aware, of one clock). The API's clock is known
    from the answer's Date, to the second and less the time the answer took; a Date that a cache repeats is of no use.
    https://www.rfc-editor.org/rfc/rfc9110#name-date
    """
    known = {name.lower(): value for name, value in headers.items()}
    if known.get("age", "0").strip() != "0":
        return None
    said = read_http_date(known.get("date", ""))
    if said is None or said.utcoffset() is None:
        return None
    return moment + (said - asked) + CLOCK_ROOM


def present(profile: Profile, found: Listed | NumberDetail) -> bool:
    """True if the number has all the directions of the profile; the re-check of an attached number asks this."""
    return isinstance(found, ListedNumber | NumberDetail) and found.directions >= set(profile.direction_types)


def _details(profile: Profile, detail: NumberDetail) -> Iterator[tuple[str, DirectionDetail]]:
    for name in profile.direction_types:
        direction = detail.of(name)
        if direction is not None:
            yield name, direction


def _is_of(detail: NumberDetail, number: str) -> bool:
    """True unless the API names another number than the one that was asked for."""
    shown = [direction.fields.get("number") for direction in (detail.inbound, detail.outbound) if direction]
    return all(_as_sent(each).removeprefix("+") == number.removeprefix("+") for each in shown if isinstance(each, str))


def _updated_since(profile: Profile, detail: NumberDetail, since: datetime | None) -> bool:
    updated = [direction.updated_at for _, direction in _details(profile, detail)]
    return since is not None and all(moment is not None and moment > since for moment in updated)


def _drifted(profile: Profile, detail: NumberDetail) -> bool:
    return any(_of_direction(profile, detail, missing_counts=False))


def _differs(profile: Profile, detail: NumberDetail) -> bool:
    return any(_of_direction(profile, detail, missing_counts=True))


def _of_direction(profile: Profile, detail: NumberDetail, *, missing_counts: bool) -> Iterator[str]:
    for direction in profile.directions:
        found = detail.of(direction.type)
        if found is not None:
            yield from disagreements(direction, found.fields, missing_counts=missing_counts)


def _data(status: int, body: bytes) -> Json:
    if not 200 <= status <= 299:
        return None
    _, parsed = parse_json(body.decode("utf-8-sig", "replace"))
    if isinstance(parsed, dict):
        return parsed.get("data", parsed)
    return parsed


def _direction(value: Json) -> DirectionDetail | None:
    if not isinstance(value, dict):
        return None
    return DirectionDetail(_moment(value.get("updated_at")), value)


def _moment(value: Json) -> datetime | None:
    if not isinstance(value, str):
        return None
    moment = read_iso(value)
    return moment and aware(moment)


def _as_sent(number: str) -> str:
    """E.164 without its spacing; a DID or an extension is its own text."""
    text = number.strip()
    if not text.startswith("+"):
        return text
    return _SPACING.sub("", text)
