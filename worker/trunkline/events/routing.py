"""Routing: the profile of a number whose event names none; the first route that matches decides."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Final

from pydantic import Field, PlainValidator, field_validator

from trunkline.events.number_traits import TYPES, Traits
from trunkline.events.phone import Check, NumberRefused, normalise, regions
from trunkline.schema import Fault, Name, Table, Text, fault
from trunkline.text import did_you_mean

_ANY_NUMBER: Final = "+14155550100"
_PREFIX: Final = re.compile(r"\+[1-9][0-9]{0,14}", re.ASCII)


def known_region(region: str) -> str:
    """The region if it is one of phonenumbers' two-letter codes; a mistake otherwise."""
    if region not in regions():
        hint = "; the United Kingdom is GB" if region == "UK" else did_you_mean(region.upper(), regions())
        raise fault(f"must be a country's two capital letters, as in US{hint}")
    return region


def _texts(value: object) -> tuple[str, ...]:
    """One text or a list of them; what is none, `rules` reports at its place."""
    several = (value,) if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return tuple(each for each in several if isinstance(each, str))


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    pairs = value.items() if isinstance(value, Mapping) else ()
    return tuple((key, text) for key, text in pairs if isinstance(text, str))


Texts = Annotated[tuple[str, ...], PlainValidator(_texts)]
Pairs = Annotated[tuple[tuple[str, str], ...], PlainValidator(_pairs)]


class When(Table):
    """What a route asks for, all of which must hold; what is not set is not asked. Of several texts one must fit.

    `country`: two capital letters; `prefix`: how the number begins in E.164; `region`: its area as the geocoder has it
    in English, whole or a part between commas, in any case; `type`: words of TYPES; `metadata`: keys of the event's.
    """

    what: ClassVar[str] = "when"
    source: Text | None = None
    country: str | None = None
    prefix: Texts = ()
    region: Texts = ()
    type: Texts = ()
    metadata: Pairs = ()

    @field_validator("country")
    @classmethod
    def _known(cls, region: str | None) -> str | None:
        return None if region is None else known_region(region)

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """Each text of several is one that can be asked for, and metadata is a table of texts."""
        for key, wrong in (("prefix", _wrong_prefix), ("region", _wrong_text), ("type", _wrong_type)):
            yield from _faults(key, raw.get(key), wrong)
        yield from _metadata_faults(raw.get("metadata"))

    @cached_property
    def asks_of_number(self) -> bool:
        """Whether it asks anything of the number itself."""
        return bool(self.country or self.prefix or self.region or self.type)

    @cached_property
    def areas(self) -> frozenset[str]:
        """`region` as `Traits.areas` has it."""
        return frozenset(text.casefold() for text in self.region)

    def fits_event(self, source: str, metadata: Mapping[str, str]) -> bool:
        """Whether what it asks of the event holds."""
        return self.source in (None, source) and all(metadata.get(key) == text for key, text in self.metadata)

    def fits_number(self, traits: Traits) -> bool:
        """Whether what it asks of the number holds; what costs least is looked at first."""
        return (
            (not self.prefix or traits.number.startswith(self.prefix))
            and (self.country is None or self.country == traits.country)
            and (not self.type or not traits.types.isdisjoint(self.type))
            and (not self.region or not traits.areas.isdisjoint(self.areas))
        )

    def __str__(self) -> str:
        asked = {"source": self.source, "country": self.country}
        asked |= {"prefix": " or ".join(self.prefix), "type": " or ".join(self.type)}
        asked |= {"region": " or ".join(self.region)}
        asked |= {f"metadata {key}": text for key, text in self.metadata}
        return ", ".join(f"{name} {what}" for name, what in asked.items() if what) or "anything"


class Route(Table):
    """Where the numbers of an event without a profile go; the first route that matches decides."""

    what: ClassVar[str] = "a route"
    when: When = Field(default_factory=When)
    profile: Name


class Candidate:
    """A number on its way in: the sender's text, and what it reads as, found out once and only if asked."""

    __slots__ = ("_traits", "check", "raw", "region", "unread")

    def __init__(self, raw: str, region: str | None, check: Check) -> None:
        self.raw = raw
        self.region = region
        self.check: Check = check
        self.unread: NumberRefused | None = None
        self._traits: Traits | None = None

    def traits(self) -> Traits | None:
        """What is known of the number; None for what reads as no phone number: `unread` then says why."""
        if self._traits is None and self.unread is None:
            try:
                self._traits = Traits(normalise(self.raw, region=self.region, check=self.check))
            except NumberRefused as refused:
                self.unread = refused
        return self._traits

    def number(self) -> str:
        """The number in E.164. Raises NumberRefused."""
        if self._traits is not None:
            return self._traits.number
        return normalise(self.raw, region=self.region, check=self.check)


def routed(candidate: Candidate, routes: Iterable[Route]) -> str | None:
    """The profile of the first of these routes, all of which fit the event, that fits the number; None if none does.

    A route that asks anything of the number matches only what reads as a phone number. Raises NumberRefused where no
    route matches and one would have asked what can't be read.
    """
    for route in routes:
        if not route.when.asks_of_number:
            return route.profile
        if (traits := candidate.traits()) and route.when.fits_number(traits):
            return route.profile
    if candidate.unread:
        raise candidate.unread
    return None


def _faults(key: str, value: object, wrong: Callable[[object], str | None]) -> Iterator[Fault]:
    if isinstance(value, list | tuple):
        if not value:
            yield (key,), "must not be empty; leave it out to ask nothing"
        yield from (((key, index), said) for index, each in enumerate(value) if (said := wrong(each)))
    elif value is not None and (said := wrong(value)):
        yield (key,), said


def prepare(routes: Sequence[Route]) -> None:
    """Loads what these routes will look numbers up in (0.3 s for areas), for those who can't wait for it later."""
    if any(route.when.region for route in routes):
        _ = Traits(_ANY_NUMBER).areas


def _wrong_text(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be text in quotes, or a list of texts"
    return None if value.strip() == value != "" else "must not be empty, or have spaces around it"


def _wrong_prefix(value: object) -> str | None:
    if isinstance(value, str) and _PREFIX.fullmatch(value):
        return None
    return "must be text: a + and the first digits of a number, without spaces, as in +1415"


def _wrong_type(value: object) -> str | None:
    if isinstance(value, str) and value in TYPES:
        return None
    hint = did_you_mean(value, TYPES) if isinstance(value, str) else ""
    return f"must be of {', '.join(TYPES)}{hint}"


def _metadata_faults(value: object) -> Iterator[Fault]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield ("metadata",), "must be a table of texts"
    elif not value:
        yield ("metadata",), "must not be empty; leave it out to ask nothing"
    else:
        yield from (
            ((f"metadata.{key}",), "must be text in quotes") for key in value if not isinstance(value[key], str)
        )
