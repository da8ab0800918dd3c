"""What the carriers' formats have in common: JSON and XML from outside, short text, times, links to further pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree.ElementTree import Element, ParseError

import defusedxml
import defusedxml.ElementTree

from trunkline.events.event import EPOCH
from trunkline.text import printable
from trunkline_producers.carriers.errors import CarrierUnreadable

Json: TypeAlias = Any
MAX_TEXT_LENGTH: Final = 100  # characters of an id or of a value in the metadata
MAX_LINK_LENGTH: Final = 4096

_Item = TypeVar("_Item")
_Read = TypeVar("_Read")


def json_object(body: bytes) -> Mapping[str, Json]:
    """The JSON object that an answer is. Raises CarrierUnreadable."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CarrierUnreadable("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise CarrierUnreadable("the answer is JSON of another form than documented")
    return found


def xml_root(body: bytes) -> Element:
    """The XML document that an answer is, without any declarations. Raises CarrierUnreadable."""
    try:
        root: Element = defusedxml.ElementTree.fromstring(body, forbid_dtd=True)
    except (ParseError, defusedxml.DefusedXmlException, ValueError, LookupError) as error:
        raise CarrierUnreadable("the answer is not XML that can be read safely") from error
    return root


def named(element: Element, name: str) -> list[Element]:
    """Every element below of this name, whatever its namespace."""
    return [each for each in element.iter() if each.tag.rpartition("}")[2] == name]


def list_of(document: Mapping[str, Json], key: str) -> list[Json]:
    """A list that must be there. Raises CarrierUnreadable."""
    found = document.get(key)
    if not isinstance(found, list):
        raise CarrierUnreadable(f"the answer has no list `{key}`")
    return found


def read_all(items: Iterable[_Item], read: Callable[[_Item], _Read | None]) -> tuple[_Read, ...]:
    """What can be read of the items. Raises CarrierUnreadable where there are some and none can be."""
    given = list(items)
    found = tuple(each for each in map(read, given) if each is not None)
    if given and not found:
        raise CarrierUnreadable("no item of the answer has the form that is documented")
    return found


def text(item: Json, key: str) -> str:
    """A text or a whole number of an object as text; "" where it is neither or not there."""
    value = item.get(key) if isinstance(item, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 128:
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def carrier_id(item: Json, key: str) -> str:
    """The carrier's own id of something, fit to be kept; "" where there is none."""
    return printable(text(item, key), MAX_TEXT_LENGTH)


def metadata(item: Json, *keys: str) -> dict[str, str]:
    """The fields that say something, as short text that an event may carry."""
    said = {key: printable(text(item, key), MAX_TEXT_LENGTH) for key in keys}
    return {key: value for key, value in said.items() if value}


def moment(value: Json) -> datetime | None:
    """A time in ISO 8601 or RFC 2822, aware, not before 1970; None for anything else."""
    if not isinstance(value, str) or len(value) > MAX_TEXT_LENGTH:
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(value.strip())
            found = found.replace(tzinfo=UTC) if found.utcoffset() is None else found.astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return found if found >= EPOCH and found.year < datetime.max.year else None
    return None


def turned(here: str, **page: str | int) -> str:
    """The same query with other page parameters: all that a carrier can change is the page it sends us to."""
    return urlencode({**dict(parse_qsl(here)), **page})


def asked(here: str, name: str) -> int:
    """A whole number of the query that a page answers. Raises CarrierUnreadable: a kept query may be of old."""
    value = dict(parse_qsl(here)).get(name, "")
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise CarrierUnreadable("the place to go on from can't be read")
    return int(value)


def page_of(link: Json, *names: str) -> dict[str, str]:
    """These parameters of a link to the next page; {} where there is no link. Raises CarrierUnreadable.

    Neither its host nor its path counts: whoever follows it asks its own API, so that no key ever goes elsewhere.
    """
    if link is None or link == "":
        return {}
    given = _parameters(link)
    found = {name: given[name] for name in names if name in given}
    if not found:
        raise CarrierUnreadable("the link to the next page names none")
    return found


def international(digits: str, *, country_code: str = "") -> str:
    """Digits that a carrier writes without a + as a whole number; `country_code` is what ten digits alone lack."""
    bare = digits.strip()
    if bare.startswith("+") or not bare.isdecimal():
        return bare
    return f"+{country_code if len(bare) == 10 else ''}{bare}"


def _parameters(link: Json) -> dict[str, str]:
    try:
        if isinstance(link, str) and len(link) <= MAX_LINK_LENGTH:
            return dict(parse_qsl(urlsplit(link.strip()).query, max_num_fields=100))
    except ValueError:
        pass
    raise CarrierUnreadable("the link to the next page can't be read")
