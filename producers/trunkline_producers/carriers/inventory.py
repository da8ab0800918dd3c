"""The numbers that a carrier's account owns, pages of them, and the interfaces of carriers' clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar, runtime_checkable


@dataclass(frozen=True, slots=True)
class Owned:
    """A number of the account, with its country code; `id` is the carrier's own, "" where it has none.

    `since` is when it was bought or ported in (aware), None where the carrier does not say. `metadata` is short text.
    """

    number: str
    id: str = ""
    since: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the account's numbers; `next` is the start of the next page, None at the end."""

    numbers: tuple[Owned, ...]
    next: str | None

    @property
    def held(self) -> tuple[object, ...]:
        """The items of the page."""
        return self.numbers


@dataclass(frozen=True, slots=True)
class Bought:
    """A purchase in a carrier's audit log; `number_id` is the carrier's id of the number, `at` is aware."""

    event_id: str
    number_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class BoughtPage:
    """One page of an audit log; `next` as of Page."""

    bought: tuple[Bought, ...]
    next: str | None

    @property
    def held(self) -> tuple[object, ...]:
        """The items of the page."""
        return self.bought


AnyPage = TypeVar("AnyPage", Page, BoughtPage)


class Inventory(Protocol):
    """Lists the numbers that an account owns."""

    def pages(self, start: str | None = None) -> Iterator[Page]:
        """Yield every page from `start` on, which is the `next` of an earlier page, or None for the first.

        Raises CarrierError; the pages that were yielded before are good.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@runtime_checkable
class AuditLog(Protocol):
    """Lists when numbers were bought."""

    def bought_since(self, since: datetime) -> Iterator[tuple[Bought, ...]]:
        """Yield the purchases since then, page by page, in no particular order. Raises CarrierError."""
        ...

    def number(self, number_id: str) -> Owned | None:
        """The number of this id; None if the account no longer owns it or it can't take calls. Raises CarrierError."""
        ...


class OrderLookup(Protocol):
    """Finds the numbers of an order that a webhook only names."""

    def numbers_of_order(self, order_id: str, *, budget_s: float) -> tuple[str, ...]:
        """The numbers of the order, with their country codes, within `budget_s` seconds in all. Raises CarrierError."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
