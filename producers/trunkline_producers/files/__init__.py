"""Files of numbers: CSV or JSON lines of any size, row by row in constant memory."""

from trunkline_producers.files.imports import import_rows
from trunkline_producers.files.read import read_rows
from trunkline_producers.files.rows import BadFile, Row

__all__ = ["BadFile", "Row", "import_rows", "read_rows"]
