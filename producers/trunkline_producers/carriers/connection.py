"""Opening of a carrier's HTTP client, whose libraries are loaded then: reading the configuration needs none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

    from trunkline_producers.carriers.client import CarrierHttp


def connect(
    name: str,
    *urls: str,
    timeout_s: float,
    transport: httpx.BaseTransport | None,
    sleep: Callable[[float], None],
) -> CarrierHttp:
    """The client of one carrier's API at `urls`; see CarrierHttp."""
    from trunkline_producers.carriers.client import CarrierHttp  # noqa: PLC0415 - a quarter of a second of imports

    return CarrierHttp(name, *urls, timeout_s=timeout_s, transport=transport, sleep=sleep)
