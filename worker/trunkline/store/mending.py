"""Puts right what an audit found wrong and what can be proved, a little at a time, while everything goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trunkline.store.auditing import PAGE, audit, paged
from trunkline.store.client import Store
from trunkline.store.findings import MENDED, Audit, Finding

ROUNDS: Final = 6  # mending one thing may bring the next to light
BY_ID: Final = {"lease_only": "batches", "no_lease": "batches", "batch_size": "batches"} | dict.fromkeys(
    ("rejected_gone", "rejected_lost", "rejected_size"), "rejected"
)
DUE: Final = dict.fromkeys(("not_due", "due_idle", "due_late"), "due") | dict.fromkeys(
    ("account_not_due", "account_idle", "account_late"), "accounts"
)
IN_FLIGHT: Final = {"not_in_flight": "missing", "in_flight": "adrift"}
BOOKS: Final = ("book", "unbalanced", "waiting", "rejected_bytes")  # last: whatever else is mended moves them


@dataclass(frozen=True, slots=True)
class Repair:
    """Result of a repair: a sentence for each mend, and what an audit found after it."""

    mended: tuple[str, ...]
    left: Audit


def repair(store: Store, *, rest: Callable[[float], None] = time.sleep) -> Repair:
    """Audits, mends what can be proved, and audits again, until nothing more can be mended.

    Each thing is looked at again in the script that mends it, so that it is right while everything goes on. No number
    is ever said to be attached. Raises StoreUnavailable and StoreError as every move does.
    """
    mender = Mender(store, rest)
    found = audit(store, rest=rest)
    for _ in range(ROUNDS):
        if not found.wrong or not mender.mend(found):
            break
        found = audit(store, rest=rest)
    return Repair(tuple(mender.mended), found)


class Mender:
    """Mends what audits find, and says what it did."""

    def __init__(self, store: Store, rest: Callable[[float], None]) -> None:
        self._store = store
        self._rest = rest
        self.mended: list[str] = []

    def mend(self, found: Audit) -> bool:
        """Mends what it can of this, the books only where nothing else is to be mended; whether it mended anything."""
        before = len(self.mended)
        elsewhere = {*BY_ID, *IN_FLIGHT, *DUE, *BOOKS, "run"}
        self._by_id(_with(found, BY_ID), BY_ID)
        self._in_flight(_with(found, IN_FLIGHT))
        self._names(each for each in found.wrong if each.code not in elsewhere)
        self._runs(_with(found, {"run"}))
        self._by_id(_with(found, DUE), DUE)
        if len(self.mended) == before:
            self._books(found)
        return len(self.mended) > before

    def _by_id(self, findings: Sequence[Finding], whats: dict[str, str]) -> None:
        for what in dict.fromkeys(whats.values()):
            ids = [str(each.about[0]) for each in findings if whats[each.code] == what]
            for page in paged(dict.fromkeys(ids), PAGE):
                for id_, code in zip(page, self._do(what, *page), strict=True):
                    self._tell([code] if code else [], id_)

    def _in_flight(self, findings: Sequence[Finding]) -> None:
        for code, what in IN_FLIGHT.items():
            for account in dict.fromkeys(str(each.about[0]) for each in findings if each.code == code):
                numbers = [str(f.about[1]) for f in findings if f.code == code and f.about[0] == account]
                for page in paged(numbers, PAGE):
                    for number in self._do(what, account, *page):
                        self._tell([code], account, number)

    def _names(self, findings: Iterable[Finding]) -> None:
        for profile, number in dict.fromkeys(each.about for each in findings):
            self._tell(self._do("names", profile, number).split(), profile, number)

    def _runs(self, findings: Sequence[Finding]) -> None:
        for page in paged(findings, PAGE):
            said = self._do("runs", *(str(each.about[0]) for each in page))
            for each, changed in zip(page, said, strict=True):
                self._tell(["run"] if changed else [], *each.about)

    def _books(self, found: Audit) -> None:
        for profile, (books, counts) in found.counted.items():
            fields = [each for pair in counts.items() for each in pair]
            if self._do("book", profile, books, *fields):
                self._tell(["book"], profile)
        for each in found.wrong:
            if each.code == "unbalanced" and self._do("balance", each.about[0]):
                self._tell(["unbalanced"], each.about[0])
            elif each.code == "waiting" and self._do("waiting"):
                self._tell(["waiting"])
            elif each.code == "rejected_bytes" and self._do("bytes", each.about[1], each.about[0]):
                self._tell(["rejected_bytes"], *each.about)

    def _tell(self, codes: Iterable[str], *about: str | int) -> None:
        self.mended += [MENDED[code].format(*about) for code in codes]

    def _do(self, what: str, *args: str | int) -> Any:
        started = time.monotonic()
        said = self._store.run("mend", what, *args)
        self._rest(time.monotonic() - started)
        return said


def _with(found: Audit, codes: Container[str]) -> list[Finding]:
    return [each for each in found.wrong if each.code in codes]
