"""Every mistake in `verify` and in the keys says where it is, what it is and what to do; nothing secret is repeated."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from support.webhook_signers import pem, public_key
from support.webhook_vectors import keys_of, resolved, scheme_of
from trunkline.schema import Secret
from trunkline_producers.verify import Key, KeyKind, read_keys, read_scheme

SIGNED = {"scheme": "hmac", "header": "X-Sig"}
LIST = {"separator": ",", "tag": "v1"}


def mistakes(verify: object) -> list[str]:
    scheme, found = read_scheme(verify, "sources.acme.verify")
    assert (scheme is None) is bool(found)
    return [str(each).removeprefix("sources.acme.verify").removeprefix(".") for each in found]


@pytest.mark.parametrize(
    ("verify", "said"),
    [
        ({"scheme": "hmca"}, 'scheme: must be one of hmac, .*; did you mean "hmac"\\?'),
        ({}, "scheme: must be one of"),
        ({"scheme": 3}, "scheme: must be one of"),
        ({"scheme": "hmac"}, "header: is required"),
        ({**SIGNED, "header": "X Sig"}, "header: must be the name of a header"),
        ({**SIGNED, "heder": "X"}, 'heder: is not a field of verify with this scheme; did you mean "header"'),
        ({**SIGNED, "digest": "md5"}, "digest: must be 'sha1', 'sha256' or 'sha512'"),
        ({**SIGNED, "encoding": "base32"}, "encoding: must be 'hex' or 'base64'"),
        ({**SIGNED, "tag": "v1"}, "tag: needs a separator"),
        ({**SIGNED, "separator": ",", "tag": "v1", "tag_separator": ","}, "tag_separator: must be another"),
        ({**SIGNED, "signed": []}, "signed: must be a list of parts"),
        ({**SIGNED, "signed": [3]}, "signed: must be a list of parts"),
        ({**SIGNED, "signed": ["{bdy}"]}, 'signed: has a part that does not exist; there are .*; did you mean "body"'),
        ({**SIGNED, "signed": ["{header}", "{body}"]}, "signed: has a part that does not exist"),
        ({**SIGNED, "signed": ["{body"]}, "signed: has a brace without its fellow"),
        ({**SIGNED, "signed": "twillio"}, 'signed: .*did you mean "twilio"'),
        ({**SIGNED, "signed": ["{method}"]}, 'signed: must hold "{body}"'),
        ({**SIGNED, "signed": ["{key}{body}"]}, 'signed: must hold "{key}" with scheme = "digest", and with no other'),
        ({**SIGNED, "scheme": "digest", "signed": ["{body}"]}, 'signed: must hold "{key}"'),
        ({**SIGNED, "signed": ["{timestamp}{body}"]}, "timestamp: is required"),
        ({**SIGNED, "timestamp": {"header": "X-T"}}, "timestamp: is not signed, so anybody could change it"),
        ({**SIGNED, "timestamp": {}}, "timestamp: must have one of header"),
        ({**SIGNED, "timestamp": {"header": "a", "body": "b"}}, "timestamp: must have one of header"),
        ({**SIGNED, "timestamp": {"tag": "t"}}, "timestamp.tag: needs a tag for the signatures, too"),
        ({**SIGNED, "timestamp": {"body": "a["}}, "timestamp.body: is not JMESPath"),
        ({**SIGNED, "timestamp": {"body": "a", "unit": "h"}}, "timestamp.unit: must be 's', 'ms' or 'rfc3339'"),
        ({**SIGNED, "timestamp": {"body": "a", "tolerance_s": -1}}, "timestamp.tolerance_s: must be at least 0"),
        ({"scheme": "basic"}, "username: is required"),
        ({"scheme": "basic", "username": "a:b"}, "username: must not hold a colon"),
        ({"scheme": "jwt", "algorithms": ["none"]}, "algorithms: must be a list of HS256, HS384, HS512"),
        ({"scheme": "jwt", "algorithms": [["HS256"]]}, "algorithms: must be a list of HS256, HS384, HS512"),
        ({"scheme": "body-token"}, "token: is required"),
        ("hmac", 'must be a table: { scheme = "…" }'),
    ],
)
def test_a_mistake_says_what_to_do(verify: object, said: str) -> None:
    found = mistakes(verify)
    assert any(re.match(f"(: )?{said}", each) for each in found), found


@pytest.mark.parametrize(
    "verify",
    [
        SIGNED,
        {**SIGNED, **LIST, "signed": ["{timestamp}.{body}"], "timestamp": {"tag": "t"}},
        {**SIGNED, "signed": ["{header:X-T}", "{body}"], "timestamp": {"header": "x-t", "tolerance_s": 5}},
        {**SIGNED, "timestamp": {"body": "a.b"}},
        {"scheme": "standard-webhooks", "tolerance_s": 60, "future_s": 60.5},
        {"scheme": "jwt", "algorithms": ["HS384", "HS512"], "max_age_s": 60},
        {"scheme": "none"},
    ],
)
def test_a_table_without_mistakes_is_a_scheme(verify: dict[str, Any]) -> None:
    assert mistakes(verify) == []


def test_a_scheme_knows_whether_it_needs_the_public_url() -> None:
    assert scheme_of({**SIGNED, "signed": "twilio"}).uses_url
    assert scheme_of({**SIGNED, "signed": ["{url}{body}"]}).uses_url
    assert not scheme_of({**SIGNED, "signed": ["{path}{body}"]}).uses_url
    assert not scheme_of({"scheme": "path-token"}).uses_url


SCHEMES = {
    KeyKind.shared: scheme_of(SIGNED),
    KeyKind.ed25519: scheme_of({**SIGNED, "scheme": "ed25519"}),
    KeyKind.standard: scheme_of({"scheme": "standard-webhooks"}),
    KeyKind.none: scheme_of({"scheme": "none"}),
}


def secret(value: str, ref: str = "env:KEY") -> Secret:
    return Secret(ref, SecretStr(value))


def keys(kind: KeyKind, *raw: object) -> list[Key] | list[str]:
    read, found = read_keys(list(raw), SCHEMES[kind], "sources.acme.keys", need_secrets=True)
    return [str(each).removeprefix("sources.acme.keys") for each in found] or list(read)


RAW = bytes(range(32))
NAIVE = datetime(2026, 1, 1)
PUBLIC = public_key("s")
PUBLIC_RAW = b64decode(PUBLIC)
PEM = pem("s")
SPKI = PEM.splitlines()[1]


@pytest.mark.parametrize(
    ("kind", "raw", "decoded"),
    [
        (KeyKind.shared, secret("whsec_é"), "whsec_é".encode()),
        (KeyKind.shared, {"key": secret(RAW.hex().upper()), "encoding": "hex"}, RAW),
        (KeyKind.shared, {"key": secret("AAECAw=="), "encoding": "base64"}, bytes(range(4))),
        (KeyKind.shared, {"key": secret("AAECAw"), "encoding": "base64"}, bytes(range(4))),
        (KeyKind.shared, {"key": secret("-_8"), "encoding": "base64"}, b"\xfb\xff"),
        (KeyKind.ed25519, {"public": PUBLIC}, PUBLIC_RAW),
        (KeyKind.ed25519, {"public": PUBLIC_RAW.hex(), "encoding": "hex"}, PUBLIC_RAW),
        (KeyKind.ed25519, {"public": SPKI}, PUBLIC_RAW),
        (KeyKind.ed25519, {"public": PEM}, PUBLIC_RAW),
        (KeyKind.ed25519, {"public": secret(PEM)}, PUBLIC_RAW),
        (KeyKind.ed25519, secret(PEM.replace("\n", "\r\n")), PUBLIC_RAW),
        (KeyKind.standard, secret("whsec_AAECAw=="), bytes(range(4))),
        (KeyKind.standard, secret("AAECAw=="), bytes(range(4))),
        (KeyKind.standard, secret(f"whpk_{PUBLIC}"), PUBLIC_RAW),
        (KeyKind.standard, {"public": f"whpk_{PUBLIC}"}, PUBLIC_RAW),
    ],
)
def test_a_key_is_read_as_its_scheme_wants_it(kind: KeyKind, raw: object, decoded: bytes) -> None:
    (key,) = keys(kind, raw)
    assert isinstance(key, Key)
    assert key.secret == decoded
    assert key.public is (decoded == PUBLIC_RAW)
    assert repr(decoded) not in repr(key)


@pytest.mark.parametrize(
    ("kind", "raw", "said"),
    [
        (KeyKind.shared, "TOP-SECRET", "[0]: a secret is never written in the file"),
        (KeyKind.shared, 3, "[0]: must be a table, not a single value"),
        (KeyKind.shared, {}, "[0]: must have either key"),
        (KeyKind.shared, {"key": secret("a"), "public": "b"}, "[0]: must have either key"),
        (KeyKind.shared, {"key": "TOP-SECRET"}, "[0].key: a secret is never written in the file"),
        (KeyKind.shared, {"public": "TOP-SECRET"}, "[0]: must be a secret: this scheme has no public keys"),
        (KeyKind.shared, {"key": secret("TOP-SECRET"), "encoding": "hex"}, "[0]: is not hex"),
        (KeyKind.shared, {"key": secret("TOP.SECRET"), "encoding": "base64"}, "[0]: is not base64"),
        (KeyKind.shared, {"key": secret("a"), "encoding": "rot13"}, "[0].encoding: must be 'utf8', 'hex' or 'base64'"),
        (
            KeyKind.shared,
            {"key": secret("a"), "not_befor": 1},
            '[0].not_befor: is not a field of a key; did you mean "not_b',
        ),
        (
            KeyKind.shared,
            {"key": secret("a"), "not_before": NAIVE},
            "[0].not_before: must have a time zone",
        ),
        (KeyKind.shared, {"key": secret("a"), "not_before": "2026"}, "[0].not_before: must be a valid datetime"),
        (
            KeyKind.shared,
            {
                "key": secret("a"),
                "not_before": datetime(2026, 2, 1, tzinfo=UTC),
                "not_after": datetime(2026, 1, 1, tzinfo=UTC),
            },
            "[0].not_after: is before not_before",
        ),
        (KeyKind.shared, secret(PEM), "[0]: is a key in PEM, and this scheme wants a shared secret"),
        (KeyKind.shared, secret(""), "[0]: the environment variable KEY is not set; set it"),
        (KeyKind.shared, secret("", "env:TOP-SECRET"), "[0]: the environment variable named here is not set; set it"),
        (KeyKind.shared, secret("", "file:key.pem"), "[0]: the file of this key can't be read or is empty"),
        (KeyKind.ed25519, secret("TOP-SECRET"), "[0]: must be an Ed25519 public key"),
        (KeyKind.ed25519, {"public": 3}, "[0].public: a secret is never written in the file"),
        (KeyKind.ed25519, {"public": PUBLIC[:-8]}, "[0]: must be an Ed25519 public key"),
        (KeyKind.ed25519, secret("-----BEGIN PRIVATE KEY-----\nTOP-SECRET"), "[0]: is a private key"),
        (KeyKind.standard, secret("whsec_TOP.SECRET"), "[0]: must be whsec_ or whpk_ with base64 after it"),
        (KeyKind.standard, secret("whsk_TOP.SECRET"), "[0]: is a private key"),
        (KeyKind.standard, {"public": PUBLIC}, "[0]: must begin with whpk_"),  # it may be a shared key in clear
        (KeyKind.none, secret("a"), ': must not be there with scheme = "none"'),
    ],
)
def test_a_key_that_is_wrong_says_what_to_do_and_never_itself(kind: KeyKind, raw: object, said: str) -> None:
    (mistake,) = keys(kind, raw)
    assert isinstance(mistake, str)
    assert mistake.startswith(said)
    assert "SECRET" not in mistake


def test_a_scheme_may_say_how_its_keys_are_written_and_a_key_may_say_otherwise() -> None:
    for verify in ({**SIGNED, "key_encoding": "hex"}, {"scheme": "jwt", "key_encoding": "hex"}):
        tables = [{"env": "HEX"}, {"key": {"env": "TEXT"}, "encoding": "utf8"}]
        read = keys_of(tables, scheme_of(verify), {"HEX": "00ff", "TEXT": "00ff"})
        assert [key.secret for key in read] == [b"\x00\xff", b"00ff"]


def test_keys_are_a_list_of_at_least_one() -> None:
    assert keys(KeyKind.shared) == [': must be a list of at least one key, such as [{ env = "NAME" }]']
    assert keys(KeyKind.none) == []
    _, (mistake,) = read_keys(secret("a"), SCHEMES[KeyKind.shared], "sources.acme.keys", need_secrets=True)
    assert "must be a list" in str(mistake)


def test_a_key_is_called_by_its_id_or_its_reference_and_no_two_alike() -> None:
    scheme = SCHEMES[KeyKind.shared]
    tables = [{"env": "ONE"}, {"key": {"env": "TWO"}, "id": "second"}]
    assert [key.id for key in keys_of(tables, scheme, {"ONE": "1", "TWO": "2"})] == ["ONE", "second"]
    raw = resolved([{"env": "ONE"}, {"env": "ONE"}], {"ONE": "1"})
    _, (mistake,) = read_keys(raw, scheme, "keys", need_secrets=True)
    assert str(mistake) == "keys[1]: has the id of another key; give it an id of its own"


def test_every_mistake_is_reported_together() -> None:
    assert len(keys(KeyKind.shared, "a", {}, secret(""))) == 3
    assert len(mistakes({"scheme": "hmac", "signed": ["{x}"], "digest": "md5", "y": 1})) == 4
