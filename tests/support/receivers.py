"""A receiver for tests: the real application on uvicorn, on loopback, in a thread of its own, over a real store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from trunkline.config.sections import Account, ServerSettings
from trunkline.config.settings import Settings
from trunkline.events.intake import NumberRules
from trunkline.events.routing import Route
from trunkline.profiles.directions import Direction
from trunkline.profiles.profile import Profile
from trunkline.schema import Secret
from trunkline.store import Store
from trunkline_producers.receiver import Receiver, make_server
from trunkline_producers.receiver.listening import listen
from trunkline_producers.sources import read_sources

PUBLIC_URL = "https://hooks.example.com"
PATIENCE_S = 20.0


@dataclass
class Clock:
    """A clock in unix seconds that stands where it was set."""

    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Site:
    """A receiver that is up, a client for it, and its store."""

    url: str
    client: httpx.Client
    store: Store
    clock: Clock
    receiver: Receiver

    def post(self, source: str, body: bytes | str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """A delivery to a source, as JSON unless the headers say otherwise."""
        content = body.encode() if isinstance(body, str) else body
        return self.client.post(
            f"/hooks/{source}", content=content, headers={"Content-Type": "application/json", **(headers or {})}
        )


def secret(value: str, name: str = "KEY") -> Secret:
    """A secret as the settings hand it on."""
    return Secret(f"env:{name}", SecretStr(value))


def settings_with(
    sources: Mapping[str, Mapping[str, Any]],
    *,
    profiles: tuple[str, ...] = ("support",),
    routes: tuple[Route, ...] = (),
    token: str | None = None,
    max_body_bytes: int = 1_048_576,
    max_kept_bytes: int = 268_435_456,
    public_url: str | None = PUBLIC_URL,
) -> Settings:
    """Settings with these sources; their tables have Secrets where the file has references."""
    return Settings(
        accounts={"default": Account(name="default", key=secret("api-key", "API"))},
        numbers=NumberRules(),
        profiles={name: Profile(name=name, directions=(Direction(type="inbound"),)) for name in profiles},
        routes=routes,
        sources=dict(sources),
        server=ServerSettings(
            public_url=public_url,
            token=secret(token, "TOKEN") if token else None,
            max_body_bytes=max_body_bytes,
            max_kept_bytes=max_kept_bytes,
        ),
    )


@contextmanager
def receiving(
    store: Store, settings: Settings, *, clock: Clock | None = None, scrub: Callable[[str], str] = str
) -> Iterator[Site]:
    """A receiver over the store, up until the context is left."""
    sources, mistakes = read_sources(settings.sources, settings.server, need_secrets=True)
    assert mistakes == []
    clock = clock or Clock()
    receiver = Receiver(store, settings, sources, scrub=scrub, clock=clock)
    server = make_server(receiver)
    with listen("127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="receiver")
        thread.start()
        try:
            with httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
                yield Site(url, client, store, clock, receiver)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
