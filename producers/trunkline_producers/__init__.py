"""Where number events come from: webhooks, programs, files and carriers' inventories."""

from trunkline.contract import NumberEvent
from trunkline_producers.enqueue import Enqueuer, Summary
from trunkline_producers.enqueue_async import AsyncEnqueuer
from trunkline_producers.files import BadFile, Row, import_rows, read_rows

__all__ = ["AsyncEnqueuer", "BadFile", "Enqueuer", "NumberEvent", "Row", "Summary", "import_rows", "read_rows"]
