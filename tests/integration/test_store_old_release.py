"""The last release and this one on one store: either takes up what the other left, and `store migrate` makes it new."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from support.old_store import OldStore
from support.store_audit import audit, found_at_once
from support.store_steps import LEASE_MS, delivery, go_on, govern, number
from trunkline.lifecycle import State
from trunkline.store import Store, auditing, migrating, queries
from trunkline.store.migrating import Migrated, StillOld
from trunkline.store.model import AccountRule, Batch, Disposition, Idle, Policies, ProfilePolicy, Settlement

PROFILES = {
    "support": ProfilePolicy("default", 5, 1_000, "f0-io", "io"),
    "sales": ProfilePolicy("default", 3, 500, "f0-i", "i"),
    "care": ProfilePolicy("default", 4, 700, "f0-o", "o"),
}
POLICIES = Policies({"default": AccountRule(100, 0)}, PROFILES)
NUMBERS = [number(index) for index in range(8)]
OPEN = ("queued", "attaching")
DAY_MS = 86_400_000


@pytest.fixture
def old(store: Store) -> OldStore:
    """A store of version 0.1, with its configuration."""
    old = OldStore(store)
    old.publish(POLICIES)
    return old


def upgrade(store: Store) -> None:
    """The first process of this version comes."""
    assert store.versions().data == 1
    govern(store, POLICIES)


def migrate(store: Store) -> Migrated:
    return migrating.migrate(store, rest=lambda _: None)


def claimed(store: Store, client: OldStore | Store) -> Batch | None:
    """The next batch of either; a probe or an idle answer is none."""
    said = client.claim(LEASE_MS)
    if isinstance(said, Idle) and said.wait_ms is not None:
        go_on(store, said.wait_ms)
        said = client.claim(LEASE_MS)
    return said if isinstance(said, Batch) else None


def outcome(batch: Batch, fate: str, at_ms: int) -> Settlement:
    numbers = [leased.number for leased in batch.numbers]
    if fate == "attached":
        return Settlement(batch.fingerprint, attached=tuple(numbers), healthy=True)
    others = tuple(Disposition(each, fate, at_ms, dead_code="rejected_by_api") for each in numbers)  # type: ignore[arg-type]
    return Settlement(batch.fingerprint, dispositions=others)


def settle_all(store: Store, client: OldStore | Store) -> None:
    """Everything that is open is attached by this client."""
    for _ in range(200):
        go_on(store, 1_000)
        client.reap()
        batch = claimed(store, client)
        if batch is None and not any(queries.books(store).totals[state] for state in OPEN):
            return
        if batch is not None:
            client.permit(batch.id, batch.account, len(batch.numbers))
            assert client.settle(batch.id, outcome(batch, "attached", 0))
        else:
            go_on(store, LEASE_MS)
    raise AssertionError("the store does not come to rest")


class Mixed:
    """Moves by either release, at random; what has to stay true meanwhile."""

    def __init__(self, store: Store, old: OldStore, chance: random.Random) -> None:
        self.store, self.old, self.chance = store, old, chance
        self.held: list[Batch] = []
        self.pushed: set[tuple[str, str]] = set()
        self.moves: list[Callable[[], object]] = [
            self.push, self.push, self.push, self.claim, self.claim, self.claim, self.settle, self.settle, self.settle,
            self.crash, self.replay, self.cancel, self.drop_dead, self.pause, self.look,
            self.archive,
        ]  # fmt: skip

    def either(self) -> OldStore | Store:
        return self.chance.choice((self.store, self.old))

    def step(self) -> None:
        go_on(self.store, self.chance.choice((1, 50, 700)))
        self.chance.choice(self.moves)()
        assert queries.books(self.store).balanced
        assert found_at_once(self.store) == []

    def names(self) -> list[tuple[str, str]]:
        return [(self.chance.choice(tuple(PROFILES)), each) for each in self.chance.sample(NUMBERS, 3)]

    def push(self) -> None:
        names = self.names()
        self.pushed |= set(names)
        self.either().push([delivery(names, force=self.chance.random() < 0.2)])

    def claim(self) -> None:
        batch = claimed(self.store, self.either())
        if batch is not None:
            self.held.append(batch)
            if self.chance.random() < 0.7:
                self.either().permit(batch.id, batch.account, len(batch.numbers))

    def settle(self) -> None:
        if self.held:
            batch = self.held.pop(self.chance.randrange(len(self.held)))
            fate = self.chance.choice(("attached", "attached", "retry", "in_doubt", "dead", "split", "released"))
            at = (self.store.now_ms or 0) + 2_000
            self.either().settle(batch.id, outcome(batch, fate, 0 if fate == "released" else at))

    def crash(self) -> None:
        self.held.clear()
        go_on(self.store, LEASE_MS)
        self.either().reap()

    def replay(self) -> None:
        self.either().replay(self.names())

    def cancel(self) -> None:
        self._drop("q")

    def drop_dead(self) -> None:
        self._drop("d")

    def _drop(self, state: str) -> None:
        client, names = self.either(), self.names()
        if isinstance(client, OldStore):
            client.drop(state, names)
        else:
            (client.cancel if state == "q" else client.drop_dead)(names)

    def pause(self) -> None:
        self.old.gate("pause_profile", "support")
        self.store.resume_profile("support")

    def archive(self) -> None:
        if self.chance.random() < 0.3:
            go_on(self.store, 2 * DAY_MS)
        self.either().archive(1)

    def look(self) -> None:
        self.old.look()
        self.store.look(8)


def test_what_the_old_release_left_is_taken_up(store: Store, old: OldStore) -> None:
    old.push([delivery([("support", each) for each in NUMBERS])])
    batch = old.claim(LEASE_MS)
    assert batch is not None
    assert old.permit(batch.id, batch.account, len(batch.numbers)) == "ok"
    upgrade(store)
    assert audit(store) == []
    assert store.settle(batch.id, outcome(batch, "attached", 0)), "a batch of the old release is settled by the new one"
    settle_all(store, store)
    assert queries.books(store).totals["attached"] == len(NUMBERS)
    assert audit(store) == []


def test_what_the_new_release_left_is_taken_up_by_the_old_one(store: Store, old: OldStore) -> None:
    upgrade(store)
    store.push([delivery([("support", each) for each in NUMBERS])])
    batch = claimed(store, store)
    assert batch is not None
    assert store.permit(batch.id, batch.account, len(batch.numbers)) == 0
    assert old.settle(batch.id, outcome(batch, "attached", 0))
    settle_all(store, old)
    assert queries.books(store).totals["attached"] == len(NUMBERS)
    assert audit(store) == []


def test_what_lost_its_directions_in_the_old_release_has_a_claim_after_the_migration(
    store: Store, old: OldStore
) -> None:
    """Cancelling the import that took a number gives it back, as if both had come to the new release."""
    old.push([delivery([("support", NUMBERS[0])])])
    settle_all(store, old)
    go_on(store, 1_000)
    old.push([delivery([("sales", NUMBERS[0]), ("care", NUMBERS[0])])])
    upgrade(store)
    done = migrate(store)
    assert (done.entries, done.claims, done.ends, done.schema) == (3, 1, 1, 2)
    assert audit(store) == []
    assert store.cancel([("sales", NUMBERS[0]), ("care", NUMBERS[0])]).given_back == 1
    settle_all(store, store)
    (support,) = queries.entries(store, [("support", NUMBERS[0])])
    assert support.state is State.attached


def test_the_log_of_ends_has_what_ended_in_the_old_release_in_its_order(store: Store, old: OldStore) -> None:
    for each in reversed(NUMBERS):
        old.push([delivery([("sales", each)])])
        settle_all(store, old)
    upgrade(store)
    migrate(store)
    assert [each.entry.number for each in queries.outcomes(store)] == NUMBERS[::-1]
    assert not store._client.exists(f"{store.prefix}outcomes", f"{store.prefix}closed")


def test_what_the_old_release_closed_is_archived_after_the_migration(store: Store, old: OldStore) -> None:
    old.push([delivery([("support", each) for each in NUMBERS])])
    settle_all(store, old)
    upgrade(store)
    migrate(store)
    go_on(store, 3 * DAY_MS)
    assert store.archive(2)[0] == len(NUMBERS)
    assert audit(store) == []


@pytest.mark.parametrize("seed", range(12))
def test_both_releases_work_on_one_store(store: Store, old: OldStore, seed: int) -> None:
    mixed = Mixed(store, old, random.Random(seed))
    for _ in range(60):
        mixed.step()
    upgrade(store)
    for _ in range(120):
        mixed.step()
    settle_all(store, store)
    there = {(each.profile, each.number) for each in queries.entries(store, sorted(mixed.pushed))}
    assert len(mixed.pushed - there) <= queries.books(store).totals["archived"], "nothing is lost"
    migrate(store)
    assert audit(store) == []
    assert auditing.audit(store, rest=lambda _: None).undecided == ()
    assert queries.books(store).balanced


@pytest.mark.parametrize("seed", range(6))
def test_the_newest_event_wins_whichever_release_takes_it(store: Store, old: OldStore, seed: int) -> None:
    """Of profiles that send the same, the last to ask for a number has it, and the others are superseded."""
    chance = random.Random(seed)
    same = dict.fromkeys(("support", "sales"), ProfilePolicy("default", 5, 100, "f0-io", "io"))
    old.publish(Policies(POLICIES.accounts, same))
    assert store.versions().data == 1
    govern(store, Policies(POLICIES.accounts, same))
    newest: dict[str, str] = {}
    for _ in range(40):
        go_on(store, 10)
        profile, each = chance.choice(tuple(same)), chance.choice(NUMBERS)
        chance.choice((store, old)).push([delivery([(profile, each)])])
        newest[each] = profile
        if chance.random() < 0.3:
            batch = claimed(store, chance.choice((store, old)))
            if batch is not None:
                store.permit(batch.id, batch.account, len(batch.numbers))
                chance.choice((store, old)).settle(batch.id, outcome(batch, "attached", 0))
    settle_all(store, store)
    migrate(store)
    for each, profile in newest.items():
        states = {found.profile: found.state for found in queries.entries_of(store, each)}
        assert states.pop(profile) is State.attached
        assert set(states.values()) <= {State.superseded}
    assert audit(store) == []


# The migration


def test_claims_that_the_old_archive_left_behind_are_taken_away(store: Store, old: OldStore) -> None:
    upgrade(store)
    store.push([delivery([("support", NUMBERS[0])])])
    go_on(store, 10)
    store.push([delivery([("sales", NUMBERS[0]), ("care", NUMBERS[0])])])
    settle_all(store, store)
    store._client.zadd(f"{store.prefix}closed", {"20000": 20000})
    store._client.rpush(f"{store.prefix}closed:20000", f"support {NUMBERS[0]}")
    go_on(store, 3 * DAY_MS)
    assert old.archive(1) == 1
    assert migrate(store).claims_only == 1
    assert audit(store) == []


def test_it_may_be_run_again_and_finds_nothing_to_do(store: Store, old: OldStore) -> None:
    old.push([delivery([("support", each) for each in NUMBERS])])
    settle_all(store, old)
    upgrade(store)
    assert migrate(store).ends == len(NUMBERS)
    again = migrate(store)
    assert (again.claims, again.ends) == (0, 0)


def test_it_goes_on_where_it_was_interrupted(store: Store, old: OldStore) -> None:
    class Interrupted(Exception):
        pass

    steps = iter(range(3))

    def rest(_: float) -> None:
        if next(steps, None) is None:
            raise Interrupted

    many = [number(index) for index in range(900)]
    old.push([delivery([("support", each) for each in many])])
    settle_all(store, old)
    upgrade(store)
    with pytest.raises(Interrupted):
        migrating.migrate(store, rest=rest)
    assert store.versions().data == 1
    assert migrate(store).schema == 2
    assert len(queries.outcomes(store, most=2_000)) == len(many)
    assert audit(store) == []


def test_a_batch_of_the_old_release_that_is_under_way_is_waited_for(store: Store, old: OldStore) -> None:
    old.push([delivery([("support", NUMBERS[0])])])
    go_on(store, 1_000)
    batch = old.claim(LEASE_MS)
    assert batch is not None
    upgrade(store)
    with pytest.raises(StillOld, match="a batch of an earlier version is under way"):
        migrate(store)
    assert store.versions().data == 1
    store.settle(batch.id, outcome(batch, "attached", 0))
    assert migrate(store).schema == 2


def test_an_old_process_that_writes_meanwhile_is_noticed(store: Store, old: OldStore) -> None:
    old.push([delivery([("support", NUMBERS[0])])])
    settle_all(store, old)
    upgrade(store)
    rested = 0

    def meanwhile(_: float) -> None:
        nonlocal rested
        rested += 1
        if rested == 4:
            old.push([delivery([("support", NUMBERS[1])])])
            old.drop("q", [("support", NUMBERS[1])])

    with pytest.raises(StillOld, match="has written to the store meanwhile"):
        migrating.migrate(store, rest=meanwhile)
    assert store.versions().data == 1
    assert migrate(store).schema == 2
    assert audit(store) == []


def test_what_an_old_process_does_after_the_migration_is_seen_and_can_be_made_good(store: Store, old: OldStore) -> None:
    upgrade(store)
    migrate(store)
    old.push([delivery([("support", NUMBERS[0])])])
    settle_all(store, old)
    assert {each.code for each in auditing.audit(store, rest=lambda _: None).wrong} == {"not_ended"}
    migrate(store)
    assert audit(store) == []
