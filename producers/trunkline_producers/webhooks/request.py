"""A webhook request as it arrived, raw: what signatures are made over and what events are read from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """One request. `url` is the public URL as the sender used it, its query raw, never decoded or sorted again.

    `headers` has lower-case names; a header that came several times is joined with ", " as HTTP has it.
    """

    method: str
    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The raw path of the URL."""
        return urlsplit(self.url).path

    @property
    def query(self) -> str:
        """The raw query of the URL, without its question mark."""
        return self.url.partition("?")[2].partition("#")[0]

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case; "" where there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def headers_of(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Headers as a WebhookRequest has them, from pairs in the order they came."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        if key in joined:
            joined[key] += f", {value}"
        else:
            joined[key] = value
    return MappingProxyType(joined)
