"""Arguments of the scripts made from values, and values made from their replies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from trunkline.events.intake import Delivery
from trunkline.lifecycle import RefusalCode
from trunkline.store.fields import KindLetter, VerifyLetter
from trunkline.store.model import Batch, Disposition, Leased, Policies, Pushed, Settlement

PROFILES_A_PAGE: Final = 200


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


def push_args(delivery: Delivery) -> Iterator[str | int]:
    """A delivery as the arguments of push."""
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


def all_pushed(part: Sequence[Delivery], reply: list[list[Any]]) -> list[Pushed]:
    """The script tells only of deliveries of which not every number became a new entry."""
    results = [Pushed(False, len(delivery.numbers), 0, ()) for delivery in part]
    for row in reply:
        results[row[0]] = _pushed(row[1:])
    return results


def _pushed(row: list[Any]) -> Pushed:
    refused = tuple((int(row[i]), RefusalCode(row[i + 1])) for i in range(3, len(row), 2))
    return Pushed(duplicate=row[0] == 1, accepted=row[1], coalesced=row[2], refused=refused)


def batch_of(reply: list[Any]) -> Batch:
    """A batch from the reply of claim."""
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


def given(reply: Any) -> Any:
    """Return a part of a reply, None for the "" that stands for nothing."""
    if reply == "":
        return None
    return reply


def until_ms(at: Any, now: Any) -> int | None:
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


def settlement_as_json(said: Settlement) -> dict[str, Any]:
    """A settlement as the JSON object that settle reads."""
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
