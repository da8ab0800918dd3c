"""Direction profiles: every field of the attach page with its rules, all mistakes at once, no secret in any of it."""

import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from trunkline.bland.attach import request_body
from trunkline.errors import Mistake
from trunkline.profiles.directions import Direction, RegisterAuth
from trunkline.profiles.profile import BatchRules, Profile, RetryRules, parse_profiles
from trunkline.schema import Secret, SecretUnresolved

HELD = {"SIP_PASSWORD": "password", "PBX_PASSWORD": "correct-horse"}


def resolve(reference: Mapping[str, str]) -> Secret:
    ((kind, name),) = reference.items()
    if name not in HELD:
        raise SecretUnresolved(f"{name} is not set")
    return Secret(f"{kind}:{name}", SecretStr(HELD[name]))


def read(text: str) -> tuple[dict[str, Profile], dict[str, str], list[Mistake]]:
    profiles, mistakes, warnings = parse_profiles(tomllib.loads(text).get("profiles", {}), resolve)
    return profiles, {mistake.place: mistake.message for mistake in mistakes}, warnings


def one(text: str) -> Profile:
    profiles, mistakes, _ = read(text)
    assert mistakes == {}
    (profile,) = profiles.values()
    return profile


def wrong(directions: str, head: str = "") -> dict[str, str]:
    """The mistakes of a profile whose list of directions is given, by their place under it."""
    profiles, mistakes, _ = read(f"[profiles.p]\n{head}\ndirections = [{directions}]")
    assert profiles == {}
    return {place.removeprefix("profiles.p.directions"): message for place, message in mistakes.items()}


# The page's examples: the file that says the same produces exactly that body.


def test_the_page_outbound_with_headers() -> None:
    profile = one(
        """
        [[profiles.support.directions]]
        type = "inbound"
        [profiles.support.directions.headers]
        direction = "inbound"
        headers = [
          { type = "custom", key = "X-Cool-Guy", value = "First_Name" },
          { type = "custom", key = "Account_Type", value = "VIP", passthrough = true },
          { type = "uui", target = "CustomerId", purpose = "bland", encoding = "hex", content = "id" },
        ]

        [[profiles.support.directions]]
        type = "outbound"
        sip_endpoint = "sip:your.provider.com"
        [profiles.support.directions.options]
        port = 5061
        transport = "tls"
        secure_media = true
        sip_username = "bland"
        sip_password = { env = "SIP_PASSWORD" }
        [profiles.support.directions.headers]
        direction = "outbound"
        headers = [
          { type = "custom", key = "Favorite_Color", value = "X-Favorite-Color" },
          { type = "custom", key = "x-custom-id", value = "12345", passthrough = true },
          { type = "uui", target = "CustomerKV", purpose = "bland", content = "customerid_1234", encoding = "hex" },
        ]
        """
    )

    assert request_body(profile, ["+14150000000"]) == {
        "phone_number": "+14150000000",
        "directions": [
            {
                "type": "inbound",
                "headers": {
                    "direction": "inbound",
                    "headers": [
                        {"type": "custom", "key": "X-Cool-Guy", "value": "First_Name"},
                        {"type": "custom", "key": "Account_Type", "value": "VIP", "passthrough": True},
                        {
                            "type": "uui",
                            "target": "CustomerId",
                            "purpose": "bland",
                            "encoding": "hex",
                            "content": "id",
                        },
                    ],
                },
            },
            {
                "type": "outbound",
                "sip_endpoint": "sip:your.provider.com",
                "options": {
                    "port": 5061,
                    "transport": "tls",
                    "secure_media": True,
                    "sip_username": "bland",
                    "sip_password": "password",
                },
                "headers": {
                    "direction": "outbound",
                    "headers": [
                        {"type": "custom", "key": "Favorite_Color", "value": "X-Favorite-Color"},
                        {"type": "custom", "key": "x-custom-id", "value": "12345", "passthrough": True},
                        {
                            "type": "uui",
                            "target": "CustomerKV",
                            "purpose": "bland",
                            "content": "customerid_1234",
                            "encoding": "hex",
                        },
                    ],
                },
            },
        ],
        "service": "sip",
    }


def test_the_page_batch_attach() -> None:
    profile = one(
        """
        [[profiles.trunked.directions]]
        type = "outbound"
        sip_endpoint = "sip:trunk.provider.com"
        options = { transport = "tls", secure_media = true }
        """
    )

    assert request_body(profile, ["+14150000001", "+14150000002", "+14150000003"]) == {
        "phone_numbers": ["+14150000001", "+14150000002", "+14150000003"],
        "directions": [
            {
                "type": "outbound",
                "sip_endpoint": "sip:trunk.provider.com",
                "options": {"transport": "tls", "secure_media": True},
            }
        ],
        "service": "sip",
    }


def test_the_page_bind_to_a_trunk() -> None:
    profile = one(
        """
        [profiles.bound]
        trunk_id = "<trunk-id>"
        directions = [{ type = "inbound" }, { type = "outbound" }]
        """
    )

    assert request_body(profile, ["+14155550100", "2001"]) == {
        "phone_numbers": ["+14155550100", "2001"],
        "directions": [{"type": "inbound"}, {"type": "outbound"}],
        "service": "sip",
        "trunk_id": "<trunk-id>",
    }


def test_the_page_one_number_with_the_fields_that_are_required() -> None:
    profile = one('[profiles.least]\nservice = "sip"\ndirections = [{ type = "inbound" }]')

    assert request_body(profile, ["+14150000000"]) == {
        "phone_number": "+14150000000",
        "directions": [{"type": "inbound"}],
        "service": "sip",
    }


def test_an_inbound_direction_holds_every_field_of_the_page() -> None:
    profile = one(
        """
        [[profiles.pbx.directions]]
        type = "inbound"
        auth_mode = "register"
        register_auth = { username = "bland", password = { file = "PBX_PASSWORD" } }
        sip_endpoint = "pbx.example.com"
        options = { port = 5061, transport = "tls", secure_media = true, sip_username = "u" }
        """
    )

    assert profile.registers
    assert profile.direction_types == ("inbound",)
    assert request_body(profile, ["+14150000000"])["directions"] == [
        {
            "type": "inbound",
            "auth_mode": "register",
            "register_auth": {"username": "bland", "password": "correct-horse"},
            "sip_endpoint": "pbx.example.com",
            "options": {"port": 5061, "transport": "tls", "secure_media": True, "sip_username": "u"},
        }
    ]


# The rules.


def test_outbound_needs_an_endpoint_unless_a_trunk_gives_it() -> None:
    assert "unless the profile has a trunk_id" in wrong('{ type = "outbound" }')["[0].sip_endpoint"]
    assert one('[profiles.p]\ntrunk_id = "trk_1"\ndirections = [{ type = "outbound" }]').trunk_id == "trk_1"


def test_there_is_at_most_one_of_each_direction() -> None:
    mistakes = wrong('{ type = "inbound" }, { type = "inbound" }')

    assert mistakes == {"[1].type": "is a second inbound direction; a number has at most one of each"}


def test_a_profile_has_a_direction() -> None:
    assert "must hold a direction" in wrong("")[""]
    assert read("[profiles.p]")[1] == {"profiles.p.directions": "is required"}


def test_a_wrong_file_gets_all_its_mistakes_at_once_each_with_its_place() -> None:
    profiles, mistakes, _ = read(
        """
        [profiles.good]
        directions = [{ type = "inbound" }]

        [profiles.support]
        trunk = "trk_1"
        service = "sms"
        account = "Main Account"
        batch = { max_size = 101 }
        retry = { initial_s = 60.0, max_s = 5.0, verify = "sometimes" }
        [[profiles.support.directions]]
        type = "outbound"
        options = { port = "5061", transprt = "tls" }
        headers = { direction = "inbound", headers = [{ type = "custom", key = "X-A" }] }
        [[profiles.support.directions]]
        type = "sideways"

        [profiles.Sales]
        directions = [{ type = "outbound" }]
        """
    )

    assert list(profiles) == ["good"]
    assert mistakes == {
        "profiles.support.trunk": 'is not a field of a profile; did you mean "trunk_id"?',
        "profiles.support.service": "must be 'sip'",
        "profiles.support.account": "must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or a digit",
        "profiles.support.batch.max_size": "must be at most 100",
        "profiles.support.retry.max_s": "is 5 and must be at least initial_s, which is 60",
        "profiles.support.retry.verify": "must be 'on_doubt', 'always' or 'never'",
        "profiles.support.directions[0].sip_endpoint": "is required for outbound unless the profile has a trunk_id",
        "profiles.support.directions[0].options.port": "must be a whole number",
        "profiles.support.directions[0].options.transprt": 'is not a field of options; did you mean "transport"?',
        "profiles.support.directions[0].headers.direction": 'must be "outbound" like the direction it belongs to',
        "profiles.support.directions[0].headers.headers[0].value": "is required",
        "profiles.support.directions[1].type": "must be 'inbound' or 'outbound'",
        "profiles.Sales": "must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or a digit",
        "profiles.Sales.directions[0].sip_endpoint": "is required for outbound unless the profile has a trunk_id",
    }


def test_what_blands_edge_does_not_take_is_a_warning() -> None:
    profiles, mistakes, warnings = read(
        """
        [profiles.p]
        [[profiles.p.directions]]
        type = "inbound"
        options = { transport = "udp" }
        [[profiles.p.directions]]
        type = "outbound"
        sip_endpoint = "sip:h.example:5061"
        options = { transport = "tcp", secure_media = false, port = 5060 }
        """
    )

    assert list(profiles) == ["p"]
    assert mistakes == {}
    assert [warning.place.removeprefix("profiles.p.directions") for warning in warnings] == [
        "[0].options.transport",
        "[1].options.transport",
        "[1].options.secure_media",
        "[1].options.port",
    ]
    assert 'use "tls"' in warnings[0].message


def test_a_profiles_own_rules_override_the_global_ones_field_by_field() -> None:
    raw = {"p": {"directions": [{"type": "inbound"}], "batch": {"max_size": 10}, "retry": {"max_attempts": 3}}}

    profiles, mistakes, _ = parse_profiles(
        raw, resolve, batch=BatchRules(max_size=50, max_wait_s=2.5), retry=RetryRules(initial_s=1.0)
    )

    assert mistakes == []
    assert profiles["p"].batch == BatchRules(max_size=10, max_wait_s=2.5)
    assert profiles["p"].retry == RetryRules(max_attempts=3, initial_s=1.0)


# Secrets.


def test_no_secret_is_in_a_repr_or_in_an_error() -> None:
    planted = Secret("env:X", SecretStr("planted-secret"))
    auth = RegisterAuth(username="u", password=planted)
    profile = Profile(name="p", directions=(Direction(type="inbound", auth_mode="register", register_auth=auth),))

    with pytest.raises(ValidationError) as caught:
        Direction.model_validate({"type": "planted-secret", "options": {"port": "planted-secret"}})

    shown = [
        repr(planted),
        str(planted),
        repr(auth),
        repr(profile),
        str(profile),
        str(caught.value),
        str(mistake_dump()),
    ]
    assert "env:X" in repr(profile)
    assert "planted-secret" not in " ".join(shown) + repr(caught.value.errors())


def mistake_dump() -> list[Mistake]:
    raw: dict[str, Any] = {"p": {"directions": "planted-secret"}, "q": "planted-secret"}
    return parse_profiles(raw, resolve)[1]


# The fingerprint.

OUTBOUND = Direction(type="outbound", sip_endpoint="sip:h.example")


def with_password(name: str, value: str) -> Profile:
    options: Any = {"sip_password": Secret(f"env:{name}", SecretStr(value))}
    return Profile(name="p", directions=(Direction.model_validate({"type": "inbound", "options": options}),))


def test_a_fingerprint_covers_where_and_what_and_the_names_of_secrets_only() -> None:
    base = with_password("A", "one").fingerprint("https://api.example")

    assert len(base) == 16
    assert int(base, 16) >= 0
    assert base == with_password("A", "two").fingerprint("https://api.example")
    assert base != with_password("B", "one").fingerprint("https://api.example")
    assert base != with_password("A", "one").fingerprint("https://other.example")
    assert base != with_password("A", "one").model_copy(update={"account": "b"}).fingerprint("https://api.example")
    assert base != with_password("A", "one").model_copy(update={"trunk_id": "t"}).fingerprint("https://api.example")


def test_with_a_key_a_fingerprint_covers_the_values_of_secrets_too() -> None:
    def keyed(key: str) -> Callable[[str], str]:
        return lambda value: f"{key} of {len(value)} {value[:1]}"

    def fingerprint(profile: Profile, key: str = "k") -> str:
        return profile.fingerprint("https://api.example", keyed(key))

    one, two = with_password("A", "one"), with_password("A", "two")
    assert fingerprint(one) == fingerprint(with_password("A", "one")) != fingerprint(two)
    assert fingerprint(one) != fingerprint(one, "other")
    assert fingerprint(with_password("A", "")) == with_password("A", "").fingerprint("https://api.example")
    without = Profile(name="p", directions=(OUTBOUND,))
    assert fingerprint(without) == without.fingerprint("https://api.example") == "95fd3f87cfe448db"


def test_a_fingerprint_does_not_change_with_order_batching_or_retries() -> None:
    inbound = Direction(type="inbound")
    profile = Profile(name="p", directions=(inbound, OUTBOUND))
    other = Profile(name="p", directions=(OUTBOUND, inbound), batch=BatchRules(max_size=1), retry=RetryRules(max_s=60))

    assert profile.fingerprint("u") == other.fingerprint("u")
    assert profile.direction_types == other.direction_types == ("inbound", "outbound")
