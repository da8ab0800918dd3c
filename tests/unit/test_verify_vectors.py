"""Every published or documented signature is believed or refused as its vendor would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.webhook_vectors import VECTORS, Vector, configured, keys_of, now_of, request_of, scheme_of
from trunkline_producers.verify import Key, Reason, Unverified
from trunkline_producers.webhooks.request import WebhookRequest

VALID = [vector for vector in VECTORS if vector["expected"]["valid"]]
INVALID = [vector for vector in VECTORS if not vector["expected"]["valid"]]
REFUSED_FOR = {
    "stdwh-v1-too-old": Reason.stale,
    "hubspot-v3-too-old": Reason.stale,
    "stripe-too-old": Reason.stale,
    "telnyx-too-old": Reason.stale,
    "telnyx-from-future": Reason.from_future,
    "sinch-numbers-bad": Reason.malformed_signature,
}


def verified(vector: Vector, request: WebhookRequest) -> Key:
    tables = configured(vector)
    scheme = scheme_of(tables["verify"])
    return scheme.verify(request, keys_of(tables["keys"], scheme, tables["env"]), now_of(vector))


def test_all_of_them_are_here() -> None:
    assert len(VALID) + len(INVALID) == 49


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["id"])
def test_a_valid_signature_is_believed(vector: Vector) -> None:
    public = "HOOK_KEY" not in configured(vector)["env"]
    assert verified(vector, request_of(vector)).id == ("keys[0]" if public else "HOOK_KEY")


@pytest.mark.parametrize("vector", INVALID, ids=lambda vector: vector["id"])
def test_an_invalid_one_is_refused(vector: Vector) -> None:
    with pytest.raises(Unverified) as refused:
        verified(vector, request_of(vector))
    assert refused.value.reason is REFUSED_FOR.get(vector["id"], Reason.bad_signature)


@pytest.mark.parametrize(
    "vector",
    [each for each in VALID if each["id"] not in {"plivo-v2", "vonage-jwt-1"}],
    ids=lambda vector: vector["id"],
)
def test_a_changed_body_is_refused(vector: Vector) -> None:
    request = request_of(vector)
    with pytest.raises(Unverified) as refused:
        verified(vector, replace(request, body=request.body + b"&x=1"))
    assert refused.value.reason is Reason.bad_signature


@pytest.mark.parametrize(
    "vector",
    [each for each in VALID if scheme_of(configured(each)["verify"]).uses_url],
    ids=lambda vector: vector["id"],
)
def test_a_changed_url_is_refused(vector: Vector) -> None:
    request = request_of(vector)
    with pytest.raises(Unverified):
        verified(vector, replace(request, url=request.url.replace("://", "://x")))
