"""Names that an operator types, read and looked up: numbers, profiles, accounts, sources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from trunkline.config.settings import Settings
from trunkline.errors import TrunklineError
from trunkline.events.intake import NumberRules
from trunkline.events.phone import NumberRefused, identity, normalise
from trunkline.store import Store
from trunkline.store.queries import published
from trunkline.text import did_you_mean

OWN_SOURCES: Final = ("cli", "import")  # of the events that `enqueue` and `import` make


class NotThere(TrunklineError):
    """The account, profile or rejection that an operator named is not there."""


class WrongUse(TrunklineError):
    """The operator must ask in another way: a name, a cursor or a period that can't be used."""


def spellings(rules: NumberRules, raw: str) -> tuple[str, ...]:
    """Return the forms in which a number that somebody typed may stand in the store.

    These are E.164, and the text as it is where it could be a DID of a trunk. Raises NumberRefused if it is neither.
    """
    found: dict[str, None] = {}
    for read in (normalise, identity):
        try:
            found[read(raw, region=rules.region, check="possible")] = None
        except NumberRefused:
            continue
    if not found:
        raise NumberRefused(raw, f"{raw} is neither a phone number nor an identity that a trunk could have")
    return tuple(found)


def spellings_of_each(rules: NumberRules, numbers: Iterable[str]) -> tuple[str, ...]:
    """Return the spellings of many numbers, in their order. Raises NumberRefused at the first that is none."""
    return tuple(text for raw in numbers for text in spellings(rules, raw))


def unknown_profile(store: Store, settings: Settings, name: str | None) -> str | None:
    """Return a sentence if no profile has this name, neither published nor configured; else, and for None, None."""
    known = {**published(store), **settings.profiles}
    if name is None or name in known:
        return None
    return f'there is no profile "{name}"{did_you_mean(name, known)}'


def unknown_source(settings: Settings, name: str | None) -> str | None:
    """Return a sentence if a name looks like a misspelt source, else None: events may name any source."""
    known = (*settings.sources, *OWN_SOURCES)
    if name is None or name in known:
        return None
    meant = did_you_mean(name, known)
    if not meant:
        return None
    return f'there is no source "{name}" in the configuration{meant}'
