"""The tables of `[sources.NAME]`: cases of events, the answer, and the section itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from trunkline.events.event import MAX_METADATA_KEY, MAX_METADATA_KEYS
from trunkline.http.urls import absolute_url
from trunkline.schema import Fault, Name, Secret, Table, Text, fault
from trunkline_producers.carriers.registry import ORDERS
from trunkline_producers.webhooks.bodies import Format
from trunkline_producers.webhooks.expressions import ExpressionField, compiled
from trunkline_producers.webhooks.mapping import Case, EventId, Fetch

_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]{1,64}/[\w!#$&^.+-]{1,64}(?:; ?[\w-]{1,64}=[\w.-]{1,64})*", re.ASCII)
_HEADER: Final = re.compile(r"header:\s*([A-Za-z0-9!#$%&'*+.^_`|~-]{1,64})", re.ASCII)


def _event_id(value: object) -> EventId:
    if isinstance(value, EventId):
        return value
    if isinstance(value, str) and value.startswith("header:"):
        named = _HEADER.fullmatch(value)
        if named is None:
            raise fault("must name a header after header:, as in header:Idempotency-Key")
        return EventId(header=named[1].lower())
    if not isinstance(value, str):
        raise fault('must be a JMESPath expression in quotes or "header:NAME"')
    try:
        return EventId(expression=compiled(value))
    except ValueError as error:
        raise fault(str(error)) from None


def _url(value: object) -> str:
    if isinstance(value, Secret):
        return absolute_url(value.value.get_secret_value(), may_hold_password=True)
    if not isinstance(value, str):
        raise fault('must be a URL such as https://hooks.example.com/telnyx, or { env = "NAME" }')
    return absolute_url(value)


def _media_type(value: str) -> str:
    if not _MEDIA_TYPE.fullmatch(value):
        raise fault("must be a media type such as text/xml")
    return value


def _fetcher(value: str) -> str:
    if value not in ORDERS:
        raise fault(f"must be {' or '.join(map(repr, ORDERS))}")
    return value


def _as_tuple(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    return value


Url = Annotated[str, PlainValidator(_url)]
EventIdField = Annotated[EventId, PlainValidator(_event_id)]
Metadata = Annotated[dict[str, ExpressionField], Field(max_length=MAX_METADATA_KEYS)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_as_tuple)]


class CaseTable(Table):
    """One kind of event of a source: [[sources.NAME.events]], or the section's own fields for the only one."""

    what: ClassVar[str] = "an event of a source"
    match: ExpressionField | None = None
    number: ExpressionField | None = None
    event_id: EventIdField = EventId()
    occurred_at: ExpressionField | None = None
    metadata: Metadata = Field(default_factory=dict)
    notice: bool = False
    fetch: Annotated[str, AfterValidator(_fetcher)] | None = None
    order: ExpressionField | None = None

    @classmethod
    def rules(cls, raw: Mapping[str, object]) -> Iterator[Fault]:
        """Check that there is a number or an order to fetch, and that metadata has good names."""
        together = "is required: fetch and order come together"
        if "fetch" in raw and "order" not in raw:
            yield ("order",), together
        if "order" in raw and "fetch" not in raw:
            yield ("fetch",), together
        if "number" not in raw and "fetch" not in raw:
            yield (
                ("number",),
                "is required: a JMESPath expression that finds the number, or a list, in an event",
            )
        metadata = raw.get("metadata")
        if not isinstance(metadata, Mapping):
            return
        for key in metadata:
            if not 1 <= len(str(key)) <= MAX_METADATA_KEY or not str(key).isprintable():
                yield ("metadata",), f"has a name that is empty, not printable or over {MAX_METADATA_KEY} characters"

    def case(self) -> Case:
        """The case for `map_items`."""
        fetch: Fetch | None = None
        if self.fetch and self.order:
            fetch = Fetch(self.fetch, self.order)
        return Case(
            number=self.number,
            match=self.match,
            event_id=self.event_id,
            occurred_at=self.occurred_at,
            metadata=self.metadata,
            notice=self.notice,
            fetch=fetch,
        )


class Answer(Table):
    """The answer to a delivery that was taken in; with `body` None the counts and refusals as JSON."""

    what: ClassVar[str] = "an answer"
    status: int = Field(default=200, ge=200, le=299)
    body: str | None = Field(default=None, max_length=4096)
    media_type: Annotated[str, AfterValidator(_media_type)] = "application/json"


class SourceTable(Table):
    """`[sources.NAME]` over the preset of its type, without `verify`, the keys and `api`."""

    what: ClassVar[str] = "a source"
    type: Text
    profile: Name | None = None
    region: Text | None = None
    methods: Annotated[tuple[Literal["POST", "GET", "PUT"], ...], BeforeValidator(_as_tuple), Field(min_length=1)] = (
        "POST",
    )
    url: Url | None = None
    format: Format = "auto"
    batch: ExpressionField | None = None
    require: ExpressionField | None = None
    events: Annotated[tuple[CaseTable, ...], BeforeValidator(_as_tuple), Field(max_length=32)] = ()
    on_rejected: Literal["refuse", "accept"] = "refuse"
    answer: Answer = Field(default_factory=Answer)
    answer_within_s: float = Field(default=4.5, gt=0, le=60)
    redact: Texts = ()
    may_choose: bool = False
