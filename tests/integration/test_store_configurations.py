"""Whose configuration counts: the newest that was seen first and has a living worker; and edits come to rest."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import redis

from support.servers import HOST, Server
from support.store_steps import LEASE_MS, attach, claim, delivery, go_on, govern, is_sound, number, push, sent, settle
from trunkline.lifecycle import State
from trunkline.store import Store, queries
from trunkline.store.connection import CONNECTION
from trunkline.store.model import AccountRule, Batch, Idle, Policies, ProfilePolicy
from trunkline.store.registry import Registration

N = number(1)
TTL_MS = 15_000
ACCOUNTS = {"first": AccountRule(9, 1_000), "second": AccountRule(9, 1_000)}


def policy(directions: str = "io", *, account: str = "first", version: str = "f0") -> ProfilePolicy:
    return ProfilePolicy(account, 1, 0, f"{version}-{account}-{directions}", directions)


def policies(**profiles: ProfilePolicy) -> Policies:
    return Policies(ACCOUNTS, profiles)


class Fleet:
    """Worker processes; each claims with its own configuration."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.workers: dict[str, Registration] = {}

    def start(self, name: str, **profiles: ProfilePolicy) -> None:
        self.workers[name] = Registration(self.store, policies(**profiles), worker=name, ttl_ms=TTL_MS)
        self.workers[name].join()

    def beat(self, *names: str) -> None:
        for name in names or self.workers:
            self.workers[name].beat()

    def claim(self, name: str) -> Batch | Idle:
        self.store.worker, self.store.digest = name, self.workers[name].digest
        said = self.store.claim(LEASE_MS)
        assert isinstance(said, Batch | Idle)
        return said


@pytest.fixture
def fleet(store: Store) -> Fleet:
    return Fleet(store)


def counts(store: Store, profile: str = "support") -> object:
    """The fingerprint that counts."""
    return store._client.hget(f"{store.prefix}policy:{profile}", "fp")


def states(store: Store) -> Mapping[str, State]:
    return {each.profile: each.state for each in queries.entries_of(store, N)}


def come_to_rest(store: Store, most: int = 20) -> list[str]:
    """Attaches whatever goes; the profiles in their order."""
    gone: list[str] = []
    while len(gone) < most:
        said = store.claim(LEASE_MS)
        if isinstance(said, Batch):
            while wait_s := store.permit(said.id, said.account, len(said.numbers)):
                go_on(store, int(wait_s * 1000) + 1)
            attach(store, said)
            gone.append(said.profile)
        elif isinstance(said, Idle) and said.wait_ms is not None:
            go_on(store, said.wait_ms)
        else:
            return gone
    raise AssertionError(f"the calls do not end: {gone}")


# Whose configuration counts


def test_a_host_that_was_left_behind_changes_nothing_when_it_starts_again(store: Store, fleet: Fleet) -> None:
    fleet.start("old", support=policy())
    fleet.start("new", support=policy(version="f1"))
    fleet.start("old again", support=policy())
    fleet.beat()
    assert counts(store) == "f1-first-io"
    push(store, N)
    assert isinstance(fleet.claim("old again"), Idle)
    assert isinstance(fleet.claim("new"), Batch)


def test_a_rollback_counts_once_the_last_newer_worker_is_gone(store: Store, fleet: Fleet) -> None:
    fleet.start("old", support=policy())
    fleet.start("new", support=policy(version="f1"))
    go_on(store, TTL_MS)
    fleet.beat("old")
    assert counts(store) == "f0-first-io"


def test_after_a_rollback_of_the_store_the_workers_that_live_say_what_counts(store: Store, fleet: Fleet) -> None:
    fleet.start("new", support=policy(version="f1"))
    store._client.flushdb()
    govern(store, policies(support=policy()))
    Registration(store, policies(support=policy()), worker="only", ttl_ms=TTL_MS).leave()
    go_on(store, 1)
    fleet.beat()
    push(store, N)
    assert counts(store) == "f1-first-io"
    assert isinstance(fleet.claim("new"), Batch)


def test_a_store_that_forgot_both_configurations_still_prefers_the_newer(store: Store, fleet: Fleet) -> None:
    fleet.start("old", support=policy())
    go_on(store, 10)
    fleet.start("new", support=policy(version="f1"))
    store._client.flushdb()
    for name in ("new", "old", "new", "old"):
        go_on(store, 10)
        fleet.beat(name)
    assert counts(store) == "f1-first-io"


def test_hosts_with_profiles_of_their_own_do_not_notice_one_another(store: Store, fleet: Fleet) -> None:
    fleet.start("one", support=policy())
    fleet.start("two", sales=policy())
    push(store, N)
    push(store, number(2), profile="sales")
    assert isinstance(first := fleet.claim("two"), Batch)
    assert first.profile == "sales"
    go_on(store, 1_000)
    assert isinstance(second := fleet.claim("one"), Batch)
    assert second.profile == "support"


def test_a_profile_that_nobody_carries_waits_and_takes_no_slot_of_the_account(store: Store, fleet: Fleet) -> None:
    fleet.start("one", support=policy())
    store.publish(policies(suport=policy()))
    push(store, N, profile="suport")
    push(store, number(2), number(3))
    assert isinstance(fleet.claim("one"), Batch)
    go_on(store, 1_000)
    assert isinstance(fleet.claim("one"), Batch)
    assert states(store) == {"suport": State.queued}
    assert [book.carried for book in queries.books(store).profiles] == [False, True]


def test_a_worker_leaves_the_probe_of_an_account_that_it_does_not_know_to_others(store: Store, fleet: Fleet) -> None:
    fleet.start("one", support=policy())
    stranger = Registration(store, Policies({}, {}), worker="stranger", ttl_ms=TTL_MS)
    stranger.join()
    fleet.workers["stranger"] = stranger
    push(store, N)
    store.probed("first", open_ms=1, reason="401")
    go_on(store, 1)
    assert isinstance(fleet.claim("stranger"), Idle)


def test_what_changes_nothing_costs_a_comparison(store: Store, server: Server) -> None:
    """However many profiles there are: a worker that says it lives asks for one script."""

    class Counted(redis.Connection):
        sent = 0

        def send_packed_command(self, *args: object, **kwargs: object) -> None:
            Counted.sent += 1
            super().send_packed_command(*args, **kwargs)  # type: ignore[no-untyped-call]  # redis-py's

    many = policies(**{f"p{n}": policy() for n in range(500)})
    pool = redis.ConnectionPool(connection_class=Counted, host=HOST, port=server.port, **CONNECTION)
    with redis.Redis.from_pool(pool) as client:
        counted = Store(client)
        counted.now_ms = store.now_ms
        worker = Registration(counted, many, worker="one", ttl_ms=TTL_MS)
        worker.join()
        before = Counted.sent
        assert worker.beat().changed == 0
        assert Counted.sent == before + 1


def test_a_numbers_profiles_are_found_by_its_claims_however_many_profiles_there_are(
    store: Store, server: Server
) -> None:
    store.versions()
    govern(store, policies(**{f"p{n}": policy() for n in range(500)}))
    push(store, N, profile="p7")
    before = server_commands(store)
    assert list(states(store)) == ["p7"]
    assert server_commands(store) - before < 10


def server_commands(store: Store) -> int:
    return int(store._client.info("stats")["total_commands_processed"])


# Edits


def edit(store: Store, **profiles: ProfilePolicy) -> None:
    govern(store, policies(**profiles))


def test_an_edit_of_two_profiles_directions_ends_with_the_newest_event(store: Store) -> None:
    """It used to be 18,000 calls an hour for one number."""
    edit(store, sales=policy("io"), support=policy("i"))
    for profile in ("sales", "support"):
        push(store, N, profile=profile)
        go_on(store, 1)
    edit(store, sales=policy("i"), support=policy("io"))
    assert len(come_to_rest(store)) <= 3
    assert states(store) == {"sales": State.superseded, "support": State.attached}
    assert is_sound(store)


def test_two_profiles_that_swap_their_accounts_come_to_rest(store: Store) -> None:
    edit(store, sales=policy(), support=policy(account="second"))
    for profile in ("sales", "support"):
        push(store, N, profile=profile)
        go_on(store, 1)
    edit(store, sales=policy(account="second"), support=policy())
    assert sorted(come_to_rest(store)) == ["sales", "support"]
    assert set(states(store).values()) == {State.attached}
    assert is_sound(store)


def test_a_profile_that_gets_another_direction_goes_before_the_owner_of_that(store: Store) -> None:
    edit(store, sales=policy("i"), support=policy("o"))
    push(store, N, profile="sales")
    settle(store, sent(store, claim(store)), "retry", (store.now_ms or 0) + 5_000)
    go_on(store, 1_000)
    push(store, N, profile="support")
    assert come_to_rest_until(store, "support")
    edit(store, sales=policy("io"), support=policy("o"))
    assert come_to_rest(store) == ["sales", "support"], "the newest event for `out` is the last at the API"


def come_to_rest_until(store: Store, profile: str) -> bool:
    batch = sent(store, claim(store))
    attach(store, batch)
    return batch.profile == profile


def test_an_owner_counts_only_while_it_sends_the_direction(store: Store) -> None:
    edit(store, sales=policy("io"), support=policy("i"))
    push(store, N, profile="sales")
    come_to_rest(store)
    edit(store, sales=policy("o"), support=policy("i"))
    store.push([delivery([("support", N)], occurred_ms=1)])
    assert states(store)["support"] is State.queued, "nobody else sends `in`, however new its event"


def test_a_profile_that_moves_takes_its_claim_along_and_gives_back_what_it_leaves(store: Store) -> None:
    edit(store, right=policy(), wrong=policy())
    for profile in ("right", "wrong"):
        push(store, N, profile=profile)
        go_on(store, 1)
    assert states(store)["right"] is State.superseded
    edit(store, right=policy(), wrong=policy(account="second"))
    assert sorted(come_to_rest(store)) == ["right", "wrong"]
    assert is_sound(store)


def test_what_a_doubtful_call_may_have_changed_is_sent_again_though_its_profile_lost_the_direction_by_an_edit(
    store: Store,
) -> None:
    edit(store, sales=policy("io"), support=policy("o"))
    push(store, N, profile="sales")
    come_to_rest(store)
    between = store.now_ms
    assert between is not None
    go_on(store, 1_000)
    push(store, N, profile="support")
    come_to_rest(store)
    store.push([delivery([("sales", N)], occurred_ms=between, force=True)])
    go_on(store, 1_000)
    settle(store, sent(store, claim(store)), "in_doubt", store.now_ms + 1_000)
    edit(store, sales=policy("o"), support=policy("o"))
    assert come_to_rest(store) == ["support"]
    assert states(store) == {"sales": State.superseded, "support": State.attached}


def test_a_number_that_nobody_shares_any_more_is_read_back_again_and_not_sent(store: Store) -> None:
    edit(store, both=policy("io"), one=policy("i"))
    for profile in ("both", "one"):
        push(store, N, profile=profile)
        come_to_rest(store)
        go_on(store, 10)
    push(store, N, profile="both")
    come_to_rest(store)
    assert states(store) == {"both": State.attached, "one": State.superseded}
    go_on(store, 1_000)
    push(store, N, profile="both")
    (leased,) = claim(store).numbers
    assert (leased.verify, leased.forced) == ("check", False)


def support_has_an_older_event_while_sales_is_away(store: Store) -> None:
    edit(store, sales=policy(), support=policy())
    push(store, N, profile="sales")
    come_to_rest(store)
    edit(store, sales=policy(account="second"), support=policy())
    yesterday = (store.now_ms or 0) - 86_400_000
    store.push([delivery([("support", N)], occurred_ms=yesterday)])


@pytest.mark.parametrize("later_ms", [1, -1_900])  # clocks jitter
def test_an_older_event_does_not_win_because_the_newer_ones_profile_was_away_for_a_while(
    store: Store, later_ms: int
) -> None:
    support_has_an_older_event_while_sales_is_away(store)
    go_on(store, later_ms)
    edit(store, sales=policy(), support=policy())
    go_on(store, 10_000)
    assert come_to_rest(store) == []
    assert states(store) == {"sales": State.attached, "support": State.superseded}


def test_an_older_event_under_way_is_followed_by_the_newer_one_whose_profile_came_back(store: Store) -> None:
    support_has_an_older_event_while_sales_is_away(store)
    go_on(store, 5_000)
    batch = sent(store, claim(store))
    go_on(store, 1)
    edit(store, sales=policy(), support=policy())
    attach(store, batch)
    assert come_to_rest(store) == ["sales"]


def test_a_crash_with_an_older_event_is_followed_by_the_newer_one_whose_profile_came_back(store: Store) -> None:
    support_has_an_older_event_while_sales_is_away(store)
    go_on(store, 5_000)
    sent(store, claim(store))
    go_on(store, 1)
    edit(store, sales=policy(), support=policy())
    go_on(store, LEASE_MS)
    store.reap()
    assert come_to_rest(store) == ["sales"]
    assert states(store) == {"sales": State.attached, "support": State.superseded}


def test_who_gets_a_number_back_from_a_profile_that_moved_goes_again(store: Store) -> None:
    edit(store, right=policy(), wrong=policy())
    push(store, N, profile="right")
    come_to_rest(store)
    go_on(store, 1)
    push(store, N, profile="wrong")
    come_to_rest(store)
    push(store, N, profile="wrong", force=True)
    edit(store, right=policy(), wrong=policy(account="second"))
    assert sorted(come_to_rest(store)) == ["right", "wrong"], (
        "what the API has on the first account is of the wrong one"
    )
    assert states(store) == {"right": State.attached, "wrong": State.attached}
