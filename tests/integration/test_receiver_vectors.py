"""Every published signature, through the receiver over HTTP: the valid are valid, the others are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.receivers import Clock, Site, receiving, settings_with
from support.servers import Server
from support.webhook_vectors import VECTORS, Vector, configured, now_of, request_of, resolved
from trunkline.store import Store

IGNORED = {"number": "number", "match": "`false`"}  # what is verified is ignored: only the signature is asked here


def source_of(vector: Vector) -> dict[str, Any]:
    made = configured(vector)
    url = made["url"]
    table = {"verify": made["verify"], "keys": made["keys"], "methods": ["POST", "GET"], **IGNORED}
    if url is not None:
        table["url"] = {"env": "HOOK_URL"}
    return resolved(table, {**made["env"], "HOOK_URL": (url or "").partition("?")[0]})  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def site(valkey: Server) -> Iterator[Site]:
    with valkey.client() as client:
        client.flushdb()
        sources = {f"v{index}": source_of(vector) for index, vector in enumerate(VECTORS)}
        with receiving(Store(client), settings_with(sources), clock=Clock()) as site:
            yield site


def test_there_are_all_of_them() -> None:
    assert len(VECTORS) == 49


@pytest.mark.parametrize("index", range(len(VECTORS)), ids=[vector["id"] for vector in VECTORS])
def test_a_published_signature_is_what_it_says(site: Site, index: int) -> None:
    vector = VECTORS[index]
    request = request_of(vector)
    site.clock.now = now_of(vector)

    answer = site.client.request(
        request.method,
        f"/hooks/v{index}" + (f"?{request.query}" if request.query else ""),
        content=request.body,
        headers=dict(request.headers),
    )

    if vector["expected"]["valid"]:
        # a body that is no JSON, as some suites sign, is verified all the same and then can't be understood
        assert answer.status_code in {200, 422}, answer.text
        assert answer.status_code == 200 or "not JSON" in answer.json()["detail"]
    else:
        assert answer.status_code == 401, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
