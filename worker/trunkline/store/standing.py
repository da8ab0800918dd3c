"""The standing of profiles, accounts and workers: counters, pauses, waiting numbers; read a pipeline at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from trunkline.store.client import Store
from trunkline.store.fields import AccountField, EntryField, PolicyField, StateLetter
from trunkline.store.model import AccountBook, Pause, ProfileBook, WorkerSeen

COUNTS: Final = (
    "accepted", "coalesced", "queued", "attaching", "attached", "dead", "dropped", "superseded", "archived",
)  # fmt: skip
PAGE: Final = 500
MAX_STALE: Final = 2_000  # places at the head of a queue, left by numbers that are gone, that are looked at
Name = tuple[str, str]


def time_of(store: Store) -> int:
    """The store's time, ms."""
    if store.now_ms is not None:
        return store.now_ms
    seconds, micros = store._client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def living(store: Store, now_ms: int) -> list[tuple[str, str]]:
    """The (digest, id) of every worker that lives."""
    found = store._client.zrangebyscore(f"{store.prefix}workers", f"({now_ms}", "+inf")
    pairs = (str(member).partition(" ") for member in found)
    return [(digest, worker) for digest, _, worker in pairs]


def workers(store: Store, alive: list[tuple[str, str]]) -> tuple[WorkerSeen, ...]:
    """Return what each of these (digest, id) last said of itself, by configuration and id."""
    with store._client.pipeline(transaction=False) as pipe:
        for _, worker in alive:
            pipe.hgetall(f"{store.prefix}worker:{worker}")
        replies: list[dict[str, str]] = pipe.execute()
    return tuple(
        WorkerSeen(
            id=worker,
            host=fields.get("host", ""),
            pid=int(fields.get("pid", 0)),
            version=fields.get("version", ""),
            threads=int(fields.get("threads", 0)),
            busy=int(fields.get("busy", 0)),
            configuration=digest,
            seen_ms=_ms(fields.get("seen")) or 0,
        )
        for (digest, worker), fields in sorted(zip(alive, replies, strict=True), key=lambda each: each[0])
    )


def profile_books(
    store: Store, policies: dict[str, dict[str, str]], counted: dict[str, dict[str, str]], digests: set[str]
) -> tuple[ProfileBook, ...]:
    """The profiles with these policies and counters, as the configurations of these digests carry them."""
    counts = {name: {field: int(counted[name].get(field, 0)) for field in COUNTS} for name in policies}
    carried = _carried(store, digests, policies)
    due = _due(store, policies)
    oldest = _oldest_waiting(store, [name for name in policies if counts[name]["queued"]])
    return tuple(
        ProfileBook(
            profile=name,
            account=policy.get(PolicyField.account, ""),
            paused=_profile_pause(policy),
            counts=counts[name],
            carried=carried[name],
            max_wait_ms=int(policy.get(PolicyField.max_wait, 0)),
            due_ms=due[name],
            oldest_waiting_ms=oldest.get(name),
            canary=policy.get(PolicyField.canary, ""),
        )
        for name, policy in policies.items()
    )


def account_book(name: str, fields: dict[str, str]) -> AccountBook:
    """An account from what the store has of it."""
    retry_at = _ms(fields.get(AccountField.open_until))
    pause = None
    if AccountField.paused in fields:
        pause = Pause(fields[AccountField.paused], _ms(fields.get(AccountField.paused_at)), None, "operator")
    elif retry_at is not None:
        pause = Pause(
            fields.get(AccountField.open_reason, ""), _ms(fields.get(AccountField.open_since)), retry_at, "api"
        )
    return AccountBook(
        account=name,
        paused=pause,
        retry_at_ms=retry_at,
        calls=int(fields.get(AccountField.calls, 0)),
        most_calls=1 if AccountField.half_open in fields else int(fields.get(AccountField.max_calls, 1)),
        interval_ms=float(fields.get(AccountField.interval, 0)),
        next_slot_ms=_ms(fields.get(AccountField.next_slot)),
    )


def _carried(store: Store, digests: set[str], policies: dict[str, dict[str, str]]) -> dict[str, bool]:
    """Of each profile, whether a living worker's configuration has it just as it was published."""
    with store._client.pipeline(transaction=False) as pipe:
        for profile in policies:
            for digest in sorted(digests):
                pipe.hget(f"{store.prefix}config:{digest}", f"p:{profile}")
        replies: Iterator[str | None] = iter(pipe.execute())
    found = {}
    for profile, policy in policies.items():
        configured = [next(replies) for _ in digests]
        found[profile] = any(
            text is not None and text.partition(" ")[0] == policy.get(PolicyField.fingerprint) for text in configured
        )
    return found


def _due(store: Store, policies: dict[str, dict[str, str]]) -> dict[str, int | None]:
    with store._client.pipeline(transaction=False) as pipe:
        for name, policy in policies.items():
            account = policy.get(PolicyField.account, "")
            pipe.zscore(f"{store.prefix}due:{account}", name)
        return {name: _ms(score) for name, score in zip(policies, pipe.execute(), strict=True)}


def _oldest_waiting(store: Store, profiles: list[str]) -> dict[str, int]:
    """When the oldest of those that go next was queued: the heads of ready, of split and of retry."""
    with store._client.pipeline(transaction=False) as pipe:
        for name in profiles:
            pipe.lindex(f"{store.prefix}ready:{name}", 0)
            pipe.lindex(f"{store.prefix}split:{name}", 0)
            pipe.zrange(f"{store.prefix}retry:{name}", 0, 0)
        replies: list[Any] = pipe.execute()
    heads: list[Name] = []
    for index, name in enumerate(profiles):
        ready, child, retries = replies[3 * index : 3 * index + 3]
        first = [ready, child.split("\n")[0] if child else None, *retries]
        heads += [(name, str(number)) for number in first if number]
    oldest = _earliest(store, heads)
    for name in profiles:
        if name not in oldest:
            oldest |= _behind_the_stale(store, name)
    return oldest


def _behind_the_stale(store: Store, profile: str) -> dict[str, int]:
    """The same where the heads have places only that cancelled or superseded numbers left behind."""
    for start in range(0, MAX_STALE, PAGE):
        page = list(map(str, store._client.lrange(f"{store.prefix}ready:{profile}", start, start + PAGE - 1)))
        found = _earliest(store, ((profile, number) for number in page))
        if found or len(page) < PAGE:
            return found
    return {}


def _earliest(store: Store, names: Iterable[Name]) -> dict[str, int]:
    """By profile, when the earliest was queued of those of its numbers that wait."""
    names = list(names)
    with store._client.pipeline(transaction=False) as pipe:
        for profile, number in names:
            pipe.hmget(f"{store.prefix}entry:{profile}:{number}", [EntryField.state, EntryField.queued_at])
        replies: list[list[str | None]] = pipe.execute()
    found: dict[str, int] = {}
    for (profile, _), (state, queued) in zip(names, replies, strict=True):
        at_ms = _ms(queued)
        if state == StateLetter.queued and at_ms is not None:
            found[profile] = min(found.get(profile, at_ms), at_ms)
    return found


def _profile_pause(policy: dict[str, str]) -> Pause | None:
    if PolicyField.paused in policy:
        return Pause(policy[PolicyField.paused], _ms(policy.get(PolicyField.paused_at)), None, "operator")
    if PolicyField.refused in policy:
        return Pause(policy[PolicyField.refused], _ms(policy.get(PolicyField.refused_at)), None, "api")
    return None


def _ms(value: Any) -> int | None:
    return None if value is None else int(float(value))
