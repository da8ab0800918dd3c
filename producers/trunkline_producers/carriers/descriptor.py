"""The descriptor of a carrier: each carrier's file ends with one, and `registry` has a row for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trunkline_producers.carriers.inventory import Inventory, OrderLookup


@dataclass(frozen=True, slots=True)
class Carrier:
    """Everything that the rest of the program knows of one carrier.

    `url` and `max_page_size` are the defaults of `[sources.NAME.api]`, the latter also its bound; `required` maps a
    field of that table to the sentence for its absence. `section` and `api_section` are the TOML that an operator is
    shown, with `{name}` for the source. `inventory` and `orders` connect to the API and take an ApiTable: the one lists
    the account's numbers, the other finds the numbers of an order for the cases with `fetch = fetcher`.
    """

    name: str
    types: tuple[str, ...]  # of a source
    url: str
    max_page_size: int
    required: Mapping[str, str] = field(default_factory=dict)
    section: str = ""
    api_section: str = ""
    inventory: Callable[..., Inventory] | None = None
    fetcher: str = ""
    orders: Callable[..., OrderLookup] | None = None
