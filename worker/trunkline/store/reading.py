"""Questions to the store that change nothing: the books, one number, dead letters, what waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from trunkline.contract import State
from trunkline.store.client import PREFIX, Store
from trunkline.store.connect import translated
from trunkline.store.model import STATES, AccountBook, Books, Entry, Pause, ProfileBook

PAGE: Final = 500
TOTALS: Final = (
    "accepted", "coalesced", "queued", "attaching", "attached", "dead", "dropped", "superseded", "archived",
)  # fmt: skip


def books(store: Store) -> Books:
    """Every counter and pause, read in one transaction: nothing moves in between."""
    with translated():
        profiles = _members(store, "policies")
        accounts = _members(store, "accounts")
        with store.client.pipeline(transaction=True) as pipe:
            pipe.hgetall(f"{PREFIX}books")
            for account in accounts:
                pipe.hgetall(f"{PREFIX}account:{account}")
            for profile in profiles:
                pipe.hgetall(f"{PREFIX}policy:{profile}")
                pipe.hgetall(f"{PREFIX}books:{profile}")
            replies: list[dict[str, str]] = pipe.execute()
    common, rest = replies[0], replies[1:]
    of_accounts, of_profiles = rest[: len(accounts)], rest[len(accounts) :]
    profile_books = tuple(
        _profile_book(name, of_profiles[2 * i], of_profiles[2 * i + 1]) for i, name in enumerate(profiles)
    )
    return Books(
        profiles=profile_books,
        accounts=tuple(_account_book(name, fields) for name, fields in zip(accounts, of_accounts, strict=True)),
        totals={name: sum(book.counts[name] for book in profile_books) for name in TOTALS},
        events={name: int(common.get(name, 0)) for name in ("accepted", "duplicate", "rejected")},
        calls={"attach": int(common.get("calls", 0)), "numbers": int(common.get("numbers", 0))},
    )


def published(store: Store) -> dict[str, bool]:
    """Every profile that anybody has published, and whether it is bound to a trunk."""
    with translated():
        names = _members(store, "policies")
        with store.client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(f"{PREFIX}policy:{name}", "tr")
            bound: list[str | None] = pipe.execute()
    return {name: each == "1" for name, each in zip(names, bound, strict=True)}


def entries_of(store: Store, number: str) -> list[Entry]:
    """What is known of one number, under every profile that has an entry of it."""
    return entries_of_each(store, [number])[number]


def entries_of_each(store: Store, numbers: Iterable[str]) -> dict[str, list[Entry]]:
    """The same of many numbers, each once; [] for one that nothing is known of."""
    with translated():
        profiles = _members(store, "policies")
    found: dict[str, list[Entry]] = {number: [] for number in numbers}
    for entry in entries(store, ((profile, number) for number in found for profile in profiles)):
        found[entry.number].append(entry)
    return found


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
    """Dead letters, oldest first; `code` matches trunkline's code or the API's."""
    with translated():
        members = [str(member) for member in store.client.zrange(f"{PREFIX}dead", 0, -1)]
    names = (_split_name(member) for member in members)
    for entry in entries(store, (name for name in names if profile in (None, name[0]))):
        if entry.state is State.dead and code in (None, entry.dead_code, entry.api_code):
            yield entry


def waiting(store: Store, *, profile: str | None = None, source: str | None = None) -> Iterator[Entry]:
    """Numbers that wait for a call or are in one, by profile and by the source of their first event."""
    with translated():
        profiles = _members(store, "policies")
    for name in profiles:
        if profile in (None, name):
            for entry in entries(store, ((name, number) for number in _places(store, name))):
                if entry.state in (State.queued, State.attaching) and source in (None, entry.source):
                    yield entry


def _members(store: Store, name: str) -> list[str]:
    return sorted(map(str, store.client.smembers(f"{PREFIX}{name}")))


def _places(store: Store, profile: str) -> Iterator[str]:
    """Every number in ready, split, retry or a batch of the profile; each once, though it may move meanwhile."""
    client = store.client
    with translated():
        found = dict.fromkeys(map(str, client.lrange(f"{PREFIX}ready:{profile}", 0, -1)))
        children = [str(child) for child in client.lrange(f"{PREFIX}split:{profile}", 0, -1)]
        found |= dict.fromkeys(map(str, client.zrange(f"{PREFIX}retry:{profile}", 0, -1)))
        for lease in map(str, client.zrange(f"{PREFIX}leases", 0, -1)):
            owner, numbers = client.hmget(f"{PREFIX}batch:{lease}", ["p", "n"])
            if owner == profile and numbers:
                children.append(str(numbers))
    for child in children:
        found |= dict.fromkeys(child.split("\n"))
    return iter(found)


def _page(store: Store, page: list[tuple[str, str]]) -> Iterator[Entry]:
    if not page:
        return
    with translated(), store.client.pipeline(transaction=False) as pipe:
        for profile, number in page:
            pipe.hgetall(f"{PREFIX}entry:{profile}:{number}")
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
    )


def _profile_book(name: str, policy: dict[str, str], book: dict[str, str]) -> ProfileBook:
    counts = {field: int(book.get(field, 0)) for field in TOTALS}
    return ProfileBook(name, policy.get("a", ""), _profile_pause(policy), counts)


def _profile_pause(policy: dict[str, str]) -> Pause | None:
    if "op" in policy:
        return Pause(policy["op"], _ms(policy.get("opt")), None, "operator")
    if "au" in policy:
        return Pause(policy["au"], _ms(policy.get("aut")), None, "api")
    if "gone" in policy:
        return Pause("no worker's configuration has this profile", _ms(policy["gone"]), None, "operator")
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
