"""Carriers as `reconcile` asks them: which one a source names, its client, and what to write where it is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trunkline.config.settings import ConfigError, Settings
from trunkline.operations.names import WrongUse
from trunkline.text import did_you_mean
from trunkline_producers.carriers import ApiTable, read_api
from trunkline_producers.carriers.inventory import AuditLog, Inventory
from trunkline_producers.carriers.registry import CARRIERS, INVENTORIES


def api_of(settings: Settings, name: str) -> ApiTable:
    """Return how the API of a source is reached.

    Raises WrongUse with what to write if the source is not there, can't be asked or has no API; ConfigError.
    """
    section = settings.sources.get(name)
    if section is None:
        raise WrongUse(_no_section(settings, name))
    carrier = carrier_of(section)
    if carrier not in INVENTORIES:
        types = ", ".join(INVENTORIES)
        raise WrongUse(f"sources.{name} is no carrier that can be asked; its type must be {types}")
    api, mistakes = read_api(section, f"sources.{name}")
    if mistakes:
        raise ConfigError(tuple(mistakes))
    if api is None:
        raise WrongUse(f"[sources.{name}] does not say how its API is reached; write\n\n{_api_text(carrier, name)}")
    return api


def client_of(section: Mapping[str, object], api: ApiTable, pause: Callable[[], None]) -> Inventory:
    """Return a client of the carrier that a section of sources names; `pause` is called between two pages."""
    return INVENTORIES[carrier_of(section)](api, pause=pause)


def purchases_of(client: Inventory) -> AuditLog | None:
    """Return the client if its carrier logs purchases, else None."""
    if isinstance(client, AuditLog):
        return client
    return None


def carrier_of(section: Mapping[str, object]) -> str:
    """Return the name of the carrier that a section of sources names, "" if it names none."""
    found = CARRIERS.get(str(section.get("type")))
    if found is None:
        return ""
    return found.name


def _no_section(settings: Settings, name: str) -> str:
    if name in INVENTORIES:
        return f"there is no [sources.{name}]; write\n\n{_section_text(name)}\n\n{_api_text(name, name)}"
    return f"there is no [sources.{name}]{did_you_mean(name, (*settings.sources, *INVENTORIES))}"


def _section_text(carrier: str) -> str:
    return CARRIERS[carrier].section.format(name=carrier)


def _api_text(carrier: str, name: str) -> str:
    return CARRIERS[carrier].api_section.format(name=name)
