"""The register of workers: who lives, with which configuration, and whose policies count."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Final

from trunkline.store.client import Store
from trunkline.store.connection import translated
from trunkline.store.model import Policies
from trunkline.store.wire import pages_of

RETRIES_A_PAGE: Final = 200
NAMES_A_PAGE: Final = 200
MAX_ROUNDS: Final = 20  # of governing, while other workers come and go


@dataclass(frozen=True, slots=True)
class Beat:
    """The store's reply to a beat: policies changed, ms that the clock stepped back, living workers."""

    changed: int
    stepped_back_ms: int
    living: int


class Registration:
    """One worker in the register. `ttl_ms` is how long it counts as living without a beat.

    Not safe for several threads. Every method raises StoreUnavailable and StoreError as the store's moves do.
    """

    def __init__(self, store: Store, policies: Policies, *, worker: str, ttl_ms: int) -> None:
        self._store = store
        self._pages = pages_of(policies)
        self._worker = worker
        self._ttl_ms = ttl_ms
        self._first_seen = ""  # its configuration, by the store's clock: a store that is restored may have forgotten it
        self.digest = digest_of(policies)

    def join(self, about: Mapping[str, str | int] | None = None) -> Beat:
        """Registers with the configuration; when it returns, the policies are those of all who live."""
        self._configure()
        said = self.beat(about)
        self._store.worker, self._store.digest = self._worker, self.digest
        return said

    def beat(self, about: Mapping[str, str | int] | None = None) -> Beat:
        """Says that the worker lives; registers again where the store forgot it, and mends what changed meanwhile."""
        words = json.dumps(dict(about or {}))
        configured, governed, back_ms, living = self._store.run("beat", self._worker, self.digest, self._ttl_ms, words)
        if not configured:
            self._configure()
            governed = 0
        changed = 0 if governed else self.govern()
        if back_ms:
            self._put_times_right()
        return Beat(changed, back_ms, living)

    def leave(self) -> None:
        """Takes the worker off the register, so that nobody waits for it to be missed."""
        self._store.run("beat", self._worker, self.digest, 0, "{}")

    def govern(self) -> int:
        """Brings every policy in line with the configurations of those who live; how many changed."""
        changed = 0
        for _ in range(MAX_ROUNDS):
            _, more, done = self._round()
            changed += more
            if done:
                break
        return changed

    def _round(self) -> tuple[str, int, bool]:
        """All policies once, page by page; False where the configurations changed meanwhile."""
        living, changed = "", 0
        accounts, profiles = self._names()
        pages = list(_paged(profiles, NAMES_A_PAGE)) or [[]]
        for index, page in enumerate(pages):
            said = json.dumps({"accounts": [] if index else accounts, "profiles": page})
            last = index == len(pages) - 1
            before = living
            living, more = self._store.run("govern", said, before, "1" if last and before else "")
            changed += more
            if before and living != before:
                return living, changed, False
        if len(pages) == 1:  # the first page could not know the configurations before it ran
            again = json.dumps({"accounts": [], "profiles": []})
            return living, changed, bool(self._store.run("govern", again, living, "1")[0] == living)
        return living, changed, True

    def _names(self) -> tuple[list[str], list[str]]:
        """The accounts and profiles of every configuration that a living worker has."""
        client, prefix = self._store._client, self._store.prefix
        accounts: dict[str, None] = {}
        profiles: dict[str, None] = {}
        with translated():
            digests = {str(each).partition(" ")[0] for each in client.zrange(f"{prefix}workers", 0, -1)}
            for digest in sorted(digests):
                for field in map(str, client.hkeys(f"{prefix}config:{digest}")):
                    kind, _, name = field.partition(":")
                    if kind in ("a", "p"):
                        (accounts if kind == "a" else profiles)[name] = None
        return list(accounts), list(profiles)

    def _configure(self) -> None:
        for index, page in enumerate(self._pages):
            last = "1" if index == len(self._pages) - 1 else ""
            said = self._store.run("configure", self.digest, self._worker, json.dumps(page), last, self._first_seen)
            self._first_seen = str(said) if last else self._first_seen

    def _put_times_right(self) -> None:
        """After the clock stepped back: retries, leases and breakers that lie as far ahead as it stood."""
        client, prefix = self._store._client, self._store.prefix
        self._store.run("retime", "")
        with translated():
            profiles = sorted(map(str, client.smembers(f"{prefix}policies")))
        for profile in profiles:
            with translated():
                waiting = [str(each) for each, _ in client.zscan_iter(f"{prefix}retry:{profile}", count=RETRIES_A_PAGE)]
            for page in _paged(waiting, RETRIES_A_PAGE):
                self._store.run("retime", profile, *page)
            self._store.run("retime", profile)
        self._store.run("retime", "done")


def digest_of(policies: Policies) -> str:
    """16 hex digits of what the scripts know of a configuration: the same for the same policies, in any order."""
    pages = pages_of(policies)
    accounts = pages[0]["accounts"]
    profiles = {name: text for page in pages for name, text in page["profiles"].items()}
    canonical = json.dumps([accounts, profiles], sort_keys=True, separators=(",", ":"))
    return blake2b(canonical.encode(), digest_size=8).hexdigest()


def _paged(names: list[str], size: int) -> Iterator[list[str]]:
    left = iter(names)
    while page := list(islice(left, size)):
        yield page
