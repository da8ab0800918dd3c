"""Redacting: takes fields and known secrets out of bodies that are kept for the operator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

GONE: Final = b"[redacted]"


def redactor(names: Iterable[str], scrub: Callable[[str], str]) -> Callable[[bytes], bytes]:
    """A function that takes the values of these fields (text and numbers in JSON, XML, forms) and every known secret
    out of a body.

    It works on the bytes, so also on a body that can't be read; what else is in it stays as it is.
    """
    patterns = [(re.compile(pattern), put) for name in names for pattern, put in _patterns(re.escape(name).encode())]

    def redact(body: bytes) -> bytes:
        for pattern, put in patterns:
            body = pattern.sub(put, body)
        text = body.decode("utf-8", "surrogateescape")
        return scrub(text).encode("utf-8", "surrogateescape")

    return redact


def _patterns(name: bytes) -> Iterable[tuple[bytes, bytes]]:
    value = rb'(?:"(?s:[^"\\]|\\.)*(?:"|\\?\Z)|[-+.\w]+)'  # text, perhaps cut off at the end, or a number
    yield rb'("%s"\s*:\s*)%s' % (name, value), rb'\g<1>"' + GONE + b'"'
    content = rb"(?:<!\[CDATA\[(?s:.)*?(?:\]\]>|\Z)|[^<]+)"
    yield rb"(<(?:[\w.-]+:)?%s(?:\s[^<>]*)?>)%s" % (name, content), rb"\g<1>" + GONE
    yield rb"((?:^|&)%s=)[^&]*" % name, rb"\g<1>" + GONE
