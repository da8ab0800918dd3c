"""Questions to the store that change nothing: the books, one number, dead letters, what waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from trunkline.contract import State
from trunkline.store.client import Store
from trunkline.store.connect import translated
from trunkline.store.model import STATES, AccountBook, Books, Entry, Outcome, Pause, ProfileBook, WorkerSeen
from trunkline.store.scripts import SCHEMA

PAGE: Final = 500
TOTALS: Final = (
    "accepted", "coalesced", "queued", "attaching", "attached", "dead", "dropped", "superseded", "archived",
)  # fmt: skip


def books(store: Store) -> Books:
    """Every counter and pause, read in one transaction: nothing moves in between."""
    with translated():
        profiles = _members(store, "policies")
        accounts = _members(store, "accounts")
        living = _living(store)
        with store.client.pipeline(transaction=True) as pipe:
            pipe.hgetall(f"{store.prefix}books")
            pipe.hget(f"{store.prefix}meta", "stepped")
            for account in accounts:
                pipe.hgetall(f"{store.prefix}account:{account}")
            for profile in profiles:
                pipe.hgetall(f"{store.prefix}policy:{profile}")
                pipe.hgetall(f"{store.prefix}books:{profile}")
            replies: list[Any] = pipe.execute()
        carried = _carried(store, {digest for digest, _ in living}, profiles)
        workers = _workers(store, living)
    common, stepped, rest = replies[0], replies[1], replies[2:]
    of_accounts, of_profiles = rest[: len(accounts)], rest[len(accounts) :]
    profile_books = tuple(
        _profile_book(name, of_profiles[2 * i], of_profiles[2 * i + 1], carried[name])
        for i, name in enumerate(profiles)
    )
    return Books(
        profiles=profile_books,
        accounts=tuple(_account_book(name, fields) for name, fields in zip(accounts, of_accounts, strict=True)),
        totals={name: sum(book.counts[name] for book in profile_books) for name in TOTALS},
        events={name: int(common.get(name, 0)) for name in ("accepted", "duplicate", "rejected")},
        calls={"attach": int(common.get("calls", 0)), "numbers": int(common.get("numbers", 0))},
        workers=workers,
        clock_stepped=_stepped(stepped),
    )


def published(store: Store) -> dict[str, bool]:
    """Every profile that anybody has published, and whether it is bound to a trunk."""
    with translated():
        names = _members(store, "policies")
        with store.client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(f"{store.prefix}policy:{name}", "tr")
            bound: list[str | None] = pipe.execute()
    return {name: each == "1" for name, each in zip(names, bound, strict=True)}


def entries_of(store: Store, number: str) -> list[Entry]:
    """What is known of one number, under every profile that has an entry of it."""
    return entries_of_each(store, [number])[number]


def entries_of_each(store: Store, numbers: Iterable[str]) -> dict[str, list[Entry]]:
    """The same of many numbers, each once; [] for one that nothing is known of."""
    found: dict[str, list[Entry]] = {number: [] for number in numbers}
    for entry in entries(store, _names_of_each(store, list(found))):
        found[entry.number].append(entry)
    return found


def _names_of_each(store: Store, numbers: list[str]) -> Iterator[tuple[str, str]]:
    """The (profile, number) that have a claim on one of these numbers, on whichever account."""
    with translated():
        accounts = _members(store, "accounts")
        schema = store.client.hget(f"{store.prefix}meta", "schema")
    if schema is None or int(str(schema)) < SCHEMA:  # not every entry has its claim yet: all profiles are asked
        with translated():
            profiles = _members(store, "policies")
        yield from ((profile, number) for number in numbers for profile in profiles)
        return
    for start in range(0, len(numbers), PAGE):
        page = numbers[start : start + PAGE]
        with translated(), store.client.pipeline(transaction=False) as pipe:
            for number in page:
                for account in accounts:
                    pipe.hmget(f"{store.prefix}route:{account}:{number}", ["i", "o", "h"])
            replies = iter(pipe.execute())
        for number in page:
            claims = [text for _ in accounts for text in next(replies) if text]
            names = {line.partition(" ")[2] for text in claims for line in str(text).split("\n")}
            yield from ((name, number) for name in sorted(names))


def entries(store: Store, names: Iterable[tuple[str, str]]) -> Iterator[Entry]:
    """The entries of these (profile, number), those that exist, in their order, read in pages."""
    page: list[tuple[str, str]] = []
    for name in names:
        page.append(name)
        if len(page) == PAGE:
            yield from _page(store, page)
            page = []
    yield from _page(store, page)


def dead_letters(store: Store, *, profile: str | None = None, code: str | None = None) -> Iterator[Entry]:
    """Dead letters, oldest first, read in pages; `code` matches trunkline's code or the API's."""
    names = (_split_name(member) for member in _dead_members(store))
    for entry in entries(store, (name for name in names if profile in (None, name[0]))):
        if entry.state is State.dead and code in (None, entry.dead_code, entry.api_code):
            yield entry


def _dead_members(store: Store) -> Iterator[str]:
    since, at_since = "-inf", set[str]()  # those of one millisecond that were read already
    while True:
        with translated():
            page: Any = store.client.zrangebyscore(
                f"{store.prefix}dead", since, "+inf", start=0, num=PAGE + len(at_since), withscores=True
            )
        fresh = [(str(member), score) for member, score in page if str(member) not in at_since]
        if not fresh:
            return
        yield from (member for member, _ in fresh)
        newest = fresh[-1][1]
        at_since = {str(member) for member, score in page if score == newest}
        since = repr(newest)


def waiting(store: Store, *, profile: str | None = None, source: str | None = None) -> Iterator[Entry]:
    """Numbers that wait for a call or are in one, by profile and by the source of their first event."""
    with translated():
        profiles = _members(store, "policies")
    for name in profiles:
        if profile in (None, name):
            for entry in entries(store, ((name, number) for number in _places(store, name))):
                if entry.state in (State.queued, State.attaching) and source in (None, entry.source):
                    yield entry


def outcomes(store: Store, after: int = 0, most: int = 100) -> list[Outcome]:
    """What has ended since the sequence `after`, in the order of its end, `most` ends at most.

    A compacted log, at least once: of each entry only its latest end is there, with what it is now, and one that waits
    again meanwhile is left out; its next end comes later. To read on, give the last sequence; [] means that nothing
    more has ended.
    """
    found: list[Outcome] = []
    while not found:
        with translated():
            page: Any = store.client.zrangebyscore(
                f"{store.prefix}ended", f"({after}", "+inf", start=0, num=most, withscores=True
            )
        if not page:
            break
        sequences = {_split_name(str(member)): int(score) for member, score in page}
        after = int(page[-1][1])
        for entry in entries(store, sequences):
            if entry.state not in (State.queued, State.attaching):
                found.append(Outcome(sequences[entry.profile, entry.number], entry))
    return found


def _members(store: Store, name: str) -> list[str]:
    return sorted(map(str, store.client.smembers(f"{store.prefix}{name}")))


def _places(store: Store, profile: str) -> Iterator[str]:
    """Every number in ready, split, retry or a batch of the profile; each once, though it may move meanwhile."""
    client, prefix = store.client, store.prefix
    given: set[str] = set()

    def once(numbers: Iterable[str]) -> Iterator[str]:
        for number in numbers:
            if number not in given:
                given.add(number)
                yield number

    yield from once(_list_backwards(store, f"ready:{profile}"))
    for child in _list_backwards(store, f"split:{profile}"):
        yield from once(child.split("\n"))
    with translated():
        leases = list(map(str, client.zrange(f"{prefix}leases", 0, -1)))
    for lease in leases:
        with translated():
            owner, numbers = client.hmget(f"{prefix}batch:{lease}", ["p", "n"])
        if owner == profile and numbers:
            yield from once(str(numbers).split("\n"))
    with translated():
        for number, _ in client.zscan_iter(f"{prefix}retry:{profile}", count=PAGE):
            yield from once([str(number)])


def _list_backwards(store: Store, name: str) -> Iterator[str]:
    """A list from its end: what is taken from its front meanwhile moves nothing that is still to be read."""
    last = -1
    while True:
        with translated():
            page = [str(each) for each in store.client.lrange(f"{store.prefix}{name}", last - PAGE + 1, last)]
        yield from reversed(page)
        if len(page) < PAGE:
            return
        last -= PAGE


def _living(store: Store) -> list[tuple[str, str]]:
    """The (digest, id) of every worker that lives."""
    seconds, micros = store.client.time()
    now = store.now_ms if store.now_ms is not None else int(seconds) * 1000 + int(micros) // 1000
    found = store.client.zrangebyscore(f"{store.prefix}workers", f"({now}", "+inf")
    pairs = (str(member).partition(" ") for member in found)
    return [(digest, worker) for digest, _, worker in pairs]


def _carried(store: Store, digests: set[str], profiles: list[str]) -> dict[str, bool]:
    """Of each profile, whether a living worker's configuration has it just as it was published."""
    with store.client.pipeline(transaction=False) as pipe:
        for profile in profiles:
            pipe.hget(f"{store.prefix}policy:{profile}", "fp")
            for digest in sorted(digests):
                pipe.hget(f"{store.prefix}config:{digest}", f"p:{profile}")
        replies: list[str | None] = pipe.execute()
    width = 1 + len(digests)
    found = {}
    for index, profile in enumerate(profiles):
        published, *configured = replies[index * width : (index + 1) * width]
        found[profile] = any(text is not None and text.partition(" ")[0] == published for text in configured)
    return found


def _workers(store: Store, living: list[tuple[str, str]]) -> tuple[WorkerSeen, ...]:
    with store.client.pipeline(transaction=False) as pipe:
        for _, worker in living:
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
        for (digest, worker), fields in sorted(zip(living, replies, strict=True), key=lambda each: each[0])
    )


def _stepped(text: str | None) -> tuple[int, int] | None:
    by, _, at = (text or "").partition(" ")
    return (int(by), int(at)) if at else None


def _page(store: Store, page: list[tuple[str, str]]) -> Iterator[Entry]:
    if not page:
        return
    with translated(), store.client.pipeline(transaction=False) as pipe:
        for profile, number in page:
            pipe.hgetall(f"{store.prefix}entry:{profile}:{number}")
        replies: list[dict[str, str]] = pipe.execute()
    for (profile, number), fields in zip(page, replies, strict=True):
        if fields:
            yield _entry(profile, number, fields)


def _entry(profile: str, number: str, fields: dict[str, str]) -> Entry:
    def moment(name: str) -> int | None:
        return int(float(fields[name])) if name in fields else None

    queued = moment("q") or 0
    return Entry(
        profile=profile,
        number=number,
        state=STATES[fields["s"]],
        attempts=int(fields.get("j" if fields["s"] == "a" else "k", 0)),
        queued_ms=queued,
        updated_ms=moment("u") or queued,
        next_attempt_ms=moment("n"),
        event_ids=tuple(fields.get("e", "").split("\n")),
        source=fields.get("o", ""),
        metadata=fields.get("m", ""),
        error_code=fields.get("ec", ""),
        api_code=fields.get("ea", ""),
        message=fields.get("em", ""),
        answer=fields.get("er", ""),
        dead_code=fields.get("dc", ""),
        dead_ms=moment("da"),
        in_doubt=fields.get("v") == "d",
    )


def _profile_book(name: str, policy: dict[str, str], book: dict[str, str], carried: bool) -> ProfileBook:
    counts = {field: int(book.get(field, 0)) for field in TOTALS}
    return ProfileBook(name, policy.get("a", ""), _profile_pause(policy), counts, carried)


def _profile_pause(policy: dict[str, str]) -> Pause | None:
    if "op" in policy:
        return Pause(policy["op"], _ms(policy.get("opt")), None, "operator")
    if "au" in policy:
        return Pause(policy["au"], _ms(policy.get("aut")), None, "api")
    return None


def _account_book(name: str, fields: dict[str, str]) -> AccountBook:
    retry_at = _ms(fields.get("gu"))
    if "op" in fields:
        return AccountBook(name, Pause(fields["op"], _ms(fields.get("opt")), None, "operator"), retry_at)
    if "gu" in fields:
        return AccountBook(name, Pause(fields.get("gr", ""), _ms(fields.get("gt")), retry_at, "api"), retry_at)
    return AccountBook(name, None, None)


def _ms(value: Any) -> int | None:
    return None if value is None else int(float(value))


def _split_name(member: str) -> tuple[str, str]:
    profile, _, number = member.partition(" ")
    return profile, number
