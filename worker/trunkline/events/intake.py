"""Intake: a number event becomes a delivery, every number normalised and routed or refused with a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from pydantic import field_validator

from trunkline.events.event import NumberEvent, metadata_json
from trunkline.events.phone import Check, NumberRefused, identity
from trunkline.events.routing import Candidate, Route, known_region, routed
from trunkline.lifecycle import Refusal, RefusalCode
from trunkline.schema import Table
from trunkline.text import did_you_mean, printable
from trunkline.timestamps import EPOCH

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
    first route that matches. A source's own `region` takes the place of the rules' for its numbers. Duplicates within
    the event are folded, of numbers as of refusals.
    """
    source = (sources or {}).get(event.source, {})
    own, region = event.profile or source.get("profile"), source.get("region")
    region = (region or None) if isinstance(region, str) else rules.region
    named = own if isinstance(own, str) else None
    fitting = [each for each in routes if each.when.fits_event(event.source, event.metadata)] if named is None else []
    numbers: dict[tuple[str, str], None] = {}
    refused: dict[str, Refusal] = {}
    for raw in event.numbers:
        candidate = Candidate(raw, region, rules.check)
        try:
            name = routed(candidate, fitting) if named is None else named
            taken = _unrouted(raw, event.source) if name is None else _taken(candidate, name, profiles)
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


def _taken(candidate: Candidate, name: str, profiles: Mapping[str, ProfileRule]) -> tuple[str, str] | Refusal:
    rule = profiles.get(name)
    if rule is None:
        message = f'there is no profile "{printable(name)}"{did_you_mean(name, profiles)}'
        return Refusal(candidate.raw, RefusalCode.unknown_profile, message)
    if rule.trunk:
        return name, identity(candidate.raw, region=candidate.region, check=candidate.check)
    return name, candidate.number()


def _unrouted(raw: str, source: str) -> Refusal:
    message = f'the event names no profile, and no route matches this number of the source "{source}"'
    return Refusal(raw, RefusalCode.no_route, message)
