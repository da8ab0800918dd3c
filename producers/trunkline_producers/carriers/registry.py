"""All carriers, a row each, and the reader of a source's table `api`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from trunkline.errors import Mistake
from trunkline.schema import Resolve, mistakes_of, refuse_secrets
from trunkline_producers.carriers import bandwidth, didww, telnyx, twilio
from trunkline_producers.carriers.config import ApiTable
from trunkline_producers.carriers.descriptor import Carrier
from trunkline_producers.carriers.inventory import Inventory, OrderLookup

_ROWS: Final = (
    telnyx.CARRIER,
    twilio.CARRIER,
    bandwidth.CARRIER,
    didww.CARRIER,
)

CARRIERS: Final[Mapping[str, Carrier]] = MappingProxyType(  # by the type of a source, which may be the carrier's name
    {kind: carrier for carrier in _ROWS for kind in carrier.types}
)
INVENTORIES: Final[Mapping[str, Callable[..., Inventory]]] = MappingProxyType(  # by the carrier's name
    {carrier.name: carrier.inventory for carrier in _ROWS if carrier.inventory is not None}
)
ORDERS: Final[Mapping[str, Callable[..., OrderLookup]]] = MappingProxyType(  # by the `fetch` of a case
    {carrier.fetcher: carrier.orders for carrier in _ROWS if carrier.orders is not None}
)
_HOW: Final = '; write key = { env = "NAME" }'


def read_api(
    source: Mapping[str, object], place: str, *, resolve: Resolve = refuse_secrets
) -> tuple[ApiTable | None, list[Mistake]]:
    """Read the table `api` of a source; the first result is None if there is no such table or it has mistakes.

    `place` is the source's own (`sources.telnyx`). Secrets are Secret already, or references that `resolve` takes.
    """
    raw, place = source.get("api"), f"{place}.api"
    carrier = CARRIERS.get(str(source.get("type")))
    if raw is None:
        return None, []
    if not isinstance(raw, Mapping):
        return None, [Mistake(place, "must be a table")]
    if carrier is None:
        return None, [Mistake(place, f"is of no use here: only {', '.join(CARRIERS)} have an API that is asked")]
    return _read(raw, carrier, place, resolve)


def _read(
    raw: Mapping[str, object], carrier: Carrier, place: str, resolve: Resolve
) -> tuple[ApiTable | None, list[Mistake]]:
    mistakes = [Mistake(f"{place}.{name}", text) for name, text in carrier.required.items() if name not in raw]
    if "key" not in raw:
        mistakes.append(Mistake(f"{place}.key", f"is required{_HOW}"))
        raw = {**raw, "key": {"env": "missing"}}
    given = {"url": carrier.url, "page_size": carrier.max_page_size, **raw}
    try:
        table = ApiTable.model_validate(given, context={"resolve": resolve})
    except ValidationError as error:
        told = {mistake.place for mistake in mistakes}
        mistakes += [mistake for mistake in mistakes_of(error, place) if mistake.place not in told]
        return None, mistakes
    mistakes += _out_of_bounds(table, carrier, place)
    if mistakes:
        return None, mistakes
    return table, []


def _out_of_bounds(table: ApiTable, carrier: Carrier, place: str) -> list[Mistake]:
    mistakes = []
    if table.page_size > carrier.max_page_size:
        mistakes.append(Mistake(f"{place}.page_size", f"must be at most {carrier.max_page_size}"))
    if not table.key.value.get_secret_value().strip():
        mistakes.append(Mistake(f"{place}.key", f"is empty ({table.key.ref}); set it"))
    return mistakes
