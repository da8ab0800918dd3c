"""What programs write against the public API must pass a strict type check; mypy reads this, nothing runs it."""

from pathlib import Path

from trunkline.events.event import NumberEvent
from trunkline.lifecycle import Refusal
from trunkline_producers import AsyncEnqueuer, Enqueuer, Row, Summary, import_rows, read_rows


def enqueue_some(config: Path | None) -> tuple[int, list[str]]:
    with Enqueuer.open(config) as enqueuer:
        event = NumberEvent(
            event_id="order-17", numbers=("+14155550100",), profile="support", metadata={"customer": "42"}
        )
        summary: Summary = enqueuer.enqueue([event])
        refusals: tuple[Refusal, ...] = summary.rejected
        return summary.accepted, [refusal.message for refusal in refusals]


async def enqueue_from_a_loop(events: list[NumberEvent]) -> int:
    async with AsyncEnqueuer.open() as enqueuer:
        summary: Summary = await enqueuer.enqueue(events)
        each: list[Summary] = await enqueuer.each(events)
        return summary.accepted + len(each)


def import_one(enqueuer: Enqueuer, path: Path) -> int:
    total = 0
    for row, summary in import_rows(enqueuer, read_rows(path, profile="support")):
        line: int = row.line
        kept: Row = row
        total += summary.accepted if kept.event is not None and line else 0
    return total
