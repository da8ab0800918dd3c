"""Whether a store is sound: what a script finds that looks at everything at once, and what `trunkline audit` finds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import redis

from trunkline.store import Store, auditing, scripts

BODY = Path(__file__).parents[1] / "data" / "audit.lua"


@cache
def oracle() -> scripts.Script:
    """Checks everything in one script, however long that holds the server."""
    return scripts.assembled("audit", BODY.read_text("utf-8"))


def found_at_once(store: Store, clock_slack_ms: int = 0) -> list[str]:
    """What of the invariants does not hold, all of it looked at in one script."""
    now = "" if store.now_ms is None else str(store.now_ms)
    script = oracle()
    try:
        found: Any = store._client.evalsha(script.sha, 1, store.prefix, now, str(clock_slack_ms))
    except redis.exceptions.NoScriptError:
        found = store._client.eval(script.text, 1, store.prefix, now, str(clock_slack_ms))
    return list(map(str, found))


def found_in_slices(store: Store) -> list[str]:
    """What `trunkline audit` finds."""
    return [str(each) for each in auditing.audit(store, rest=lambda _: None).wrong]


def audit(store: Store) -> list[str]:
    """What either of them finds."""
    return found_at_once(store) + found_in_slices(store)
