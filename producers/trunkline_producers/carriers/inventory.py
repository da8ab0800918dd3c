"""What a carrier's account owns: numbers, pages of them, and who can list them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar


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
    """A part of what is owned; `next` is where to go on, None at the end."""

    numbers: tuple[Owned, ...]
    next: str | None

    @property
    def held(self) -> tuple[object, ...]:
        """What is on the page."""
        return self.numbers


@dataclass(frozen=True, slots=True)
class Bought:
    """A purchase as a carrier's audit log has it; `number_id` is the carrier's id of the number, `at` is aware."""

    event_id: str
    number_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class BoughtPage:
    """A part of an audit log; `next` as of Page."""

    bought: tuple[Bought, ...]
    next: str | None

    @property
    def held(self) -> tuple[object, ...]:
        """What is on the page."""
        return self.bought


AnyPage = TypeVar("AnyPage", Page, BoughtPage)


class Inventory(Protocol):
    """Lists what an account owns."""

    def pages(self, start: str | None = None) -> Iterator[Page]:
        """Every page from `start` on, which is the `next` of an earlier page, or None for the first.

        Raises CarrierError; the pages that were given out by then are good.
        """
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...


class AuditLog(Protocol):
    """Knows when numbers were bought."""

    def bought_since(self, since: datetime) -> Iterator[tuple[Bought, ...]]:
        """The purchases since then, page by page, in no particular order. Raises CarrierError."""
        ...

    def number(self, number_id: str) -> Owned | None:
        """The number of this id; None where it is not owned any more or can't take calls. Raises CarrierError."""
        ...
