"""Points in time: read from foreign text, and written for JSON and people."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, overload

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MAX_TEXT_LENGTH: Final = 100


@overload
def rfc3339(ms: int) -> str: ...
@overload
def rfc3339(ms: int | None) -> str | None: ...
def rfc3339(ms: int | None) -> str | None:
    """Milliseconds since 1970 as RFC 3339 in UTC."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_iso(text: str) -> datetime | None:
    """Read a time in ISO 8601, of which RFC 3339 is a part; None if it is none. Naive if the text has no offset."""
    try:
        return datetime.fromisoformat(text.strip().replace("z", "Z"))
    except ValueError:
        return None


def read_http_date(text: str) -> datetime | None:
    """Read a date of HTTP or of mail (RFC 9110, RFC 2822); None if it is none. Naive if the text has no offset."""
    if len(text) > _MAX_TEXT_LENGTH:
        return None
    try:
        return parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def aware(moment: datetime) -> datetime:
    """The same time with an offset; a naive one is taken for UTC."""
    if moment.utcoffset() is None:
        return moment.replace(tzinfo=UTC)
    return moment


def plausible(moment: datetime | None) -> datetime | None:
    """The time in UTC if it lies between 1970 and 9998, which every time of an event does; else None."""
    if moment is None:
        return None
    try:
        utc = aware(moment).astimezone(UTC)
    except OverflowError:
        return None
    if utc < EPOCH or utc.year == datetime.max.year:
        return None
    return utc
