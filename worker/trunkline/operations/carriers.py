"""Carriers as `reconcile` asks them: which one a source names, its client, and what to write where it is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from trunkline.config.settings import ConfigError, Settings
from trunkline.operations.names import WrongUse
from trunkline.text import did_you_mean
from trunkline_producers.carriers import ApiTable, read_api
from trunkline_producers.carriers.bandwidth import Bandwidth
from trunkline_producers.carriers.config import CARRIERS, INVENTORIES
from trunkline_producers.carriers.telnyx import Telnyx
from trunkline_producers.carriers.twilio import Twilio

Client = Telnyx | Twilio | Bandwidth

_SECTION: Final = {  # with what its webhooks are verified by
    "telnyx": """[sources.{name}]
type = "telnyx"
profile = "PROFILE"
public_keys = [{{ env = "TELNYX_PUBLIC_KEY" }}]""",
    "twilio": """[server]
public_url = "https://hooks.example.com"

[sources.{name}]
type = "twilio"
profile = "PROFILE"
keys = [{{ env = "TWILIO_AUTH_TOKEN" }}]""",
    "bandwidth": """[sources.{name}]
type = "bandwidth"
profile = "PROFILE"
verify = {{ username = "bandwidth" }}
keys = [{{ env = "BANDWIDTH_CALLBACK_PASSWORD" }}]""",
}
_API: Final = {
    "telnyx": """[sources.{name}.api]
key = {{ env = "TELNYX_API_KEY" }}""",
    "twilio": """[sources.{name}.api]
account = "ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
key = {{ env = "TWILIO_AUTH_TOKEN" }}""",
    "bandwidth": """[sources.{name}.api]
account = "5000000"
user = "CLIENT-ID"
key = {{ env = "BANDWIDTH_CLIENT_SECRET" }}""",
}
_CLIENTS: Final[dict[str, Callable[..., Client]]] = {
    "telnyx": Telnyx,
    "twilio": Twilio,
    "bandwidth": Bandwidth,
}


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


def client_of(section: Mapping[str, object], api: ApiTable, pause: Callable[[], None]) -> Client:
    """Return a client of the carrier that a section of sources names; `pause` is called between two pages."""
    return _CLIENTS[carrier_of(section)](api, pause=pause)


def purchases_of(client: Client) -> Twilio | None:
    """Return the client if its carrier logs purchases, else None."""
    if isinstance(client, Twilio):
        return client
    return None


def carrier_of(section: Mapping[str, object]) -> str:
    """Return the name of the carrier that a section of sources names, "" if it names none."""
    return CARRIERS.get(str(section.get("type")), "")


def _no_section(settings: Settings, name: str) -> str:
    if name in INVENTORIES:
        return f"there is no [sources.{name}]; write\n\n{_section_text(name)}\n\n{_api_text(name, name)}"
    return f"there is no [sources.{name}]{did_you_mean(name, (*settings.sources, *INVENTORIES))}"


def _section_text(carrier: str) -> str:
    return _SECTION[carrier].format(name=carrier)


def _api_text(carrier: str, name: str) -> str:
    return _API[carrier].format(name=name)
