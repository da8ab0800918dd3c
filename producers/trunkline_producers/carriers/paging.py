"""Going from page to page: bounded, polite, and never round in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from trunkline_producers.carriers.errors import CarrierUnreadable
from trunkline_producers.carriers.inventory import AnyPage

MAX_PAGES: Final = 20_000


def walk(
    fetch: Callable[[str], AnyPage], start: str, *, pause: Callable[[], None] = lambda: None, most: int = MAX_PAGES
) -> Iterator[AnyPage]:
    """Every page from `start` on, with `pause` before each but the first.

    Raises CarrierUnreadable where a page leads back to an earlier one, repeats the one before, or there is no end.
    """
    seen: set[str] = set()
    here: str | None = start
    before: AnyPage | None = None
    while here is not None:
        if here in seen:
            raise CarrierUnreadable("the pages lead round in a circle")
        if len(seen) >= most:
            raise CarrierUnreadable(f"there are more than {most} pages")
        if seen:
            pause()
        seen.add(here)
        page = fetch(here)
        if page.held and before is not None and page.held == before.held:
            raise CarrierUnreadable("the same page comes again and again")
        before = page
        yield page
        here = page.next
