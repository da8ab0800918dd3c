"""Questions to the store that change nothing: the books, one number, dead letters, what waits."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final

from trunkline.lifecycle import State
from trunkline.store import standing
from trunkline.store.client import Store
from trunkline.store.connection import translated
from trunkline.store.fields import STATES, BatchField, EntryField, PolicyField, VerifyLetter
from trunkline.store.model import Books, Entry, Outcome
from trunkline.store.scripts import SCHEMA

PAGE: Final = 500
CLAIMS: Final = ["i", "o", "h"]  # of a route: who owns inbound, who outbound, the others
Position = tuple[float, str]  # of a dead letter: since when, and its member of the zset


def books(store: Store) -> Books:
    """Every counter and pause, read by one script: nothing moves meanwhile, and a server without memory answers."""
    with translated():
        profiles = _members(store, "policies")
        accounts = _members(store, "accounts")
        now_ms = standing.time_of(store)
        living = standing.living(store, now_ms)
        names = ["books", "meta", *(f"account:{account}" for account in accounts)]
        names += [f"policy:{profile}" for profile in profiles] + [f"books:{profile}" for profile in profiles]
        replies = (dict(zip(flat[::2], flat[1::2], strict=True)) for flat in store.run("books", *names))
        common, stepped = next(replies), next(replies).get("stepped")
        account_books = tuple(standing.account_book(account, next(replies)) for account in accounts)
        policies = {profile: next(replies) for profile in profiles}
        counted = {profile: next(replies) for profile in profiles}
        profile_books = standing.profile_books(store, policies, counted, {digest for digest, _ in living})
        workers = standing.workers(store, living)
    return Books(
        profiles=profile_books,
        accounts=account_books,
        totals={name: sum(book.counts[name] for book in profile_books) for name in standing.COUNTS},
        events={name: int(common.get(name, 0)) for name in ("accepted", "duplicate", "rejected")},
        calls={"attach": int(common.get("calls", 0)), "numbers": int(common.get("numbers", 0))},
        workers=workers,
        clock_stepped=_stepped(stepped),
        now_ms=now_ms,
    )


def published(store: Store) -> dict[str, bool]:
    """Every profile that anybody has published, and whether it is bound to a trunk."""
    with translated():
        names = _members(store, "policies")
        with store._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(f"{store.prefix}policy:{name}", PolicyField.trunk)
            bound: list[str | None] = pipe.execute()
    return {name: each == "1" for name, each in zip(names, bound, strict=True)}


def entries_of(store: Store, number: str) -> list[Entry]:
    """Return the entries of one number, under every profile that has one."""
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
        has_all_claims = _schema(store) >= SCHEMA
        profiles = [] if has_all_claims else _members(store, "policies")
    if not has_all_claims:  # not every entry has its claim yet: all profiles are asked
        yield from ((profile, number) for number in numbers for profile in profiles)
        return
    for start in range(0, len(numbers), PAGE):
        yield from _claimants(store, accounts, numbers[start : start + PAGE])


def _claimants(store: Store, accounts: list[str], page: list[str]) -> Iterator[tuple[str, str]]:
    with translated(), store._client.pipeline(transaction=False) as pipe:
        for number in page:
            for account in accounts:
                pipe.hmget(f"{store.prefix}route:{account}:{number}", CLAIMS)
        replies = iter(pipe.execute())
    for number in page:
        names: set[str] = set()
        for _ in accounts:
            for text in filter(None, next(replies)):
                names.update(line.partition(" ")[2] for line in str(text).split("\n"))
        yield from ((name, number) for name in sorted(names))


def _schema(store: Store) -> int:
    """The schema that all of the data has been brought to; 0 where nobody has noted one."""
    return int(str(store._client.hget(f"{store.prefix}meta", "schema") or 0))


def entries(store: Store, names: Iterable[tuple[str, str]]) -> Iterator[Entry]:
    """The entries of these (profile, number), those that exist, in their order, read in pages."""
    page: list[tuple[str, str]] = []
    for name in names:
        page.append(name)
        if len(page) == PAGE:
            yield from _page(store, page)
            page = []
    yield from _page(store, page)


def now(store: Store) -> int:
    """The store's time, ms."""
    with translated():
        return standing.time_of(store)


def dead_letters(
    store: Store, *, profile: str | None = None, code: str | None = None, after: str | None = None
) -> Iterator[Entry]:
    """Dead letters, oldest first, read in pages; `code` matches trunkline's code or the API's.

    `after` is the cursor of the last one that was seen (cursor_after), ValueError for a text that is none.
    """
    names = (_split_name(member) for member in _dead_members(store, _position(after)))
    return (
        entry
        for entry in entries(store, (name for name in names if profile in (None, name[0])))
        if entry.state is State.dead and code in (None, entry.dead_code, entry.api_code)
    )


def cursor_after(letter: Entry) -> str:
    """Return the cursor at which the dead letters after this one begin, for dead_letters."""
    place = f"{letter.dead_ms} {letter.profile} {letter.number}"
    return urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _position(cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    try:
        since, profile, number = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        return float(since), f"{profile} {number}"
    except ValueError as error:
        raise ValueError(f"{cursor!r} is no cursor; `next cursor` of an earlier list says one") from error


def _dead_members(store: Store, after: Position | None) -> Iterator[str]:
    skip = 0
    while True:
        since = "-inf" if after is None else repr(after[0])
        with translated():
            page: Any = store._client.zrangebyscore(
                f"{store.prefix}dead", since, "+inf", start=skip, num=PAGE, withscores=True
            )
        places = [(float(score), str(member)) for member, score in page]
        fresh = [place for place in places if after is None or place > after]
        yield from (member for _, member in fresh)
        if len(places) < PAGE:
            return
        skip = 0 if fresh else skip + PAGE
        after = fresh[-1] if fresh else after


def waiting(
    store: Store, *, profile: str | None = None, source: str | None = None, queued_by_ms: int | None = None
) -> Iterator[Entry]:
    """Numbers that wait for a call or are in one, by profile and by the source of their first event.

    `queued_by_ms` leaves out those that were queued later.
    """
    with translated():
        profiles = _members(store, "policies")
    for name in profiles:
        if profile in (None, name):
            for entry in entries(store, ((name, number) for number in _places(store, name))):
                if (
                    entry.state in (State.queued, State.attaching)
                    and source in (None, entry.source)
                    and (queued_by_ms is None or entry.queued_ms <= queued_by_ms)
                ):
                    yield entry


def outcomes(store: Store, after: int = 0, most: int = 100) -> list[Outcome]:
    """Return the ends since the sequence `after`, in their order, `most` at most.

    A compacted log, at least once: of each entry only its latest end is there, with what it is now, and one that waits
    again meanwhile is left out; its next end comes later. To read on, give the last sequence; [] means that nothing
    more has ended. Where the store has not come as far, it was restored, and the log is told from its beginning.
    """
    found: list[Outcome] = []
    with translated():
        last = int(store._client.get(f"{store.prefix}sequence") or 0)
    after = after if after <= last else 0
    while not found:
        with translated():
            page: Any = store._client.zrangebyscore(
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
    return sorted(map(str, store._client.smembers(f"{store.prefix}{name}")))


def _places(store: Store, profile: str) -> Iterator[str]:
    """Every number in ready, split, retry or a batch of the profile; each once, though it may move meanwhile."""
    client, prefix = store._client, store.prefix
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
            owner, numbers = client.hmget(f"{prefix}batch:{lease}", [BatchField.profile, BatchField.numbers])
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
            page = [str(each) for each in store._client.lrange(f"{store.prefix}{name}", last - PAGE + 1, last)]
        yield from reversed(page)
        if len(page) < PAGE:
            return
        last -= PAGE


def _stepped(text: str | None) -> tuple[int, int] | None:
    by, _, at = (text or "").partition(" ")
    return (int(by), int(at)) if at else None


def _page(store: Store, page: list[tuple[str, str]]) -> Iterator[Entry]:
    if not page:
        return
    with translated(), store._client.pipeline(transaction=False) as pipe:
        for profile, number in page:
            pipe.hgetall(f"{store.prefix}entry:{profile}:{number}")
        replies: list[dict[str, str]] = pipe.execute()
    for (profile, number), fields in zip(page, replies, strict=True):
        if fields:
            yield _entry(profile, number, fields)


def _entry(profile: str, number: str, fields: dict[str, str]) -> Entry:
    def moment(name: str) -> int | None:
        return int(float(fields[name])) if name in fields else None

    state = STATES[fields[EntryField.state]]
    attempts = EntryField.attempts_needed if state is State.attached else EntryField.attempts
    queued = moment(EntryField.queued_at) or 0
    return Entry(
        profile=profile,
        number=number,
        state=state,
        attempts=int(fields.get(attempts, 0)),
        queued_ms=queued,
        updated_ms=moment(EntryField.updated_at) or queued,
        next_attempt_ms=moment(EntryField.next_at),
        event_ids=tuple(fields.get(EntryField.event_ids, "").split("\n")),
        source=fields.get(EntryField.source, ""),
        metadata=fields.get(EntryField.metadata, ""),
        error_code=fields.get(EntryField.error_code, ""),
        api_code=fields.get(EntryField.api_code, ""),
        message=fields.get(EntryField.message, ""),
        answer=fields.get(EntryField.answer, ""),
        dead_code=fields.get(EntryField.dead_code, ""),
        dead_ms=moment(EntryField.dead_at),
        in_doubt=fields.get(EntryField.verify) == VerifyLetter.in_doubt,
        held=EntryField.held in fields,
    )


def _split_name(member: str) -> tuple[str, str]:
    profile, _, number = member.partition(" ")
    return profile, number
