"""A client of the last release's store: its scripts, with the arguments that it gave them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from trunkline.events.intake import Delivery
from trunkline.store import Store
from trunkline.store.model import Batch, Disposition, Leased, Policies, Settlement

OLD_KINDS = {"in_doubt": "verify", "released": "back"}
OLD_VERIFY: dict[str, Literal["", "in_doubt", "check"]] = {"": "", "d": "in_doubt", "c": "check"}
FOLDER = Path(__file__).parents[1] / "data" / "store-0.1"
REMEMBER_MS = 7 * 24 * 3600 * 1000
PROBE_LEASE_MS = 30_000
DAY_MS = 24 * 3600 * 1000
_salts = itertools.count()


@cache
def script(name: str) -> str:
    return "\n".join((FOLDER / f"{each}.lua").read_text("utf-8") for each in ("prelude", name))


class OldStore:
    """The moves of version 0.1, on the store and by the clock of another client."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def publish(self, policies: Policies, *, whole: bool = True) -> None:
        accounts = {a: {"cap": r.max_concurrency, "iv": r.interval_ms} for a, r in policies.accounts.items()}
        profiles = {
            p: {
                "account": r.account, "size": r.max_size, "wait": r.max_wait_ms, "fp": r.fingerprint,
                "dirs": r.directions, "trunk": "1" if r.trunk else "",
            }
            for p, r in policies.profiles.items()
        }  # fmt: skip
        self._run("publish", "1" if whole else "0", json.dumps({"accounts": accounts, "profiles": profiles}))

    def push(self, deliveries: Sequence[Delivery]) -> None:
        args: list[str | int] = [2_000_000, REMEMBER_MS]
        for each in deliveries:
            occurred = "" if each.occurred_ms is None else each.occurred_ms
            args += [each.source, each.event_id, occurred, each.metadata, "1" if each.force else ""]
            args += [len(each.refused), len(each.numbers), *(text for name in each.numbers for text in name)]
        self._run("push", *args)

    def claim(self, lease_ms: int) -> Batch | None:
        """A batch, or None where nothing is due now."""
        said = self._run("claim", lease_ms, f"old{next(_salts)}", PROBE_LEASE_MS)
        if said[0] != "batch":
            return None
        _, id_, profile, account, fingerprint, kind, half, gates, now, joined, special = said
        known = json.loads(special)
        numbers = tuple(
            Leased(
                each, attempts=int(known.get(each, ["0"])[0] or 0), verify=OLD_VERIFY[known.get(each, ["", "", ""])[2]]
            )
            for each in joined.split("\n")
        )
        return Batch(id_, profile, account, fingerprint, kind == "s", half == 1, int(gates), int(now), numbers)

    def permit(self, batch_id: str, account: str, numbers: int) -> str:
        return str(self._run("permit", batch_id, account, numbers)[0])

    def settle(self, batch_id: str, said: Settlement) -> bool:
        others = [
            [o.number, OLD_KINDS.get(o.kind, o.kind), _when(o), o.code, o.api_code, o.message, o.answer]
            for o in said.dispositions
        ]
        document: dict[str, Any] = {
            "fp": said.fingerprint, "attached": said.attached, "others": others, "absent": said.absent,
            "healthy": said.healthy,
        }  # fmt: skip
        if said.breaker:
            document["gate"] = {"ms": said.breaker.ms, "reason": said.breaker.reason}
        return bool(self._run("settle", batch_id, json.dumps(document)) == 1)

    def reap(self) -> int:
        return int(self._run("reap", 16)[0])

    def replay(self, names: Iterable[tuple[str, str]]) -> int:
        return int(self._run("replay", *(text for name in names for text in name)))

    def drop(self, state: str, names: Iterable[tuple[str, str]]) -> int:
        return int(self._run("drop", state, *(text for name in names for text in name))[0])

    def archive(self, keep_days: int) -> int:
        assert self.store.now_ms is not None
        return int(self._run("archive", self.store.now_ms // DAY_MS - keep_days, 500)[0])

    def look(self) -> int:
        return int(self._run("look", 8)[0])

    def gate(self, what: str, name: str) -> None:
        self._run("gate", what, name, "maintenance", "")

    def _run(self, name: str, *args: str | float) -> Any:
        now = "" if self.store.now_ms is None else self.store.now_ms
        return self.store._client.eval(script(name), 1, self.store.prefix, now, *args)


def _when(said: Disposition) -> str | int:
    return said.dead_code if said.kind == "dead" else said.at_ms
