"""Known secrets leave a text before it is stored, logged or shown, in every form they are likely to come back in."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

PLACEHOLDER: Final = "[secret]"
SHORT: Final = 4  # below this many characters a secret is only taken out where it stands as a word of its own
FRAGMENT: Final = 8  # a piece of base64 shorter than this would hit innocent text
MAX_READ_LENGTH: Final = 16_384  # characters of an answer that are looked at for the sake of an excerpt

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def make_scrubber(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that puts `[secret]` in place of every known secret: raw, JSON-escaped (also twice), percent-encoded,
    HTML-escaped and base64 (also inside a longer text that was encoded, such as `user:password`)."""
    known = {secret for secret in secrets if secret}
    forms = {form for secret in known for form in _forms(secret)}
    if not forms:
        return str
    pattern = re.compile("|".join(_literal(form) for form in sorted(forms, key=lambda form: (-len(form), form))))
    return lambda text: pattern.sub(PLACEHOLDER, text)


def clip(text: str, scrub: Callable[[str], str], limit: int = 500) -> str:
    """At most `limit` characters on one line, scrubbed before it is cut, safe for a terminal and for UTF-8."""
    line = _UNPRINTABLE.sub(" ", scrub(text[:MAX_READ_LENGTH])).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _forms(secret: str) -> Iterator[str]:
    yield secret
    for ascii_only in (True, False):
        once = _escaped(secret, ascii_only)
        for form in (once, once.replace("/", "\\/"), _escaped(once, ascii_only)):
            yield form
            yield re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), form)
    octets = secret.encode("utf-8", "surrogatepass")
    for form in (quote(octets, safe=""), quote(octets, safe="/"), quote_plus(octets)):
        yield form
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), form)
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    yield from _base64_forms(octets)


def _escaped(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _base64_forms(octets: bytes) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(octets).decode()
        if len(octets) >= SHORT:
            yield whole
        for offset in range(3):  # where the secret starts within a group of three bytes
            encoded = encode(b"\0" * offset + octets).decode().rstrip("=")
            first = (0, 2, 3)[offset]
            last = (offset + len(octets)) * 8 // 6  # characters that do not depend on what follows
            if last - first >= FRAGMENT:
                yield encoded[first:last]


def _literal(form: str) -> str:
    escaped = re.escape(form)
    return escaped if len(form) >= SHORT else rf"(?<!\w){escaped}(?!\w)"
