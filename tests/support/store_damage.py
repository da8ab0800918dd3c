"""A store with numbers in every state and place, and every kind of damage that raw commands can do to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support.store_steps import attach, claim, number, publish, push, sent, settle
from trunkline.store import Store, rejections
from trunkline.store.model import Batch
from trunkline.store.rejections import Rejection

(ATTACHED, DEAD, SUPERSEDED, DROPPED, RETRY, SPLIT, SPLIT_TOO, UNDER_WAY, UNDER_WAY_TOO, READY) = map(number, range(10))
NOBODY = "+19"
HOUR_MS = 3_600_000
FAR = 2_000_000_000_000
REJECTION = Rejection("0" * 16, "crm", "invalid_event", "not JSON")


def furnish(store: Store) -> Batch:
    """Numbers of `support` in every state and place; returns the batch that is under way."""
    assert store.now_ms is not None
    store.versions()
    publish(store, size=2, profiles=("support", "other"))
    push(store, ATTACHED)
    attach(store, sent(store, claim(store)))
    push(store, DEAD)
    settle(store, claim(store), "dead", dead_code="rejected_by_api")
    push(store, DROPPED)
    assert store.cancel([("support", DROPPED)]).dropped == 1
    push(store, RETRY)
    settle(store, claim(store), "retry", store.now_ms + HOUR_MS)
    push(store, UNDER_WAY, UNDER_WAY_TOO)
    under_way = claim(store)
    push(store, SPLIT, SPLIT_TOO)
    settle(store, claim(store), "split")
    push(store, SUPERSEDED)
    push(store, SUPERSEDED, profile="other")
    push(store, READY)
    rejections.keep(store, REJECTION, counts=True)
    return under_way


Do = Callable[[Store, Batch], object]


@dataclass(frozen=True, slots=True)
class Damage:
    """Something done by hand, and the codes that an audit has to find for it."""

    what: str
    codes: frozenset[str]
    do: Do


def raw(*words: str | int) -> Do:
    """One command; a word that begins with ":" is a key without its prefix, BATCH the batch that is under way."""

    def do(store: Store, batch: Batch) -> object:
        said = [str(word).replace("BATCH", batch.id) for word in words]
        keys = [store.prefix + word[1:] if word.startswith(":") else word for word in said]
        return store._client.execute_command(*keys)  # type: ignore[no-untyped-call]  # redis-py's

    return do


def all_of(*each: Do) -> Do:
    def do(store: Store, batch: Batch) -> object:
        return [one(store, batch) for one in each]

    return do


def entry(which: str) -> str:
    return f":entry:support:{which}"


def paused_and_due(store: Store, _: Batch) -> None:
    store.pause_profile("support", "maintenance")
    store._client.zadd(f"{store.prefix}due:default", {"support": 1})


def another_batch(store: Store, batch: Batch, profile: str = "support") -> None:
    """The numbers under way are in a second batch, too."""
    fields: Any = store._client.hgetall(f"{store.prefix}batch:{batch.id}")
    store._client.hset(f"{store.prefix}batch:2-x", mapping={**fields, "p": profile})
    store._client.zadd(f"{store.prefix}leases", {"2-x": (store.now_ms or 0) + HOUR_MS})


def another_profile(store: Store, batch: Batch) -> None:
    """Another profile is said to call them at the same time."""
    another_batch(store, batch, "other")


def of(what: str, do: Do, *codes: str) -> Damage:
    return Damage(what, frozenset(codes), do)


DAMAGE = (
    of("a waiting number lost its place", raw("LREM", ":ready:support", 0, READY), "no_place"),
    of("all of ready is gone", raw("DEL", ":ready:support"), "no_place", "no_stale"),
    of("all of split is gone", raw("DEL", ":split:support"), "no_place"),
    of("a retry lost its place", raw("ZREM", ":retry:support", RETRY), "no_place"),
    of("a retry waits for another time", raw("ZADD", ":retry:support", FAR, RETRY), "other_time"),
    of("a retry is in ready as well", raw("RPUSH", ":ready:support", RETRY), "wrong_list"),
    of("a ready number is in retry as well", raw("ZADD", ":retry:support", FAR, READY), "wrong_list"),
    of("a number is in ready twice", raw("RPUSH", ":ready:support", READY), "many_places"),
    of("a number is in ready and split", raw("RPUSH", ":ready:support", SPLIT), "many_places"),
    of("a number is in two children", raw("RPUSH", ":split:support", f"{SPLIT}\n{SPLIT_TOO}"), "many_places"),
    of("an attached number is in ready", raw("RPUSH", ":ready:support", ATTACHED), "closed_place"),
    of("an attached number is in retry", raw("ZADD", ":retry:support", 1, ATTACHED), "closed_place"),
    of("an attached number says it has a place", raw("HSET", entry(ATTACHED), "z", 1), "no_stale"),
    of("somebody unknown is in ready", raw("RPUSH", ":ready:support", NOBODY), "place_only"),
    of("somebody unknown is in a child", raw("RPUSH", ":split:support", f"{NOBODY}\n{SPLIT}"), "place_only"),
    of("somebody unknown is in retry", raw("ZADD", ":retry:support", 1, NOBODY), "place_only"),
    of("an attached number is attaching", raw("HSET", entry(ATTACHED), "s", "f"), "no_batch"),
    of(
        "a batch is gone", all_of(raw("DEL", ":batch:BATCH"), raw("ZREM", ":leases", "BATCH")),
        "no_batch", "in_flight", "run",
    ),
    of("a batch is gone but for its lease", raw("DEL", ":batch:BATCH"), "lease_only", "no_batch"),
    of("a batch lost its lease", raw("ZREM", ":leases", "BATCH"), "no_lease"),
    of("a batch lost its numbers", raw("HSET", ":batch:BATCH", "n", ""), "batch_size", "no_batch"),
    of("a number is in two batches", another_batch, "many_batches", "run"),
    of("a number is in two calls of its account", another_profile, "twice", "batch_only", "run"),
    of("a number under way is attached", raw("HSET", entry(UNDER_WAY), "s", "a"), "in_batch", "book"),
    of("somebody unknown is in a batch", raw("HSET", ":batch:BATCH", "n", NOBODY), "batch_only"),
    of("a number under way is not in flight", raw("SREM", ":inflight:default", UNDER_WAY), "not_in_flight"),
    of("a number is in flight for nobody", raw("SADD", ":inflight:default", NOBODY), "in_flight"),
    of("batches are miscounted", raw("HINCRBY", ":account:default", "run", 1), "run"),
    of("a dead letter is not listed", raw("DEL", ":dead"), "dead_missing"),
    of("an attached number is a dead letter", raw("ZADD", ":dead", 1, f"support {ATTACHED}"), "dead_only"),
    of("somebody unknown is a dead letter", raw("ZADD", ":dead", 1, f"support {NOBODY}"), "dead_only"),
    of("a number lost its claim", raw("DEL", f":route:default:{ATTACHED}"), "no_claim"),
    of("two profiles lost their claims", raw("DEL", f":route:default:{SUPERSEDED}"), "no_claim"),
    of("an entry is gone", raw("DEL", entry(ATTACHED)), "claim_only", "book"),
    of("a waiting entry is gone", raw("DEL", entry(READY)), "claim_only", "place_only", "book"),
    of("the log of ends is gone", raw("DEL", ":ended"), "not_ended"),
    of("a state is gone", raw("HDEL", entry(ATTACHED), "s"), "no_state", "book"),
    of("a state is of the future", raw("HSET", entry(ATTACHED), "s", "w"), "no_state", "book"),
    of("a profile is not due", raw("ZREM", ":due:default", "support"), "not_due"),
    of("a profile is due late", raw("ZADD", ":due:default", FAR, "support"), "due_late"),
    of("a paused profile is due", paused_and_due, "due_idle"),
    of("an account is not due", raw("ZREM", ":due", "default"), "account_not_due"),
    of("an account is due late", raw("ZADD", ":due", FAR, "default"), "account_late"),
    of(
        "an account is due for nothing", all_of(raw("DEL", ":due:default"), raw("ZADD", ":due", 1, "default")),
        "account_idle", "not_due",
    ),
    of("a book is wrong", raw("HINCRBY", ":books:support", "attached", 3), "book", "unbalanced"),
    of(
        "two books are wrong",
        all_of(raw("HINCRBY", ":books:support", "attached", 1), raw("HINCRBY", ":books:support", "dead", -1)), "book",
    ),
    of("the books are gone", raw("DEL", ":books:support"), "book"),
    of("a book does not balance", raw("HINCRBY", ":books:support", "accepted", 1), "unbalanced"),
    of("who waits is miscounted", raw("HINCRBY", ":books", "waiting", 1), "waiting"),
    of("a rejection is gone", raw("DEL", f":rejected:{REJECTION.id}"), "rejected_gone", "rejected_bytes"),
    of("a rejection is not listed", raw("DEL", ":rejected"), "rejected_lost"),
    of("a rejection has another size", raw("HSET", f":rejected:{REJECTION.id}", "b", "x"), "rejected_size"),
    of("the bytes of rejections are miscounted", raw("HINCRBY", ":books", "rejected_bytes", 1), "rejected_bytes"),
)  # fmt: skip
