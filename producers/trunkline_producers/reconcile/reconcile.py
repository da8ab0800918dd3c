"""Reconciling: what a carrier's account owns is compared with the books, and what is missing is enqueued."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Protocol

from trunkline.errors import InvalidEvent
from trunkline.events.event import NumberEvent
from trunkline.events.intake import NumberRules, ProfileRule, take_in
from trunkline.events.phone import NumberRefused, normalise, spellings
from trunkline.events.routing import Route
from trunkline.lifecycle import Refusal, RefusalCode, State
from trunkline.store import Store, checkpoints
from trunkline.store.model import Entry
from trunkline.store.queries import entries_of_each
from trunkline_producers.carriers.errors import CarrierRefused, CarrierUnreadable
from trunkline_producers.carriers.inventory import Inventory, Owned, Page
from trunkline_producers.enqueue.enqueuer import Summary
from trunkline_producers.reconcile.decide import Listed, Skipped, decide, nothing_listed


class Enqueues(Protocol):
    """Takes events in, as Enqueuer does; Rehearsal only says what would become of them."""

    def each(self, events: Iterable[NumberEvent]) -> Iterator[Summary]:
        """One summary for each event, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a run has found so far: numbers listed by the carrier, known to the books, missing, enqueued, left, refused.

    `missing` are those of which an event was made, `enqueued` those that were taken in (or would be, in a rehearsal);
    the rest of them were taken in before. `left` counts numbers by the state in which they were left alone. `resumed`:
    the run went on where another was interrupted, so its numbers are not counted here.
    """

    listed: int = 0
    known: int = 0
    missing: int = 0
    enqueued: int = 0
    left: Mapping[State, int] = field(default_factory=dict, hash=False)
    refused: int = 0
    resumed: bool = False

    def as_json(self) -> dict[str, object]:
        """`{"listed", "known", "missing", "enqueued", "left": {state: numbers}, "resumed"}`."""
        return {
            "listed": self.listed,
            "known": self.known,
            "missing": self.missing,
            "enqueued": self.enqueued,
            "left": {state.value: self.left[state] for state in State if state in self.left},
            "resumed": self.resumed,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One page done: the sums so far, and of this page the numbers that were enqueued and what was refused."""

    so_far: Reconciled
    enqueued: tuple[str, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class DryRun:
    """Reads and routes events as an Enqueuer would, and stores nothing."""

    rules: NumberRules
    profiles: Mapping[str, ProfileRule]
    routes: tuple[Route, ...]
    sources: Mapping[str, Mapping[str, object]]

    def each(self, events: Iterable[NumberEvent]) -> Iterator[Summary]:
        """One summary for each event, in their order."""
        for event in events:
            taken = take_in(event, rules=self.rules, profiles=self.profiles, routes=self.routes, sources=self.sources)
            yield Summary(accepted=len(taken.numbers), rejected=taken.refused)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares inventories with one store's books.

    `source` is the name that its events bear. `listed` says what the API lists. With `keep_place` the place of a run
    is kept page by page, so that a run after an interrupted one goes on there.
    """

    store: Store
    enqueuer: Enqueues
    rules: NumberRules
    source: str
    listed: Listed = nothing_listed
    keep_place: bool = True

    def run(self, inventory: Inventory, *, from_start: bool = False) -> Iterator[Step]:
        """Goes through the inventory; each step comes when the page's missing numbers are stored.

        Raises CarrierError, StoreUnavailable and StoreError; the steps that were given out by then are done, and the
        next run goes on from there unless `from_start`.
        """
        place = None if from_start or not self.keep_place else checkpoints.read(self.store, "inventory", self.source)
        pages, resumed = self._opened(inventory, place)
        so_far = Reconciled(resumed=resumed)
        for page in pages:
            step = self._page(page, so_far)
            so_far = step.so_far
            if self.keep_place:
                checkpoints.keep(self.store, "inventory", self.source, page.next)
            yield step

    def _opened(self, inventory: Inventory, place: str | None) -> tuple[Iterator[Page], bool]:
        """The pages from a kept place on; from the first where the carrier does not know the place any more."""
        pages = inventory.pages(place)
        if place is None:
            return pages, False
        try:
            first = next(pages)
        except CarrierUnreadable:
            return inventory.pages(None), False
        except CarrierRefused as refused:
            if refused.status in (401, 403):
                raise
            return inventory.pages(None), False
        return chain([first], pages), True

    def _page(self, page: Page, so_far: Reconciled) -> Step:
        owned, refused = self._read(page)
        events: list[NumberEvent] = []
        left: dict[State, int] = dict(so_far.left)
        known = 0
        for number, entries in self._entries(owned).items():
            known += bool(entries)
            try:
                decided = decide(owned[number], number, entries, self.listed, self.source)
            except InvalidEvent as invalid:
                refused.append(Refusal(number, RefusalCode.invalid_event, str(invalid)))
                continue
            if isinstance(decided, Skipped):
                left[decided.state] = left.get(decided.state, 0) + 1
            else:
                events += decided
        enqueued: list[str] = []
        for event, summary in zip(events, self.enqueuer.each(events), strict=True):
            refused += summary.rejected
            enqueued += event.numbers if summary.accepted else ()
        return Step(
            replace(
                so_far,
                listed=so_far.listed + len(page.numbers),
                known=so_far.known + known,
                missing=so_far.missing + len(events),
                enqueued=so_far.enqueued + len(enqueued),
                left=left,
                refused=so_far.refused + len(refused),
            ),
            tuple(enqueued),
            tuple(refused),
        )

    def _entries(self, numbers: Iterable[str]) -> dict[str, list[Entry]]:
        """What the books have of numbers in E.164, however these came: a trunk keeps a DID as it was written."""
        written = {number: spellings(number) for number in numbers}
        found = entries_of_each(self.store, chain.from_iterable(written.values()))
        return {number: [entry for each in ways for entry in found[each]] for number, ways in written.items()}

    def _read(self, page: Page) -> tuple[dict[str, Owned], list[Refusal]]:
        owned: dict[str, Owned] = {}
        refused: list[Refusal] = []
        for each in page.numbers:
            try:
                owned[normalise(each.number, region=self.rules.region, check=self.rules.check)] = each
            except NumberRefused as error:
                refused.append(Refusal(each.number, RefusalCode.invalid_number, error.reason))
        return owned, refused
