"""Intake: a number event becomes a delivery, every number normalised and routed or refused with a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from pydantic import Field, field_validator

from trunkline.contract import EPOCH, NumberEvent, metadata_json
from trunkline.phone import Check, NumberRefused, country, identity, normalise, regions
from trunkline.tables import Name, Table, Text, fault
from trunkline.words import Refusal, RefusalCode, did_you_mean, printable

_MILLISECOND: Final = timedelta(milliseconds=1)


class NumberRules(Table):
    """How raw text is read: the region of numbers without a country code ("" or None: none), the check they pass."""

    what: ClassVar[str] = "numbers"
    region: str | None = "US"
    check: Check = "possible"

    @field_validator("region")
    @classmethod
    def _known(cls, region: str | None) -> str | None:
        return known_region(region) if region else None


class When(Table):
    """What a route asks for; what is not set is not asked."""

    what: ClassVar[str] = "when"
    source: Text | None = None
    country: str | None = None

    @field_validator("country")
    @classmethod
    def _known(cls, region: str | None) -> str | None:
        return None if region is None else known_region(region)


class Route(Table):
    """Where the numbers of an event without a profile go; the first route that matches decides."""

    what: ClassVar[str] = "a route"
    when: When = Field(default_factory=When)
    profile: Name


@dataclass(frozen=True, slots=True)
class ProfileRule:
    """What intake needs to know of a profile; `trunk`: its numbers may be DIDs and extensions."""

    name: str
    trunk: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as the store takes it in.

    `occurred_ms` is milliseconds since 1970 or None; `metadata` is compact JSON or ""; `numbers` are pairs of profile
    and number, each once; `refused` is one refusal for each text that was not taken.
    """

    source: str
    event_id: str
    occurred_ms: int | None
    metadata: str
    force: bool
    numbers: tuple[tuple[str, str], ...]
    refused: tuple[Refusal, ...]


def take_in(
    event: NumberEvent,
    *,
    rules: NumberRules,
    profiles: Mapping[str, ProfileRule],
    routes: Sequence[Route] = (),
    sources: Mapping[str, Mapping[str, object]] | None = None,
) -> Delivery:
    """Reads and routes every number of an event. Raises nothing: what is not taken is in `refused`.

    A number goes to the event's profile, else to its source's own (`sources[...]["profile"]`), else to that of the
    first route that matches. Duplicates within the event are folded, of numbers as of refusals.
    """
    own = event.profile or (sources or {}).get(event.source, {}).get("profile")
    numbers: dict[tuple[str, str], None] = {}
    refused: dict[str, Refusal] = {}
    for raw in event.numbers:
        try:
            name = own if isinstance(own, str) else _routed(raw, event.source, rules, routes)
            taken = name if isinstance(name, Refusal) else _taken(raw, name, profiles, rules)
        except NumberRefused as error:
            taken = Refusal(raw, RefusalCode.invalid_number, error.reason)
        if isinstance(taken, Refusal):
            refused[raw] = taken
        else:
            numbers[taken] = None
    return Delivery(
        source=event.source,
        event_id=event.event_id,
        occurred_ms=None if event.occurred_at is None else (event.occurred_at - EPOCH) // _MILLISECOND,
        metadata=metadata_json(event.metadata),
        force=event.force,
        numbers=tuple(numbers),
        refused=tuple(refused.values()),
    )


def known_region(region: str) -> str:
    """The region if it is one of phonenumbers' two-letter codes; a mistake otherwise."""
    if region not in regions():
        hint = "; the United Kingdom is GB" if region == "UK" else did_you_mean(region.upper(), regions())
        raise fault(f"must be a country's two capital letters, as in US{hint}")
    return region


def _taken(raw: str, name: str, profiles: Mapping[str, ProfileRule], rules: NumberRules) -> tuple[str, str] | Refusal:
    rule = profiles.get(name)
    if rule is None:
        message = f'there is no profile "{printable(name)}"{did_you_mean(name, profiles)}'
        return Refusal(raw, RefusalCode.unknown_profile, message)
    read = identity if rule.trunk else normalise
    return name, read(raw, region=rules.region, check=rules.check)


def _routed(raw: str, source: str, rules: NumberRules, routes: Sequence[Route]) -> str | Refusal:
    """The profile that the first matching route names. A route by country matches only what reads as a phone number."""
    unread: NumberRefused | None = None
    region: str | None = None
    for route in routes:
        when = route.when
        if when.source not in (None, source):
            continue
        if when.country is not None and region is None and unread is None:
            try:
                region = country(normalise(raw, region=rules.region, check=rules.check))
            except NumberRefused as refusal:
                unread = refusal
        if when.country in (None, region):
            return route.profile
    if unread is not None:
        raise unread
    message = f'the event names no profile, and no route matches this number of the source "{source}"'
    return Refusal(raw, RefusalCode.no_route, message)
