"""The store's moves, one thin method a script."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import redis

from trunkline.events.intake import Delivery
from trunkline.store import scripts
from trunkline.store.connection import Client, Durability, translated
from trunkline.store.fields import PolicyField, StateLetter
from trunkline.store.model import (
    Batch,
    Dropped,
    Idle,
    Look,
    Policies,
    Probe,
    Pushed,
    Reaped,
    Settlement,
    StoreUnavailable,
    Versions,
)
from trunkline.store.wire import all_pushed, batch_of, given, pages_of, push_args, settlement_as_json, until_ms

PREFIX: Final = "{tl}:"  # one hash tag: one slot in a cluster
REMEMBER_MS: Final = 7 * 24 * 3600 * 1000  # how long an event id is known
PROBE_LEASE_MS: Final = 30_000
DISK_WAIT_MS: Final = 5_000
DISK_ASK_MS: Final = 1_000
REMEMBER_FORCED_MS: Final = 60 * 1000  # a forced event is sent each time, but not when its sender repeats it unanswered
NUMBERS_A_PUSH: Final = 250  # bounds how long one script holds the server
NUMBERS_A_CALL: Final = 25  # likewise
DAY_MS: Final = 24 * 3600 * 1000


class LeaseLost(Exception):
    """The batch is not ours any more: its lease ran out or another has taken its numbers up. Send nothing."""


class Store:
    """The moves. `now_ms` is None outside tests: the scripts then use the server's clock.

    Every method raises StoreUnavailable when the server can't be reached; whether it happened is then not known, and
    every move may be made again. Raises StoreError for an answer that can't be worked with.
    """

    def __init__(
        self,
        client: Client,
        *,
        durability: Durability = Durability.memory,
        max_waiting: int = 2_000_000,
        prefix: str = PREFIX,
    ) -> None:
        self._client = client
        self.durability = durability
        self.max_waiting = max_waiting
        self.prefix = prefix
        self.now_ms: int | None = None
        self.worker = ""  # the id of the worker that claims, "" before it has registered
        self.digest = ""  # of its configuration; "" carries whatever was published
        self._scripts = scripts.load()

    def push(self, deliveries: Sequence[Delivery]) -> list[Pushed]:
        """Takes deliveries in, in order; returns when they are stored, on disk where that was asked for."""
        results: list[Pushed] = []
        for part in _parts(deliveries):
            args = [
                self.max_waiting,
                REMEMBER_MS,
                REMEMBER_FORCED_MS,
                *(arg for delivery in part for arg in push_args(delivery)),
            ]
            reply = self._run("push", *args, to_disk=self.durability is Durability.waitaof)
            results += all_pushed(part, reply)
        return results

    def claim(self, lease_ms: int) -> Batch | Probe | Idle:
        """The earliest due batch under a lease, or a breaker's probe, or how long nothing is due."""
        reply = self._run("claim", lease_ms, secrets.token_hex(8), PROBE_LEASE_MS, self.worker, self.digest)
        match reply[0]:
            case "batch":
                return batch_of(reply)
            case "probe":
                return Probe(account=reply[1], trips=int(reply[2]))
        return Idle(until_ms(reply[1], reply[2]))

    def look(self, most: int) -> Look:
        """Count claimable batches up to `most`, and tell when to look again; a dispatcher asks this each tick."""
        batches, due, lease = self._run("look", most, self.digest)
        return Look(batches, given(due), given(lease))

    def permit(self, batch_id: str, account: str, numbers: int | None = None, absent: Sequence[str] = ()) -> float:
        """Ask to send one HTTP request: 0.0, or the seconds to wait before asking again. Raises LeaseLost.

        `numbers` says how many an attach request carries, None for every other request; `absent` are those of them that
        the API is known not to have.
        """
        reply = self._run("permit", batch_id, account, "" if numbers is None else numbers, *absent)
        if reply[0] == "lost":
            raise LeaseLost(batch_id)
        if reply[0] == "wait":
            return float(reply[1]) / 1000
        return 0.0

    def settle(self, batch_id: str, settlement: Settlement) -> bool:
        """One outcome for every number, at once. False: the batch is not ours any more, and nothing was changed."""
        said_once = settlement.password is not None  # the API never repeats it
        to_disk = said_once and self.durability is Durability.waitaof
        return bool(self._run("settle", batch_id, json.dumps(settlement_as_json(settlement)), to_disk=to_disk) == 1)

    def profile_refused(self, profile: str) -> str | None:
        """Return the reason of a profile's automatic pause, None if there is none."""
        with translated():
            reason = self._client.hget(f"{self.prefix}policy:{profile}", PolicyField.refused)
        return None if reason is None else str(reason)

    def reap(self, most: int = 16) -> Reaped:
        """Takes up the numbers of batches whose lease ran out."""
        reaped, numbers, soonest, now = self._run("reap", most)
        return Reaped(reaped, numbers, until_ms(soonest, now))

    def pause_account(self, name: str, reason: str) -> bool:
        """Stops an account's calls until it is resumed. False: no such account."""
        return bool(self._run("pause", "pause_account", name, reason))

    def resume_account(self, name: str) -> bool:
        """Ends the operator's pause, and lets an open breaker probe at once. False: no such account."""
        return bool(self._run("pause", "resume_account", name, ""))

    def pause_profile(self, name: str, reason: str) -> bool:
        """Stops a profile's calls until it is resumed. False: no such profile."""
        return bool(self._run("pause", "pause_profile", name, reason))

    def resume_profile(self, name: str) -> bool:
        """Ends both pauses of a profile. False: no such profile."""
        return bool(self._run("pause", "resume_profile", name, ""))

    def probed(self, account: str, *, open_ms: int = 0, reason: str = "") -> None:
        """Report a probe: the breaker lets one batch through, or stays open for `open_ms` more."""
        self._run("probed", account, open_ms or "", reason)

    def replay(self, entries: Iterable[tuple[str, str]]) -> int:
        """Dead letters, as (profile, number), back into the queue; how many were dead."""
        return sum(cast(int, self._run("replay", *part)) for part in _pairs(entries))

    def drop_dead(self, entries: Iterable[tuple[str, str]]) -> Dropped:
        """Ends dead letters for good, and gives what they took from other profiles back to those."""
        return self._drop(StateLetter.dead, entries)

    def cancel(self, entries: Iterable[tuple[str, str]]) -> Dropped:
        """Takes waiting numbers out, and gives what they took from other profiles back to those."""
        return self._drop(StateLetter.queued, entries)

    def archive(self, keep_days: int, most: int = 20) -> tuple[int, int]:
        """Lets go of entries closed more than so many days ago. Returns how many, and how many were looked at."""
        archived, looked_at = self._run("archive", keep_days * DAY_MS, most)
        return archived, looked_at

    def versions(self) -> Versions:
        """The schema of the data, of these scripts, and the oldest that may write. StoreUnfit where ours is older."""
        return Versions(*self._run("meta", ""))

    def migrated(self) -> Versions:
        """Notes that everything in the store has been brought to the schema of these scripts."""
        return Versions(*self._run("meta", "migrated"))

    def publish(self, policies: Policies) -> int:
        """Makes profiles and accounts known that nobody has published yet; how many profiles are new."""
        return sum(int(self._run("publish", json.dumps(page))) for page in pages_of(policies))

    def run(self, name: str, *args: str | bytes | float) -> Any:
        """Runs a script for those of this package that have the words for what it says."""
        return self._run(name, *args)

    def reject(self, *args: str | bytes | float) -> int:
        """Keeps a rejection, on disk when it returns where that was asked for; store/rejections.py has the words."""
        return int(self._run("reject", *args, to_disk=self.durability is Durability.waitaof))

    def forget(self, *ids: str) -> int:
        """Lets go of rejections; how many of them there were."""
        return int(self._run("forget", *ids, to_disk=self.durability is Durability.waitaof))

    def checkpoint(self, name: str, value: str, keep_ms: int) -> None:
        """Keeps where reading goes on, on disk when it returns where that was asked for; "" forgets it."""
        self._run("checkpoint", name, value, keep_ms, to_disk=self.durability is Durability.waitaof)

    def _drop(self, state: str, entries: Iterable[tuple[str, str]]) -> Dropped:
        done = Dropped()
        for part in _pairs(entries):
            done += Dropped(*self._run("drop", state, *part))
        return done

    def _run(self, name: str, *args: str | bytes | float, to_disk: bool = False) -> Any:
        script = self._scripts[name]
        now = "" if self.now_ms is None else self.now_ms
        with translated():
            if to_disk:
                return self._run_to_disk(script, (now, *args))
            try:
                return self._client.evalsha(script.sha, 1, self.prefix, now, *args)
            except redis.exceptions.NoScriptError:
                return self._client.eval(script.text, 1, self.prefix, now, *args)

    def _run_to_disk(self, script: scripts.Script, args: tuple[str | bytes | float, ...]) -> Any:
        """Runs a script, then waits for the disk on the connection that wrote: that covers all it wrote before.

        A script that is refused is not waited for. The wait comes in parts, each shorter than a command may take.
        """
        with self._connection() as connection:
            try:
                reply = _answer(connection, "EVALSHA", script.sha, 1, self.prefix, *args)
            except redis.exceptions.NoScriptError:
                reply = _answer(connection, "EVAL", script.text, 1, self.prefix, *args)
            deadline = time.monotonic() + DISK_WAIT_MS / 1000
            while (left_ms := round((deadline - time.monotonic()) * 1000)) > 0:
                if _answer(connection, "WAITAOF", 1, 0, min(left_ms, DISK_ASK_MS))[0]:
                    return reply
        raise StoreUnavailable(f"the store did not put the write on disk within {DISK_WAIT_MS / 1000:g} s")

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        pool = self._client.connection_pool
        connection = pool.get_connection()
        try:
            yield connection
        finally:
            pool.release(connection)


def _answer(connection: Any, *command: str | bytes | float) -> Any:
    """One command on a connection of one's own."""
    connection.send_command(*command)
    return connection.read_response()


def _parts(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    part: list[Delivery] = []
    size = 0
    for delivery in deliveries:
        if part and size + len(delivery.numbers) > NUMBERS_A_PUSH:
            yield part
            part, size = [], 0
        part.append(delivery)
        size += len(delivery.numbers) + 1
    if part:
        yield part


def _pairs(entries: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
    part: list[str] = []
    for profile, number in entries:
        part += (profile, number)
        if len(part) >= 2 * NUMBERS_A_CALL:
            yield part
            part = []
    if part:
        yield part
