"""Sources that post signed webhooks all the time, and, as real ones do, post again what was not answered with a 2xx."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections import Counter
from types import TracebackType
from typing import Self

import httpx

from acceptance.site import HOOK_KEY, Site
from acceptance.worker_harness import until

AGAIN_S = 0.05
SENDERS = 4


class Posting:
    """Threads that deliver until they are stopped; each then goes on with its last delivery until it is taken."""

    def __init__(self, site: Site, url: str) -> None:
        self.taken: list[str] = []
        self.refused: Counter[str] = Counter()
        self._site = site
        self._client = httpx.Client(base_url=url, timeout=10.0, trust_env=False)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, name=f"source {i}") for i in range(SENDERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._site.pushed += self.taken

    def has_taken(self, more: int) -> None:
        """Waits until so many more deliveries were answered with a 2xx."""
        aim = len(self.taken) + more
        until(lambda: len(self.taken) >= aim, lambda: f"{aim} deliveries ({len(self.taken)}, {self.refused})")

    def _run(self) -> None:
        while not self._over.is_set():
            with self._lock:
                (number,) = self._site.new_numbers(1)
            body = json.dumps({"id": number, "phone": number}).encode()
            signature = hmac.new(HOOK_KEY.encode(), body, hashlib.sha256).hexdigest()
            while not self._delivered(body, {"X-Signature": signature, "Content-Type": "application/json"}):
                threading.Event().wait(AGAIN_S)
            self.taken.append(number)

    def _delivered(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            answer = self._client.post("/hooks/acme", content=body, headers=headers)
        except httpx.HTTPError as error:
            self.refused[type(error).__name__] += 1
            return False
        if answer.status_code == 503:
            assert answer.headers["retry-after"]
        if not answer.is_success:
            self.refused[str(answer.status_code)] += 1
        return answer.is_success
