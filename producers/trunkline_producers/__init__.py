"""Where number events come from: files, programs and, later, webhooks."""

from trunkline.contract import NumberEvent
from trunkline_producers.enqueue import Enqueuer, Summary
from trunkline_producers.files import BadFile, Row, read_rows
from trunkline_producers.imports import import_rows

__all__ = ["BadFile", "Enqueuer", "NumberEvent", "Row", "Summary", "import_rows", "read_rows"]
