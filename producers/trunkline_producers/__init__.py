"""Where number events come from: webhooks, programs, files and carriers' inventories."""

from trunkline.events.event import NumberEvent
from trunkline_producers.enqueue.async_enqueuer import AsyncEnqueuer
from trunkline_producers.enqueue.enqueuer import Enqueuer, Summary
from trunkline_producers.files import BadFile, Row, import_rows, read_rows

__all__ = ["AsyncEnqueuer", "BadFile", "Enqueuer", "NumberEvent", "Row", "Summary", "import_rows", "read_rows"]
