"""Readers for the carriers' formats: foreign JSON and XML, short text, times, links to further pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree.ElementTree import Element, ParseError

import defusedxml
import defusedxml.ElementTree

from trunkline.text import printable
from trunkline.timestamps import plausible, read_http_date, read_iso
from trunkline_producers.carriers.errors import CarrierUnreadable

Json: TypeAlias = Any
MAX_TEXT_LENGTH: Final = 100  # characters of an id or of a value in the metadata
MAX_LINK_LENGTH: Final = 4096

_Item = TypeVar("_Item")
_Read = TypeVar("_Read")


def json_object(body: bytes) -> Mapping[str, Json]:
    """Read an answer as a JSON object. Raises CarrierUnreadable."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CarrierUnreadable("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise CarrierUnreadable("the answer is JSON of another form than documented")
    return found


def xml_root(body: bytes) -> Element:
    """Read an answer as an XML document without declarations. Raises CarrierUnreadable."""
    try:
        root: Element = defusedxml.ElementTree.fromstring(body, forbid_dtd=True)
    except (ParseError, defusedxml.DefusedXmlException, ValueError, LookupError) as error:
        raise CarrierUnreadable("the answer is not XML that can be read safely") from error
    return root


def named(element: Element, name: str) -> list[Element]:
    """Every element below with this name, in any namespace."""
    return [each for each in element.iter() if each.tag.rpartition("}")[2] == name]


def list_of(document: Mapping[str, Json], key: str) -> list[Json]:
    """The list under `key`. Raises CarrierUnreadable if there is none."""
    found = document.get(key)
    if not isinstance(found, list):
        raise CarrierUnreadable(f"the answer has no list `{key}`")
    return found


def read_all(items: Iterable[_Item], read: Callable[[_Item], _Read | None]) -> tuple[_Read, ...]:
    """The items that `read` understands. Raises CarrierUnreadable if there are items and it understands none."""
    given = list(items)
    found = tuple(each for each in map(read, given) if each is not None)
    if given and not found:
        raise CarrierUnreadable("no item of the answer has the form that is documented")
    return found


def text(item: Json, key: str) -> str:
    """A text or a whole number of an object as text; "" if it is neither or absent."""
    if not isinstance(item, Mapping):
        return ""
    value = item.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 128:
        return str(value)
    if not isinstance(value, str):
        return ""
    return value.strip()


def carrier_id(item: Json, key: str) -> str:
    """The carrier's own id of an item, printable and bounded; "" without one."""
    return printable(text(item, key), MAX_TEXT_LENGTH)


def metadata(item: Json, *keys: str) -> dict[str, str]:
    """The fields that are not empty, as short text that an event may carry."""
    said = {key: printable(text(item, key), MAX_TEXT_LENGTH) for key in keys}
    return {key: value for key, value in said.items() if value}


def moment(value: Json) -> datetime | None:
    """A time in ISO 8601 or RFC 2822, aware, not before 1970; None for anything else."""
    if not isinstance(value, str) or len(value) > MAX_TEXT_LENGTH:
        return None
    return plausible(read_iso(value) or read_http_date(value))


def onward(here: str, page: Mapping[str, str]) -> str | None:
    """The query of the next page by the parameters of a link to it; None without any, at the end."""
    if not page:
        return None
    return turned(here, **page)


def turned(here: str, **page: str | int) -> str:
    """The query `here` with other page parameters. A carrier's link changes nothing but the page."""
    return urlencode({**dict(parse_qsl(here)), **page})


def asked(here: str, name: str) -> int:
    """A whole number of a page's query. Raises CarrierUnreadable, since a kept query may be of an older release."""
    value = dict(parse_qsl(here)).get(name, "")
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise CarrierUnreadable("the place to go on from can't be read")
    return int(value)


def page_of(link: Json, *names: str) -> dict[str, str]:
    """These parameters of a link to the next page; {} without a link. Raises CarrierUnreadable.

    The link's host and path are ignored: the client asks its own API, so that the key goes nowhere else.
    """
    if link is None or link == "":
        return {}
    given = _parameters(link)
    found = {name: given[name] for name in names if name in given}
    if not found:
        raise CarrierUnreadable("the link to the next page names none")
    return found


def international(digits: str, *, country_code: str = "") -> str:
    """Add the + to digits that a carrier writes without one, and `country_code` to ten digits alone."""
    bare = digits.strip()
    if bare.startswith("+") or not bare.isdecimal():
        return bare
    if len(bare) == 10:
        return f"+{country_code}{bare}"
    return f"+{bare}"


def _parameters(link: Json) -> dict[str, str]:
    try:
        if isinstance(link, str) and len(link) <= MAX_LINK_LENGTH:
            return dict(parse_qsl(urlsplit(link.strip()).query, max_num_fields=100))
    except ValueError:
        pass
    raise CarrierUnreadable("the link to the next page can't be read")
