"""Result of one webhook delivery: the sum over its events, and the rejection kept for the operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final
from urllib.parse import unquote_plus

from trunkline.errors import InvalidEvent, TrunklineError
from trunkline.events.event import NumberEvent
from trunkline.lifecycle import Refusal, RefusalCode
from trunkline.store.rejections import NOT_FETCHED, Rejection
from trunkline_producers.enqueue.enqueuer import Summary
from trunkline_producers.sources import Source, interpret
from trunkline_producers.sources.interpret import ID_HEADERS
from trunkline_producers.verify import PathToken, QueryToken
from trunkline_producers.webhooks.bodies import Unreadable
from trunkline_producers.webhooks.expressions import ExpressionFailed
from trunkline_producers.webhooks.mapping import Mapped, Thin
from trunkline_producers.webhooks.redact import redactor
from trunkline_producers.webhooks.request import WebhookRequest

MAX_TOLD: Final = 20  # faults that are told one by one


class NotFetched(TrunklineError):
    """The carrier could not be asked for the numbers of an order; the sentence says why."""


Fetch = Callable[[Source, Thin], Sequence[str]]  # blocking; raises NotFetched


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """Result of one webhook delivery.

    `summary`: counts and refusals; `ignored`: events that no case matches; `leaving`: numbers that leave their carrier;
    `unfetched`: sentences on orders whose numbers the carrier did not give yet (the sender is asked to retry); `kept`:
    the rejection stored for the operator, if any; `counts`: no push has counted it as refused.
    """

    summary: Summary = field(default_factory=Summary)
    ignored: int = 0
    leaving: tuple[str, ...] = ()
    unfetched: tuple[str, ...] = ()
    kept: Rejection | None = None
    counts: bool = False

    @property
    def full(self) -> bool:
        """True if the queue had no room, so that the sender should come again."""
        return any(refusal.code is RefusalCode.queue_full for refusal in self.summary.rejected)

    @property
    def refused_whole(self) -> bool:
        """True if something was refused and nothing was taken in."""
        return bool(self.summary.rejected) and not self.summary.accepted and not self.summary.duplicate


@dataclass(frozen=True, slots=True)
class Fetched:
    """A delivery after the look-up of its orders: all its events, and a sentence for each order that failed."""

    mapped: Mapped
    events: tuple[NumberEvent, ...]
    unfetched: tuple[str, ...] = ()


def understood(source: Source, request: WebhookRequest) -> Mapped | Refusal:
    """The mapped delivery, or a refusal if it can't be understood. Raises Unverified, as interpret does."""
    try:
        return interpret(source, request)
    except (Unreadable, ExpressionFailed) as error:
        return Refusal("", RefusalCode.invalid_event, str(error))


def fetched(source: Source, mapped: Mapped, fetch: Fetch) -> Fetched:
    """Look up the numbers of every order that a delivery only names. Blocks; raises nothing."""
    events = list(mapped.events)
    unfetched = []
    for thin in mapped.thin:
        try:
            events += thin.with_numbers(fetch(source, thin))
        except (NotFetched, InvalidEvent) as error:
            unfetched.append(str(error))
    return Fetched(mapped, tuple(events), tuple(unfetched))


def not_understood(
    source: Source, request: WebhookRequest, refusal: Refusal, scrub: Callable[[str], str]
) -> DeliveryResult:
    """The result of a delivery of which nothing could be read."""
    kept = rejection_of(source, request, (refusal,), scrub=scrub)
    return DeliveryResult(Summary(rejected=(refusal,)), kept=kept, counts=True)


def settled(
    source: Source,
    request: WebhookRequest,
    got: Fetched,
    summaries: Sequence[Summary],
    scrub: Callable[[str], str],
) -> DeliveryResult:
    """The result of a delivery whose events were pushed."""
    mapped = got.mapped
    faults = _faults(mapped)
    summary = sum(summaries, Summary()) + Summary(rejected=faults)
    comes_again = source.table.on_rejected == "refuse"  # if the queue is full; else that must be kept as well
    refused = tuple(r for r in summary.rejected if not comes_again or r.code is not RefusalCode.queue_full)
    kept = None
    if refused or got.unfetched:
        ids = "\n".join(event.event_id for event in got.events)
        kept = rejection_of(source, request, refused, unfetched=got.unfetched, scrub=scrub, ids=ids)
    return DeliveryResult(summary, mapped.ignored, mapped.leaving, got.unfetched, kept, counts=bool(faults))


def rejection_of(
    source: Source,
    request: WebhookRequest,
    refusals: Sequence[Refusal],
    *,
    unfetched: Sequence[str] = (),
    scrub: Callable[[str], str],
    ids: str = "",
) -> Rejection:
    """The rejection of a delivery, with all that reading it again takes but secrets and the `redact` fields."""
    told_apart = ids.encode("utf-8", "replace") or request.query.encode("utf-8", "replace") + b"\n" + request.body
    names = {"content-type", *ID_HEADERS, *(case.event_id.header for case in source.cases)}
    code = NOT_FETCHED
    if not unfetched:
        code = refusals[0].code.value
    return Rejection(
        id=blake2b(source.name.encode() + b"\n" + told_apart, digest_size=8).hexdigest(),
        source=source.name,
        code=code,
        message="; ".join(dict.fromkeys([*unfetched, *(refusal.message for refusal in refusals)])),
        method=request.method,
        url=scrub(_without_token(source, request.url)),
        headers={
            name: scrub(value) for name, value in request.headers.items() if name in names or name.startswith("ce-")
        },
        body=redactor(source.table.redact, scrub)(request.body),
    )


def _without_token(source: Source, url: str) -> str:
    """The URL without the key that some sources put into it, however it is encoded there."""
    base, mark, query = url.partition("?")
    if isinstance(source.scheme, PathToken):
        return base.rpartition("/")[0] + mark + query
    if not isinstance(source.scheme, QueryToken):
        return url
    kept = [pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) != source.scheme.parameter]
    if not any(kept):
        return base
    return f"{base}?{'&'.join(kept)}"


def _faults(mapped: Mapped) -> tuple[Refusal, ...]:
    told = [Refusal("", RefusalCode.invalid_event, str(fault)) for fault in mapped.faults[:MAX_TOLD]]
    if (more := len(mapped.faults) - len(told)) > 0:
        told.append(Refusal("", RefusalCode.invalid_event, f"and {more} more that can't be understood"))
    return tuple(told)
