"""Checks the store's invariants while the system runs, in slices that hold the server for some milliseconds each.

What a number's entry, its places and its batch say to one another is read page by page, so that much of it has moved by
the time it is compared: that makes suspects, and each is looked at again, all of it in one script, before anything is
said. Memory is bounded by what is open, not by the entries.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from trunkline.store.client import Store
from trunkline.store.connection import translated
from trunkline.store.fields import STATES
from trunkline.store.findings import Audit, Finding
from trunkline.store.model import COUNTED

PAGE: Final = 20  # entries, numbers or names that one script looks at
CHILDREN: Final = 1  # of up to 100 numbers each
BATCHES: Final = 1  # the same
SCANNED: Final = 500  # keys that one SCAN looks at
LOOKS: Final = 3  # at suspects, and at books that move
Name = tuple[str, str]
T = TypeVar("T")


def audit(store: Store, *, rest: Callable[[float], None] = time.sleep, slack_ms: int = 0) -> Audit:
    """Return which invariants do not hold. Changes nothing.

    After each slice it rests for as long as that took. `slack_ms`: how far the clock may have stepped back just now.
    Raises StoreUnavailable and StoreError as every move does.
    """
    return Auditor(store, rest, slack_ms).run()


class Scan:
    """Walks through the keys of a store, and rests after each step for as long as that took."""

    def __init__(self, store: Store, rest: Callable[[float], None]) -> None:
        self._store = store
        self._rest = rest

    def keys(self, kind: str) -> Iterator[str]:
        """The keys that begin so, without the store's prefix: all that are there all the while; some may come twice."""
        prefix = self._store.prefix
        pattern = re.sub(r"[\[\]*?\\]", r"\\\g<0>", prefix) + kind + "*"
        cursor: Any = 0
        while True:
            started = time.monotonic()
            with translated():
                cursor, keys = self._store._client.scan(cursor, match=pattern, count=SCANNED)
            self._rest(time.monotonic() - started)
            yield from (str(key).removeprefix(prefix) for key in keys)
            if int(cursor) == 0:
                return


class Auditor:
    """One audit."""

    def __init__(self, store: Store, rest: Callable[[float], None], slack_ms: int) -> None:
        self._store = store
        self._rest = rest
        self._keys = Scan(store, rest).keys
        self._slack_ms = slack_ms
        self._wrong: list[Finding] = []
        self._undecided: list[str] = []
        self._suspects: set[Name] = set()
        self._placed: set[Name] = set()  # in ready or split
        self._placed_twice: set[Name] = set()
        self._carried: set[Name] = set()  # by a batch
        self._counted: dict[str, tuple[str, dict[str, int]]] = {}
        self._found: dict[str, Counter[str]] = {}  # by profile, the states of its entries

    def run(self) -> Audit:
        """Everything, once."""
        profiles, accounts = self._members("policies"), self._members("accounts")
        self._read_places(profiles)
        self._read_carried()
        batches, rejections = self._read_keys()
        self._look_at_batches(batches)
        self._look_at_accounts(accounts)
        self._look_at_dead()
        self._judge(profiles)
        self._compare_books(profiles)
        self._look_at_due(profiles, accounts)
        self._look_at_rejections(rejections)
        return Audit(tuple(self._wrong), tuple(self._undecided), self._counted)

    # -- numbers

    def _read_places(self, profiles: Sequence[str]) -> None:
        for profile in profiles:
            for where, size in (("ready", PAGE), ("split", CHILDREN)):
                for items in self._list_backwards(profile, where, size):
                    for name in ((profile, number) for item in items for number in item.split("\n")):
                        if name in self._placed:
                            self._placed_twice.add(name)
                        self._placed.add(name)
            for page in paged(self._scores(f"retry:{profile}"), PAGE):
                self._suspects.update((profile, each) for each in self._ask("retry", profile, *page))

    def _list_backwards(self, profile: str, where: str, size: int) -> Iterator[list[str]]:
        """A list from its end: what is taken from its front meanwhile moves nothing that is still to be read."""
        last = -1
        while True:
            items, wrong = self._ask("places", profile, where, last - size + 1, last)
            self._suspects.update((profile, each) for each in wrong)
            yield items
            if len(items) < size:
                return
            last -= size

    def _read_carried(self) -> None:
        for page in paged(self._leases(), BATCHES):
            for _, profile, _, text, _, _ in self._ask("batches", *page):
                self._carried.update((profile, each) for each in text.split("\n"))

    def _read_keys(self) -> tuple[list[str], list[str]]:
        """Looks at every entry and claim; returns the ids of the batches and of the rejections that came by."""
        entries: list[Name] = []
        claims: list[Name] = []
        batches: list[str] = []
        rejections: list[str] = []
        for key in self._keys(""):
            kind, _, rest = key.partition(":")
            owner, _, number = rest.partition(":")
            match kind:
                case "entry":
                    entries.append((owner, number))
                case "route":
                    claims.append((owner, number))
                case "batch":
                    batches.append(rest)
                case "rejected" if rest:
                    rejections.append(rest)
            if len(entries) == PAGE:
                self._look_at_entries(entries)
                entries.clear()
            if len(claims) == PAGE:
                self._look_at_claims(claims)
                claims.clear()
        self._look_at_entries(entries)
        self._look_at_claims(claims)
        return batches, rejections

    def _look_at_entries(self, page: list[Name]) -> None:
        if page:
            states, marks = self._ask("entries", *flat(page))
            for name, state, mark in zip(page, states, marks, strict=True):
                self._found.setdefault(name[0], Counter())[state] += 1
                if not self._is_fine(name, mark):
                    self._suspects.add(name)

    def _is_fine(self, name: Name, mark: str) -> bool:
        if mark == "!" or name in self._placed_twice:
            return False
        return (name in self._placed) == (mark == "r") and (mark != "b" or name in self._carried)

    def _look_at_claims(self, page: list[Name]) -> None:
        if page:
            for (_, number), without in zip(page, self._ask("claims", *flat(page)), strict=True):
                self._suspects.update((profile, number) for profile in without.split())

    def _look_at_dead(self) -> None:
        for page in paged(self._scores("dead"), PAGE):
            self._suspects.update(_name(each) for each in self._ask("dead", *page))

    def _judge(self, profiles: Sequence[str]) -> None:
        """Looks at many suspects again, until those are left that look wrong each time; then at each, all at once."""
        for _ in range(LOOKS):
            if len(self._suspects) <= PAGE:
                break
            self._look_again(profiles)
        for name in sorted(self._suspects):
            (codes,) = self._ask("names", *name)  # one alone: it may take a look through a long list
            for code in codes.split():
                if code == "unknown":
                    self._undecided.append(f"{name[1]} of {name[0]} may wait nowhere: its list is too long to tell")
                else:
                    self._wrong.append(Finding(code, name))

    def _look_again(self, profiles: Sequence[str]) -> None:
        suspects, self._suspects = self._suspects, set()
        counted, self._found = self._found, {}
        self._placed.clear()
        self._placed_twice.clear()
        self._carried.clear()
        self._read_places(sorted({profile for profile, _ in suspects}.intersection(profiles)))
        self._read_carried()
        for page in paged(sorted(suspects), PAGE):
            self._look_at_entries(page)
        self._found = counted

    # -- batches

    def _look_at_batches(self, ids: Sequence[str]) -> None:
        called: dict[tuple[str, str], Name] = {}  # by account and number
        for page in paged(dict.fromkeys([*self._leases(), *ids]), BATCHES):
            for id_, said in zip(page, self._ask("batches", *page), strict=True):
                code, profile, account, text, wrong, missing = said
                if code:
                    self._wrong.append(Finding(code, (id_,)))
                self._wrong += [Finding("not_in_flight", (account, each)) for each in missing]
                self._suspects.update((profile, each) for each in wrong)
                for number in text.split("\n") if text else []:
                    name = (profile, number)
                    if (account, number) in called:
                        self._suspects.update((name, called[account, number]))
                    called[account, number] = name

    def _look_at_accounts(self, accounts: Sequence[str]) -> None:
        for account in accounts:
            for page in paged(self._in_flight(account), PAGE):
                self._wrong += [Finding("in_flight", (account, each)) for each in self._ask("adrift", account, *page)]
        for page in paged(accounts, PAGE):
            for account, (counted, noted) in zip(page, self._ask("runs", *page), strict=True):
                if counted != noted:
                    self._wrong.append(Finding("run", (account, counted, noted)))

    # -- books

    def _books(self, profiles: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for page in paged(sorted(profiles), PAGE):
            found |= zip(page, self._ask("books", *page), strict=True)
        return found

    def _compare_books(self, profiles: Sequence[str]) -> None:
        """Holds the books against the entries. Where that shows a difference the entries are counted anew, and what is
        found is said only if none of them moved meanwhile."""
        books = self._books(profiles)
        moving = {each for each in profiles if _differences(each, books[each], self._found.get(each, Counter()))}
        for _ in range(LOOKS):
            if not moving:
                break
            moving -= self._count_anew(moving)
        self._undecided += [
            f"the entries of {each} moved all the while, so they could not be held against its books: "
            "pause its account and ask again"
            for each in sorted(moving)
        ]
        for profile in profiles:
            self._wrong += _unbalanced(profile, books[profile])
        summed, noted = self._ask("waiting")
        if summed != noted:
            self._wrong.append(Finding("waiting", (summed, noted)))

    def _count_anew(self, profiles: set[str]) -> set[str]:
        """Holds the books of those profiles of which no entry moves against their entries; returns these profiles."""
        before, counts, after = self._books(profiles), self._count(profiles), self._books(profiles)
        still = {each for each in profiles if before[each] == after[each]}
        for profile in sorted(still):
            differences = _differences(profile, after[profile], counts[profile])
            self._wrong += differences
            if differences:
                by_state = {state.value: counts[profile][letter] for letter, state in STATES.items()}
                self._counted[profile] = (after[profile], by_state)
        return still

    def _count(self, profiles: set[str]) -> dict[str, Counter[str]]:
        """The states of the entries of these profiles, each entry once, though SCAN may tell of it twice."""
        counts: dict[str, Counter[str]] = {each: Counter() for each in profiles}
        seen: set[Name] = set()
        names = (split_key(key) for key in self._keys("entry:"))
        for page in paged((each for each in names if each[0] in profiles), PAGE):
            fresh = [each for each in dict.fromkeys(page) if each not in seen]
            seen.update(fresh)
            if fresh:
                for (profile, _), state in zip(fresh, self._ask("entries", *flat(fresh))[0], strict=True):
                    counts[profile][state] += 1
        return counts

    # -- what is due, and what could not be taken in

    def _look_at_due(self, profiles: Sequence[str], accounts: Sequence[str]) -> None:
        for page in paged(profiles, PAGE):
            codes = self._ask("due", self._slack_ms, *page)
            self._wrong += [Finding(code, (each,)) for each, code in zip(page, codes, strict=True) if code]
        for page in paged(accounts, PAGE):
            codes = self._ask("accounts", self._slack_ms, *page)
            self._wrong += [Finding(code, (each,)) for each, code in zip(page, codes, strict=True) if code]

    def _look_at_rejections(self, ids: Sequence[str]) -> None:
        wrong: list[Finding] = []
        for _ in range(LOOKS):
            before, size, wrong = self._bytes_of_rejections(), 0, []
            for page in paged(dict.fromkeys([*self._scores("rejected"), *ids]), PAGE):
                for id_, (code, says) in zip(page, self._ask("rejected", *page), strict=True):
                    size += says
                    if code:
                        wrong.append(Finding(code, (id_,)))
            if before == self._bytes_of_rejections():
                if size != before:
                    wrong.append(Finding("rejected_bytes", (size, before)))
                break
        else:
            self._undecided.append("rejections came and went all the while, so their bytes could not be counted")
        self._wrong += wrong

    def _bytes_of_rejections(self) -> int:
        with translated():
            return int(self._store._client.hget(f"{self._store.prefix}books", "rejected_bytes") or 0)

    # -- asking

    def _ask(self, what: str, *args: str | int) -> Any:
        started = time.monotonic()
        said = self._store.run("inspect", what, *args)
        self._rest(time.monotonic() - started)
        return said

    def _leases(self) -> list[str]:
        with translated():
            return [str(each) for each in self._store._client.zrange(f"{self._store.prefix}leases", 0, -1)]

    def _in_flight(self, account: str) -> Iterator[str]:
        with translated():
            for each in self._store._client.sscan_iter(f"{self._store.prefix}inflight:{account}", count=PAGE):
                yield str(each)

    def _scores(self, name: str) -> Iterator[str]:
        with translated():
            for member, _ in self._store._client.zscan_iter(f"{self._store.prefix}{name}", count=PAGE):
                yield str(member)

    def _members(self, name: str) -> list[str]:
        with translated():
            return sorted(map(str, self._store._client.smembers(f"{self._store.prefix}{name}")))


def _differences(profile: str, books: str, found: Counter[str]) -> list[Finding]:
    book = _counters(books)
    counts = {state.value: (found[letter], book.get(state.value, 0)) for letter, state in STATES.items()}
    return [Finding("book", (profile, name, *both)) for name, both in counts.items() if both[0] != both[1]]


def _unbalanced(profile: str, books: str) -> list[Finding]:
    book = _counters(books)
    accepted, summed = book.get("accepted", 0), sum(book.get(name, 0) for name in COUNTED)
    if accepted == summed:
        return []
    return [Finding("unbalanced", (profile, accepted, summed))]


def _counters(books: str) -> dict[str, int]:
    fields = (line.partition("=") for line in books.split("\n"))
    return {name: int(value) for name, _, value in fields if name != "tat"}


def flat(names: Iterable[Name]) -> list[str]:
    """Names as the arguments of a script."""
    return [each for name in names for each in name]


def _name(member: str) -> Name:
    profile, _, number = member.partition(" ")
    return profile, number


def split_key(key: str) -> Name:
    """The profile, or of a claim the account, and the number that a key is of."""
    _, profile, number = key.split(":", 2)
    return profile, number


def paged(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, so many at a time."""
    left = iter(items)
    while page := list(islice(left, size)):
        yield page
