"""Paging by cursor: a page of a long list, and the cursor at which the next page begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Page(Generic[Item]):
    """An iterator over at most `limit` items (None: all) that are read as they are asked for.

    `next_cursor` is set once the page was read to its end: the cursor of the page after it, None after the last page.
    `cursor_after` makes the cursor from the last item of the page.
    """

    def __init__(self, items: Iterator[Item], limit: int | None, cursor_after: Callable[[Item], str]) -> None:
        self._items = items
        self._left = limit
        self._cursor_after = cursor_after
        self._last: Item | None = None
        self.next_cursor: str | None = None

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._left == 0:
            self._end()
            raise StopIteration
        self._last = next(self._items)
        if self._left is not None:
            self._left -= 1
        return self._last

    def _end(self) -> None:
        """Set the cursor, if there is another item; it is looked for once."""
        if self._last is not None and next(self._items, None) is not None:
            self.next_cursor = self._cursor_after(self._last)
        self._last = None
