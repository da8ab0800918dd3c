"""What no scheme believes: anything changed, anything missing, anything too old, any key out of its time."""

from __future__ import annotations

import hmac
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from support.webhook_signers import FORM, SENDERS, URL, Sender, base64, mac, token
from support.webhook_vectors import keys_of, resolved, scheme_of
from trunkline_producers.verify import Key, Reason, Unverified, read_keys
from trunkline_producers.webhooks.request import WebhookRequest, headers_of

NOW = 1_790_000_000
OLD, NEW = "the_old_secret", "the_new_secret"
ENV = {OLD.upper(): OLD, NEW.upper(): NEW}
NASTY = (
    "", " ", ",", "=", "v1", "v1,", "v1=", "t=,v1=", "t=1", "zz", "0", "00", "==", "AA=A", "sha256=", "\x00", "é",
    "\udcff", "💥", "null", "-1", "1e9", "inf", "nan", "9" * 400, "v1,é", "v1a,AAAA", "Basic", "Basic =", "Basic QQ==",
    "Bearer", "Bearer a.b.c", "Bearer ..", "Bearer e30.e30.AA", "a b c", "application x:y", "v1," * 5000,
    "0" * 128, "A" * 88,
)  # fmt: skip

senders = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
in_headers = pytest.mark.parametrize("sender", [each for each in SENDERS if each.where], ids=lambda sender: sender.name)
dated = pytest.mark.parametrize("sender", [each for each in SENDERS if each.dated], ids=lambda sender: sender.name)


def verified(sender: Sender, request: WebhookRequest, *keys: dict[str, Any], now: float = NOW) -> Key:
    scheme = scheme_of(sender.verify)
    return scheme.verify(request, keys_of(keys or [sender.key(NEW)], scheme, ENV), now)


def believed(sender: Sender, request: WebhookRequest, *, now: float = NOW) -> bool:
    return verified(sender, request, now=now).id in {NEW.upper(), "keys[0]"}


def reason(sender: Sender, request: WebhookRequest, *keys: dict[str, Any], now: float = NOW) -> Reason:
    with pytest.raises(Unverified) as refused:
        verified(sender, request, *keys, now=now)
    for secret in (OLD, NEW):
        assert secret not in str(refused.value)
    return refused.value.reason


def with_header(request: WebhookRequest, name: str, value: str | None) -> WebhookRequest:
    rest = {key: text for key, text in request.headers.items() if key != name}
    return replace(request, headers=rest if value is None else {**rest, name: value})


@senders
def test_what_the_sender_signed_is_believed(sender: Sender) -> None:
    assert believed(sender, sender.sent(NEW, NOW))


@senders
def test_another_secret_is_not(sender: Sender) -> None:
    assert reason(sender, sender.sent(OLD, NOW)) is Reason.bad_signature


@pytest.mark.parametrize("sender", [each for each in SENDERS if each.binds_body], ids=lambda sender: sender.name)
def test_a_changed_byte_of_the_body_is_not(sender: Sender) -> None:
    request = sender.sent(NEW, NOW)
    for index in range(len(request.body)):
        changed = bytearray(request.body)
        changed[index] ^= 1
        assert reason(sender, replace(request, body=bytes(changed))) is Reason.bad_signature
    assert reason(sender, replace(request, body=b"")) is Reason.bad_signature


@in_headers
def test_a_changed_character_of_the_signature_is_not(sender: Sender) -> None:
    request = sender.sent(NEW, NOW)
    text = request.headers[sender.where]
    for index in range(text.index("v1=") if "v1=" in text else 0, text.index(",v0") if ",v0" in text else len(text)):
        if text[index].lower() != (other := "1" if text[index] != "1" else "2"):
            changed = with_header(request, sender.where, text[:index] + other + text[index + 1 :])
            assert reason(sender, changed) not in {Reason.stale, Reason.from_future}


@in_headers
def test_a_missing_signature_is_told_from_a_wrong_one(sender: Sender) -> None:
    request = sender.sent(NEW, NOW)
    assert reason(sender, with_header(request, sender.where, None)) is Reason.missing_signature
    assert reason(sender, with_header(request, sender.where, "")) is Reason.missing_signature


@senders
def test_nothing_at_all_is_a_missing_signature(sender: Sender) -> None:
    assert reason(sender, WebhookRequest("POST", "", b"")) is Reason.missing_signature


@in_headers
def test_a_malformed_header_is_refused(sender: Sender) -> None:
    request = sender.sent(NEW, NOW)
    for name in request.headers.keys() - {"content-type"}:
        for nasty in NASTY:
            assert reason(sender, with_header(request, name, nasty)), nasty


@in_headers
def test_a_header_that_comes_twice_is_believed_only_where_lists_are(sender: Sender) -> None:
    request = sender.sent(NEW, NOW)
    text = request.headers[sender.where]
    twice = with_header(request, sender.where, f"{text}, {text}")
    if sender.verify["scheme"] == "standard-webhooks":
        assert believed(sender, twice)
    else:
        malformed = {Reason.malformed_signature, Reason.malformed_timestamp, Reason.bad_signature}
        assert reason(sender, twice) in malformed


@dated
def test_a_signature_is_believed_for_five_minutes_either_way(sender: Sender) -> None:
    request = sender.sent(NEW, NOW)
    assert believed(sender, request, now=NOW + 300)
    assert believed(sender, request, now=NOW - 300)
    assert reason(sender, request, now=NOW + 302) is Reason.stale
    assert reason(sender, request, now=NOW - 301) is Reason.from_future


@senders
def test_a_rotated_key_counts_in_its_time(sender: Sender) -> None:
    end = datetime.fromtimestamp(NOW, UTC)
    rotation = ({**sender.key(OLD), "id": "old", "not_after": end}, {**sender.key(NEW), "id": "new", "not_before": end})
    assert verified(sender, sender.sent(OLD, NOW), *rotation).id == "old"
    assert verified(sender, sender.sent(NEW, NOW), *rotation).id == "new"
    assert reason(sender, sender.sent(OLD, NOW), *rotation, now=NOW + 1) is Reason.bad_signature
    assert reason(sender, sender.sent(NEW, NOW), *rotation, now=NOW - 1) is Reason.bad_signature
    assert reason(sender, sender.sent(OLD, NOW), rotation[0], now=NOW + 1) is Reason.bad_signature


@senders
def test_without_a_key_nothing_is_believed(sender: Sender) -> None:
    with pytest.raises(Unverified) as refused:
        scheme_of(sender.verify).verify(sender.sent(NEW, NOW), (), NOW)
    assert refused.value.reason is Reason.bad_signature
    assert "no key of this source counts now" in str(refused.value)


@senders
def test_a_key_that_is_not_set_is_left_out_unless_secrets_are_needed(sender: Sender) -> None:
    scheme = scheme_of(sender.verify)
    raw = resolved([{"env": "NOT_SET"}, sender.key(NEW)], ENV)
    keys, mistakes = read_keys(raw, scheme, "sources.acme.keys", need_secrets=False)
    assert (len(keys), mistakes) == (1, [])
    keys, mistakes = read_keys(raw, scheme, "sources.acme.keys", need_secrets=True)
    assert list(map(str, mistakes)) == ["sources.acme.keys[0]: the environment variable NOT_SET is not set; set it"]


def test_only_basic_and_bearer_challenge() -> None:
    challenges = {sender.verify["scheme"]: scheme_of(sender.verify).challenge for sender in SENDERS}
    assert {name: text for name, text in challenges.items() if text} == {
        "basic": 'Basic realm="trunkline"',
        "bearer": "Bearer",
        "jwt": "Bearer",
    }


def test_without_verification_everything_is_believed_by_the_key_none() -> None:
    scheme = scheme_of({"scheme": "none"})
    assert scheme.verify(WebhookRequest("POST", "", b"\xff"), (), NOW).id == "none"


STRIPE = next(each for each in SENDERS if "list" in each.name)
TWILIO = next(each for each in SENDERS if "twilio" in each.name)
JWT = next(each for each in SENDERS if each.name == "jwt")
SVIX = next(each for each in SENDERS if "svix" in each.name)
STANDARD = next(each for each in SENDERS if each.name == "standard webhooks")


def test_of_several_signatures_one_has_to_be_right_and_an_older_scheme_does_not_count() -> None:
    request = STRIPE.sent(NEW, NOW)
    right = mac(NEW, f"{NOW}.".encode() + request.body).hex()
    wrong = "00" * 32

    def listed(*items: str) -> WebhookRequest:
        return with_header(request, "stripe-signature", ",".join((f"t={NOW}", *items)))

    assert believed(STRIPE, listed(f"v1={wrong}", f"v1={right.upper()}"))
    assert believed(STRIPE, listed("v1=undecodable", f"v1={right}"))
    assert reason(STRIPE, listed(f"v0={right}")) is Reason.malformed_signature
    assert reason(STRIPE, listed(f"v0={right}", f"v1={wrong}")) is Reason.bad_signature
    assert reason(STRIPE, listed(*[f"v1={wrong}"] * 16, f"v1={right}")) is Reason.bad_signature


@pytest.mark.parametrize("stamp", ["x", "-1", "1.5", "\u0663", "1" * 16, "1e9", "1, 1", "inf", "0x1", "1_0", "\x001"])
def test_a_timestamp_is_ascii_digits(stamp: str) -> None:
    request = with_header(STANDARD.sent(NEW, NOW), "webhook-timestamp", stamp)
    assert reason(STANDARD, request) is Reason.malformed_timestamp
    assert reason(STANDARD, with_header(request, "webhook-timestamp", None)) is Reason.missing_timestamp


def test_no_version_of_standard_webhooks_is_made_with_the_key_of_another() -> None:
    scheme = scheme_of(STANDARD.verify)
    request = STANDARD.sent(NEW, NOW)
    message = b"msg_1." + str(NOW).encode() + b"." + request.body
    public = keys_of([SVIX.key(NEW)], scheme, {})
    by_public_key = base64(hmac.digest(public[0].secret, message, "sha256"))
    forged = (f"v1,{by_public_key}", f"v1a,{by_public_key}", f"v1,{by_public_key} v1a,{'A' * 86}==")
    for text in forged:
        with pytest.raises(Unverified) as refused:
            scheme.verify(with_header(request, "webhook-signature", text), public, NOW)
        assert refused.value.reason is Reason.bad_signature
    both = (*public, *keys_of([STANDARD.key(NEW)], scheme, ENV))
    assert scheme.verify(request, both, NOW).id == NEW.upper()
    assert scheme.verify(SVIX.sent(NEW, NOW), both, NOW).id == "keys[0]"


def test_of_the_signatures_of_standard_webhooks_sixteen_are_looked_at_and_two_headers_are_one_list() -> None:
    request = STANDARD.sent(NEW, NOW)
    right = request.headers["webhook-signature"]
    assert believed(STANDARD, with_header(request, "webhook-signature", f"{right}, v1,AAAA"))
    assert believed(STANDARD, with_header(request, "webhook-signature", "v1,AAAA " * 15 + right))
    late = with_header(request, "webhook-signature", "v1,AAAA " * 16 + right)
    assert reason(STANDARD, late) is Reason.bad_signature


@pytest.mark.parametrize(
    ("verify", "url", "expected"),
    [
        ({"scheme": "path-token"}, f"https://hooks.example.com/hooks/{NEW}", Reason.missing_signature),
        ({"scheme": "path-token"}, f"https://hooks.example.com/x/acme/{NEW}", Reason.missing_signature),
        ({"scheme": "path-token"}, f"https://hooks.example.com/hooks/acme/{NEW}/", Reason.missing_signature),
        ({"scheme": "path-token"}, f"/base/hooks/acme/{NEW}?x=1", None),
        ({"scheme": "path-token"}, "/hooks/acme/the%5Fnew_secret", None),
        ({"scheme": "query-token"}, f"/hooks/acme?token={NEW}&token={NEW}", Reason.malformed_signature),
        ({"scheme": "query-token"}, "/hooks/acme?token=", Reason.missing_signature),
        ({"scheme": "body-token", "token": "token"}, f"/hooks/acme?token={NEW}", Reason.missing_signature),
    ],
)
def test_a_token_counts_in_its_own_place(verify: dict[str, Any], url: str, expected: Reason | None) -> None:
    sender = Sender("a token", verify, lambda *_: {})
    request = WebhookRequest("POST", url, b"")
    assert believed(sender, request) if expected is None else reason(sender, request) is expected


def in_body(stamp: str, **fields: Any) -> Reason | None:
    verify = {"scheme": "hmac", "header": "X-Sig", "timestamp": {"body": "at", **fields}}
    scheme = scheme_of(verify)
    body = f'{{"at": {stamp}}}'.encode()
    request = WebhookRequest("POST", URL, body, headers_of({"X-Sig": mac(NEW, body).hex()}.items()))
    try:
        scheme.verify(request, [Key("k", NEW.encode())], NOW)
    except Unverified as refused:
        return refused.reason
    return None


@pytest.mark.parametrize(
    ("stamp", "fields", "expected"),
    [
        (f"{NOW}", {}, None),
        (f'"{NOW}"', {}, None),
        (f"{NOW}000", {"unit": "ms"}, None),
        ('"2026-09-21T14:13:20Z"', {"unit": "rfc3339"}, None),
        ('"2026-09-21T16:13:20+02:00"', {"unit": "rfc3339"}, None),
        ('"2026-09-21T14:13:20.12345678"', {"unit": "rfc3339"}, None),
        ('"2026-13-21T14:13:20Z"', {"unit": "rfc3339"}, Reason.malformed_timestamp),
        ('"2026-09-21T14:13:20+99:00"', {"unit": "rfc3339"}, Reason.malformed_timestamp),
        ('"0001-01-01T00:00:00+14:00"', {"unit": "rfc3339"}, Reason.stale),
        ('"9999-12-31T23:59:59-14:00"', {"unit": "rfc3339"}, Reason.from_future),
        (f"{NOW}", {"unit": "ms"}, Reason.stale),
        (f"{NOW - 61}", {"tolerance_s": 60}, Reason.stale),
        (f"{NOW + 61}", {"future_s": 60}, Reason.from_future),
        ("true", {}, Reason.malformed_timestamp),
        ("1.5", {}, Reason.malformed_timestamp),
        ("-5", {}, Reason.malformed_timestamp),
        ("Infinity", {}, Reason.malformed_timestamp),
        ("9" * 4000, {}, Reason.malformed_timestamp),
        ("9" * 5000, {}, Reason.missing_timestamp),
        ("null", {}, Reason.missing_timestamp),
        ("[" * 100_000, {}, Reason.missing_timestamp),
        ("{}", {}, Reason.malformed_timestamp),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_timestamp_in_the_signed_body(stamp: str, fields: dict[str, Any], expected: Reason | None) -> None:
    assert in_body(stamp, **fields) is expected


def test_a_timestamp_in_the_body_is_looked_at_only_once_the_body_is_believed() -> None:
    scheme = scheme_of({"scheme": "hmac", "header": "X-Sig", "timestamp": {"body": "at"}})
    request = WebhookRequest("POST", URL, b'{"at": 1}', {"x-sig": "00"})
    with pytest.raises(Unverified) as refused:
        scheme.verify(request, [Key("k", b"s")], NOW)
    assert refused.value.reason is Reason.bad_signature


def twilio_signed(url: str, tail: bytes = b"") -> dict[str, str]:
    return {"x-twilio-signature": base64(mac(NEW, url.encode() + tail, "sha1"))}


def test_a_body_that_twilio_did_not_cover_is_refused() -> None:
    signed = twilio_signed(URL)
    assert believed(TWILIO, WebhookRequest("GET", URL, b"", signed))
    for kind in ("application/json", FORM, ""):
        uncovered = WebhookRequest("POST", URL, b'{"a": 1}', {**signed, "content-type": kind})
        assert reason(TWILIO, uncovered) is Reason.bad_signature


def test_a_body_in_json_that_twilio_covered_can_neither_be_emptied_nor_called_a_form() -> None:
    url = URL + "&bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    request = WebhookRequest("POST", url, b'{"a":1}', {**twilio_signed(url), "content-type": "application/json"})
    assert believed(TWILIO, request)
    for kind, body in (("application/json", b""), (FORM, b""), (FORM, b"&&"), (FORM, b'{"a":1}')):
        changed = replace(with_header(request, "content-type", kind), body=body)
        assert reason(TWILIO, changed) is Reason.bad_signature


@pytest.mark.parametrize("signed", ["https://a.example/x?y", "https://a.example:443/x?y"])
@pytest.mark.parametrize("configured", ["https://a.example/x?y", "https://a.example:443/x?y"])
def test_twilio_may_write_the_port_or_leave_it_out(signed: str, configured: str) -> None:
    assert believed(TWILIO, WebhookRequest("POST", configured, b"", twilio_signed(signed)))
    assert reason(TWILIO, WebhookRequest("POST", configured, b"", twilio_signed(signed + "z"))) is Reason.bad_signature


def test_a_value_that_comes_twice_is_signed_once_by_twilio() -> None:
    signed = twilio_signed(URL, b"a1a2")
    request = WebhookRequest("POST", URL, b"a=2&a=1&a=2", {**signed, "content-type": FORM})
    assert believed(TWILIO, request)


@pytest.mark.parametrize(
    "header",
    [{"alg": "none"}, {"alg": "RS256"}, {"alg": "HS512"}, {"alg": ["HS256"]}, {}, {"alg": "HS256", "crit": []}],
    ids=str,
)
def test_a_token_of_another_algorithm_is_refused(header: dict[str, Any]) -> None:
    text = token(NEW, {"iat": NOW}, {"typ": "JWT", **header})
    for each in (text, text.rpartition(".")[0] + "."):
        request = with_header(JWT.sent(NEW, NOW), "authorization", f"Bearer {each}")
        assert reason(JWT, request) is Reason.malformed_signature


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": NOW - 301}, Reason.stale),
        ({"nbf": NOW + 301}, Reason.from_future),
        ({"iat": NOW + 301}, Reason.from_future),
        ({"iat": None}, Reason.missing_timestamp),
        ({"iat": "1"}, Reason.malformed_timestamp),
        ({"exp": True}, Reason.malformed_timestamp),
        ({"exp": float("inf")}, Reason.malformed_timestamp),
        ({"exp": float("nan")}, Reason.malformed_timestamp),
        ({"exp": 10**4000}, Reason.malformed_timestamp),
        ({"payload_hash": None}, Reason.missing_signature),
        ({"payload_hash": 7}, Reason.missing_signature),
        ({"payload_hash": "\udc80"}, Reason.bad_signature),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_claims_of_a_token_are_looked_at(claims: dict[str, Any], expected: Reason) -> None:
    request = JWT.sent(NEW, NOW)
    text = token(NEW, {"iat": NOW, **claims})
    assert reason(JWT, with_header(request, "authorization", f"Bearer {text}")) is expected


def test_a_short_key_raises_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        request = with_header(JWT.sent(NEW, NOW), "authorization", f"Bearer {token('k', {'iat': NOW})}")
        scheme = scheme_of({"scheme": "jwt", "require_payload_hash": False})
        assert scheme.verify(request, [Key("k", b"k")], NOW).id == "k"
