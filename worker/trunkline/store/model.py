"""Frozen values that go into the store's scripts and come out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trunkline.errors import TrunklineError
from trunkline.lifecycle import RefusalCode, State


class StoreError(TrunklineError):
    """The store answered, and what it said can't be worked with; the message says what to do."""


class StoreUnavailable(TrunklineError):
    """The store can't be reached, or could not put a write on disk in time. Nothing is known to be lost: try again."""


class StoreUnfit(StoreError):
    """The server would lose data the way it is set up; the message says which setting to change."""


class StoreNewer(StoreUnfit):
    """The store was brought to a schema that this program does not know: it must not write, and has to be upgraded."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """Result of one delivery: numbers taken in, those that joined an entry, refusals by index into its numbers."""

    duplicate: bool
    accepted: int
    coalesced: int
    refused: tuple[tuple[int, RefusalCode], ...]


@dataclass(frozen=True, slots=True)
class Leased:
    """A number under a lease, with what earlier tries left behind.

    `verify`: an earlier request's outcome is in doubt, or it is attached and only to be checked, or neither.
    `sent_ms`: when the doubtful request left, `queued_ms`: when the event came that it waits for (server clock; None
    where that is not told). `attached_under`: the fingerprint of its last success.
    `met_403`: an earlier call of it got a 403 without a word on the account. `unread`: how many read-backs in a row did
    not work.
    """

    number: str
    attempts: int = 0
    crashes: int = 0
    verify: Literal["", "in_doubt", "check"] = ""
    forced: bool = False
    attached_under: str = ""
    sent_ms: int | None = None
    known_absent: bool = False
    met_403: bool = False
    unread: int = 0
    queued_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Up to 100 numbers of one profile under one lease; `id` is the fencing token; times are server ms."""

    id: str
    profile: str
    account: str
    fingerprint: str
    is_child: bool
    half_open: bool
    trips: int
    now_ms: int
    numbers: tuple[Leased, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """The account's breaker lets a probe through: ask `GET /v1/me`, then say so with `Store.probed`."""

    account: str
    trips: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing can be claimed now; `wait_ms` until something is due, None when nothing waits."""

    wait_ms: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """Number of batches that may be claimed now; ms until more is due, and until the next lease ends (None: never)."""

    claimable: int
    next_due_ms: int | None
    next_lease_ms: int | None


@dataclass(frozen=True, slots=True)
class Disposition:
    """The next step of a number that a batch carried and did not attach.

    `retry` and `in_doubt` go again at `at_ms` (the store's clock), the latter after a read-back; they spend an attempt
    unless `free`: nothing was said about the number. `unread`: its read-back did not work. `dead` has a `dead_code`.
    `split` goes again in a smaller batch, `released` as if it had not been claimed. `code` is ours, `api_code`,
    `message` and `answer` are the API's words, scrubbed.
    """

    number: str
    kind: Literal["retry", "in_doubt", "dead", "split", "released"]
    at_ms: int = 0
    dead_code: str = ""
    code: str = ""
    api_code: str = ""
    message: str = ""
    answer: str = ""
    free: bool = False
    unread: bool = False


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """Opens the account's breaker for `ms`, and why."""

    ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The call, or the read-back before it, failed as a whole, and nothing was said about a number.

    Twice in a row on an account without a success between opens the account's breaker for `ms`. Where other calls of
    the account succeeded since the batch's numbers last met such trouble, they are suspects: a batch of several is
    split, and a lone number gets `paid`, an outcome that spends an attempt.
    """

    reason: str
    ms: int
    paid: Disposition | None = None


@dataclass(frozen=True, slots=True)
class RefusedAlike:
    """Numbers that were refused alike: a lone one, or every number of a call that told each of them the same.

    Three of one signature since the profile's last success put the profile to the test instead of the numbers.
    """

    signature: str
    numbers: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SealedPassword:
    """A register password, sealed. `field` is the same for the same password, `text` what is stored."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """One outcome for every number of a batch. What is left out becomes in_doubt if it was sent, else released.

    `unsent`: numbers that were not in the attach request although others of the batch were. `password`: what the answer
    gave for the profile, kept with the batch even where the settlement comes too late. `password_lost`: an answer that
    carried one did not arrive.
    """

    fingerprint: str
    attached: tuple[str, ...] = ()
    dispositions: tuple[Disposition, ...] = ()
    absent: tuple[str, ...] = ()
    healthy: bool = False
    breaker: OpenBreaker | None = None
    trouble: Trouble | None = None
    refused: RefusedAlike | None = None
    unsent: tuple[str, ...] = ()
    password: SealedPassword | None = None
    password_lost: bool = False
    profile: str = ""  # whose password it is; needed with one only


@dataclass(frozen=True, slots=True)
class Dropped:
    """Result of a drop or a cancel.

    `under_way`: numbers in a call just then, dropped unless that call attaches them; `in_doubt`: of those dropped,
    numbers that an earlier call may have attached; `given_back`: entries of other profiles that own a direction again.
    """

    dropped: int = 0
    under_way: int = 0
    in_doubt: int = 0
    given_back: int = 0

    def __add__(self, other: Dropped) -> Dropped:
        return Dropped(
            self.dropped + other.dropped,
            self.under_way + other.under_way,
            self.in_doubt + other.in_doubt,
            self.given_back + other.given_back,
        )


@dataclass(frozen=True, slots=True)
class Versions:
    """The schema of the data, the one that this program writes, and the oldest that may write to the store."""

    data: int
    ours: int
    least: int


@dataclass(frozen=True, slots=True)
class Reaped:
    """Result of a reap, and the time (ms) until the next lease ends; None when there is none."""

    batches: int
    numbers: int
    next_lease_ms: int | None


@dataclass(frozen=True, slots=True)
class AccountRule:
    """An account as the scripts need it: calls at once, and ms between two requests."""

    max_concurrency: int
    interval_ms: float


@dataclass(frozen=True, slots=True)
class ProfilePolicy:
    """A profile as the scripts need it; `directions`: inbound, outbound; `trunk`: DIDs and extensions are taken."""

    account: str
    max_size: int
    max_wait_ms: int
    fingerprint: str
    directions: Sequence[str]
    trunk: bool = False

    def as_text(self) -> str:
        """As the scripts read it; no part of it can hold a space."""
        letters = "".join(name[0] for name in self.directions)
        trunk = "1" if self.trunk else ""
        return f"{self.fingerprint} {self.account} {self.max_size} {self.max_wait_ms} {letters} {trunk}"


@dataclass(frozen=True, slots=True)
class Policies:
    """The part of a configuration that is published to the store."""

    accounts: Mapping[str, AccountRule]
    profiles: Mapping[str, ProfilePolicy]


@dataclass(frozen=True, slots=True)
class Pause:
    """A stop of calls: its reason, since when; `until` None: until somebody resumes. Times in server ms."""

    reason: str
    since_ms: int | None
    until_ms: int | None
    by: Literal["operator", "api"]


@dataclass(frozen=True, slots=True)
class ProfileBook:
    """A profile's counters, and what its numbers wait for. Times in server ms.

    `carried`: a living worker's configuration has it as it was published. `due_ms`: when a batch of it may be claimed,
    None where nothing waits that may go. `oldest_waiting_ms`: since when the oldest waits of those that go next.
    `canary`: the attached number that is sent again before anything else of the profile goes, "" for none.
    """

    profile: str
    account: str
    paused: Pause | None
    counts: Mapping[str, int]
    carried: bool = True
    max_wait_ms: int = 0
    due_ms: int | None = None
    oldest_waiting_ms: int | None = None
    canary: str = ""


@dataclass(frozen=True, slots=True)
class AccountBook:
    """An account's pause, and when its breaker lets a probe through. Times in server ms.

    `calls`: batches under way, of `most_calls` at once. `interval_ms`: between two requests, the next of them at
    `next_slot_ms` (None: there was none yet).
    """

    account: str
    paused: Pause | None
    retry_at_ms: int | None
    calls: int = 0
    most_calls: int = 1
    interval_ms: float = 0
    next_slot_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A registered worker as it last spoke of itself; `configuration` is a digest. Times in server ms."""

    id: str
    host: str
    pid: int
    version: str
    threads: int
    busy: int
    configuration: str
    seen_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One end in the log of ends: the entry as it is now, and the sequence of its latest end."""

    sequence: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that is counted, read in one transaction at `now_ms` of the store's clock.

    `clock_stepped`: ms that the clock went back, and when.
    """

    profiles: tuple[ProfileBook, ...]
    accounts: tuple[AccountBook, ...]
    totals: Mapping[str, int]
    events: Mapping[str, int]
    calls: Mapping[str, int]
    workers: tuple[WorkerSeen, ...] = ()
    clock_stepped: tuple[int, int] | None = None
    now_ms: int = 0

    @property
    def balanced(self) -> bool:
        """Tell if accepted = coalesced + queued + attaching + attached + dead + dropped + superseded + archived."""
        return all(is_balanced(book.counts) for book in self.profiles)


COUNTED = ("coalesced", "queued", "attaching", "attached", "dead", "dropped", "superseded", "archived")


def is_balanced(counts: Mapping[str, int]) -> bool:
    """The conservation law for one set of counters."""
    return counts.get("accepted", 0) == sum(counts.get(name, 0) for name in COUNTED)


@dataclass(frozen=True, slots=True)
class Entry:
    """One number under one profile, as the store has it. Times are server ms.

    `in_doubt`: its last request may have arrived, and nobody knows. `held`: it waits for another profile's batch.
    """

    profile: str
    number: str
    state: State
    attempts: int
    queued_ms: int
    updated_ms: int
    next_attempt_ms: int | None
    event_ids: tuple[str, ...]
    source: str
    metadata: str
    error_code: str = ""
    api_code: str = ""
    message: str = ""
    answer: str = ""
    dead_code: str = ""
    dead_ms: int | None = None
    in_doubt: bool = False
    held: bool = False
