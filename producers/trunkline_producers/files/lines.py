"""Lines of text from a file of any size, in bounded memory."""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, cast

from trunkline.errors import TrunklineError
from trunkline_producers.files.rows import BadFile

MAX_ROW: Final = 65_536  # characters of one row; an event's metadata is 2048 bytes, its 1000 numbers some 20,000
MAX_LINES: Final = 1_000  # physical lines of one row

_UTF_8: Final = (b"", "utf-8", "UTF-8")
_ENCODINGS: Final = (  # the mark at the beginning, the codec, the name for people
    (b"\xef\xbb\xbf", "utf-8", "UTF-8"),
    (b"\xff\xfe", "utf-16-le", "UTF-16"),
    (b"\xfe\xff", "utf-16-be", "UTF-16"),
)
_NOT_TEXT: Final = (
    (b"PK\x03\x04", "is a spreadsheet or an archive, not text; export it as CSV"),
    (b"\xd0\xcf\x11\xe0", "is a spreadsheet, not text; export it as CSV"),
    (b"\x1f\x8b", "is compressed; unpack it first"),
)
_NOT_DECODED: Final = re.compile(r"[\ud800-\udfff]")  # what the error handlers leave of bytes that are no text


class RowTooLong(TrunklineError):
    """The lines taken for one row are more than a row can have."""


class Lines(Iterator[str]):
    """The lines of a file, each with its "\\n" whatever it ended in; what was taken for one row can be given back.

    `number` is the physical line given last, from 1; `at_byte` how many bytes of the file have been read. Raises
    BadFile at once for a file that is plainly no text.
    """

    def __init__(self, file: BinaryIO) -> None:
        head = file.read(4)
        for start, sentence in _NOT_TEXT:
            if head.startswith(start):
                raise BadFile(sentence)
        mark, codec, self._encoding = next((each for each in _ENCODINGS if head.startswith(each[0])), _UTF_8)
        self.number = 0
        self._bytes = _Counted(file, head[len(mark) :], len(mark))
        errors = "surrogateescape" if codec == "utf-8" else "surrogatepass"
        self._text = io.TextIOWrapper(cast(Any, self._bytes), codec, errors)  # the stub asks for a name as well
        self._broken_off = False
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self._size = 0

    @property
    def at_byte(self) -> int:
        return self._bytes.taken

    def begin_row(self) -> int:
        """The lines that follow are one row's; the number of its first line."""
        self._taken.clear()
        self._size = 0
        return self.number + 1

    def peek(self) -> str:
        """The next line (the beginning of a very long one), left where it is; "" after the last."""
        if not self._again:
            self._again.append(self._read())
        return self._again[0]

    def give_back_all_but_first(self) -> None:
        """Puts the lines of a broken row back, to be read as rows of their own."""
        self.number -= len(self._taken[1:])
        self._again.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]

    def fault(self) -> str | None:
        """Why the lines of this row are not text, if they are not."""
        for line in self._taken:
            if "\0" in line:
                return "contains a NUL byte, which is not text"
            if not line.isascii() and _NOT_DECODED.search(line):
                return f"is not {self._encoding}"
        return None

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        self._taken.append(line)
        self._size += len(line)
        if self._size > MAX_ROW or len(self._taken) > MAX_LINES:
            raise RowTooLong(self._why_too_long())
        return line

    def _why_too_long(self) -> str:
        if len(self._taken) == 1:
            return f"is longer than {MAX_ROW} characters"
        return f"has a quote that does not close within {MAX_LINES} lines and {MAX_ROW} characters"

    def _read(self) -> str:
        """The next line, its end left out where it is too long for a row; "" after the last."""
        if self._broken_off:
            return ""
        try:
            line = self._text.readline(MAX_ROW + 1)
            rest = line if len(line) > MAX_ROW else "\n"
            while rest and not rest.endswith("\n"):
                rest = self._text.readline(MAX_ROW + 1)
        except UnicodeDecodeError:  # UTF-16 that ends within a character
            self._broken_off = True
            return "\udcff"
        return line


class _Counted(io.BufferedIOBase):
    """Bytes, counted as they are taken. Closing it leaves the file open: whoever opened it closes it."""

    def __init__(self, file: BinaryIO, head: bytes, taken: int) -> None:
        self.taken = taken
        self._file: Any = file  # every buffered binary file has read1, though BinaryIO does not say so
        self._head = head

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:
        chunk: bytes = self._head or self._file.read1(size)
        self._head = b""
        self.taken += len(chunk)
        return chunk
