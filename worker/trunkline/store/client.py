"""The store's moves, one thin method a script."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, cast

import redis

from trunkline.events.intake import Delivery
from trunkline.lifecycle import RefusalCode
from trunkline.store import scripts
from trunkline.store.connection import Client, Durability, translated
from trunkline.store.fields import KindLetter, PolicyField, StateLetter, VerifyLetter
from trunkline.store.model import (
    Batch,
    Disposition,
    Dropped,
    Idle,
    Leased,
    Look,
    Policies,
    Probe,
    Pushed,
    Reaped,
    Settlement,
    StoreUnavailable,
    Versions,
)

PREFIX: Final = "{tl}:"  # one hash tag: one slot in a cluster
REMEMBER_MS: Final = 7 * 24 * 3600 * 1000  # how long an event id is known
PROBE_LEASE_MS: Final = 30_000
DISK_WAIT_MS: Final = 5_000
DISK_ASK_MS: Final = 1_000
REMEMBER_FORCED_MS: Final = 60 * 1000  # a forced event is sent each time, but not when its sender repeats it unanswered
NUMBERS_A_PUSH: Final = 250  # bounds how long one script holds the server
NUMBERS_A_CALL: Final = 25  # likewise
PROFILES_A_PAGE: Final = 200
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
                *(arg for delivery in part for arg in _push_args(delivery)),
            ]
            reply = self._run("push", *args, to_disk=self.durability is Durability.waitaof)
            results += _all_pushed(part, reply)
        return results

    def claim(self, lease_ms: int) -> Batch | Probe | Idle:
        """The earliest due batch under a lease, or a breaker's probe, or how long nothing is due."""
        reply = self._run("claim", lease_ms, secrets.token_hex(8), PROBE_LEASE_MS, self.worker, self.digest)
        match reply[0]:
            case "batch":
                return _batch(reply)
            case "probe":
                return Probe(account=reply[1], trips=int(reply[2]))
        return Idle(_until(reply[1], reply[2]))

    def look(self, most: int) -> Look:
        """What a dispatcher asks each tick; counts claimable batches up to `most`."""
        batches, due, lease = self._run("look", most, self.digest)
        return Look(batches, _given(due), _given(lease))

    def permit(self, batch_id: str, account: str, numbers: int | None = None, absent: Sequence[str] = ()) -> float:
        """Leave for one HTTP request: 0.0, or how many seconds to wait and ask again. Raises LeaseLost.

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
        return bool(self._run("settle", batch_id, json.dumps(_settlement(settlement)), to_disk=to_disk) == 1)

    def profile_refused(self, profile: str) -> str | None:
        """Why a profile's automatic pause is on, None if it is not."""
        with translated():
            reason = self._client.hget(f"{self.prefix}policy:{profile}", PolicyField.refused)
        return None if reason is None else str(reason)

    def reap(self, most: int = 16) -> Reaped:
        """Takes up the numbers of batches whose lease ran out."""
        reaped, numbers, soonest, now = self._run("reap", most)
        return Reaped(reaped, numbers, _until(soonest, now))

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
        """What the probe said: the breaker lets one batch through, or stays open for `open_ms` more."""
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


def pages_of(policies: Policies) -> list[dict[str, dict[str, str]]]:
    """A configuration as the scripts read it, in pages: all accounts with the first, and some profiles with each."""
    accounts = {name: f"{rule.max_concurrency} {rule.interval_ms:g}" for name, rule in policies.accounts.items()}
    profiles = {name: policy.as_text() for name, policy in policies.profiles.items()}
    names = list(profiles)
    pages = [names[start : start + PROFILES_A_PAGE] for start in range(0, len(names), PROFILES_A_PAGE)] or [[]]
    return [
        {"accounts": {} if index else accounts, "profiles": {name: profiles[name] for name in page}}
        for index, page in enumerate(pages)
    ]


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


def _push_args(delivery: Delivery) -> Iterator[str | int]:
    yield delivery.source
    yield delivery.event_id
    yield "" if delivery.occurred_ms is None else delivery.occurred_ms
    yield delivery.metadata
    yield "1" if delivery.force else ""
    yield len(delivery.refused)
    yield len(delivery.numbers)
    for profile, number in delivery.numbers:
        yield profile
        yield number


def _all_pushed(part: Sequence[Delivery], reply: list[list[Any]]) -> list[Pushed]:
    """The script tells only of deliveries of which not every number became a new entry."""
    results = [Pushed(False, len(delivery.numbers), 0, ()) for delivery in part]
    for row in reply:
        results[row[0]] = _pushed(row[1:])
    return results


def _pushed(row: list[Any]) -> Pushed:
    refused = tuple((int(row[i]), RefusalCode(row[i + 1])) for i in range(3, len(row), 2))
    return Pushed(duplicate=row[0] == 1, accepted=row[1], coalesced=row[2], refused=refused)


def _batch(reply: list[Any]) -> Batch:
    _, batch_id, profile, account, fingerprint, kind, half, trips, now, joined, special = reply
    known: dict[str, dict[str, Any]] = json.loads(special)
    return Batch(
        id=batch_id,
        profile=profile,
        account=account,
        fingerprint=fingerprint,
        is_child=kind == KindLetter.from_split,
        half_open=half == 1,
        trips=int(trips),
        now_ms=int(now),
        numbers=tuple(_leased(number, known.get(number)) for number in joined.split("\n")),
    )


def _leased(number: str, known: dict[str, Any] | None) -> Leased:
    if known is None:
        return Leased(number)
    return Leased(
        number,
        attempts=int(known.get("attempts", 0)),
        crashes=int(known.get("crashes", 0)),
        verify=_verify(known),
        forced="forced" in known,
        attached_under=known.get("attached_under", ""),
        sent_ms=_ms(known.get("sent_at")),
        known_absent="known_absent" in known,
        met_403="met_403" in known,
        unread=int(known.get("unread", 0)),
        queued_ms=_ms(known.get("queued_at")),
    )


def _given(reply: Any) -> Any:
    """What a script answered; it says "" for nothing."""
    if reply == "":
        return None
    return reply


def _until(at: Any, now: Any) -> int | None:
    """Milliseconds from `now` on, 0 for what is past; None where there is no such time."""
    if at == "":
        return None
    return max(0, int(float(at)) - int(now))


def _ms(text: str | None) -> int | None:
    if text is None:
        return None
    return int(float(text))


def _verify(known: dict[str, Any]) -> Literal["", "in_doubt", "check"]:
    match known.get("verify"):
        case VerifyLetter.in_doubt:
            return "in_doubt"
        case VerifyLetter.check:
            return "check"
    return ""


def _settlement(said: Settlement) -> dict[str, Any]:
    out: dict[str, Any] = {
        "fp": said.fingerprint,
        "attached": said.attached,
        "absent": said.absent,
        "healthy": said.healthy,
        "unsent": said.unsent,
        "dispositions": [_disposition(each) for each in said.dispositions],
    }
    if said.breaker:
        out["breaker"] = {"ms": said.breaker.ms, "reason": said.breaker.reason}
    if said.refused:
        refused = said.refused
        out["refused"] = {"signature": refused.signature, "numbers": refused.numbers, "reason": refused.reason}
    if said.trouble:
        out["trouble"] = {"ms": said.trouble.ms, "reason": said.trouble.reason}
        if said.trouble.paid:
            out["trouble"]["paid"] = _disposition(said.trouble.paid)
    if said.password:
        told = (*said.attached, *(each.number for each in said.dispositions))
        numbers = [number for number in told if number not in said.unsent]
        out["password"] = {
            "profile": said.profile, "field": said.password.field, "text": said.password.text, "numbers": numbers,
        }  # fmt: skip
    if said.password_lost:
        out["password_lost"] = said.profile
    return out


def _disposition(said: Disposition) -> dict[str, Any]:
    return {
        "number": said.number,
        "kind": said.kind,
        "at": said.at_ms,
        "dead_code": said.dead_code,
        "code": said.code,
        "api_code": said.api_code,
        "message": said.message,
        "answer": said.answer,
        "free": said.free,
        "unread": said.unread,
    }
