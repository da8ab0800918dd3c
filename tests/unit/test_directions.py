"""The direction objects of the page, field by field: what is right, and what is a mistake at its place."""

import tomllib
from collections.abc import Mapping

import pytest
from pydantic import SecretStr, ValidationError

from trunkline.profiles.directions import Direction
from trunkline.schema import Secret, SecretUnresolved, mistakes_of

HELD = {"SIP_PASSWORD": "password", "PBX_PASSWORD": "correct-horse", "SHORT": "hunter2", "LONG": "x" * 257}


def resolve(reference: Mapping[str, str]) -> Secret:
    ((kind, name),) = reference.items()
    if name not in HELD:
        raise SecretUnresolved(f"{name} is not set")
    return Secret(f"{kind}:{name}", SecretStr(HELD[name]))


def right(table: str) -> Direction:
    return Direction.model_validate(tomllib.loads(f"direction = {table}")["direction"], context={"resolve": resolve})


def wrong(table: str) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        right(table)
    return {mistake.place: mistake.message for mistake in mistakes_of(caught.value, "")}


def test_registering_needs_credentials() -> None:
    assert list(wrong('{ type = "inbound", auth_mode = "register" }')) == ["register_auth"]
    assert list(wrong('{ type = "inbound", auth_mode = "register", register_auth = {} }')) == [
        "register_auth.username",
        "register_auth.password",
    ]


@pytest.mark.parametrize("name", ["SHORT", "LONG"])
def test_a_register_password_has_8_to_256_characters(name: str) -> None:
    mistakes = wrong(
        f'{{ type = "inbound", auth_mode = "register",'
        f' register_auth = {{ username = "u", password = {{ env = "{name}" }} }} }}'
    )

    assert list(mistakes) == ["register_auth.password"]
    assert "8 to 256 characters" in mistakes["register_auth.password"]
    assert name in mistakes["register_auth.password"]
    assert HELD[name] not in str(mistakes)


def test_credentials_belong_to_a_registering_inbound_direction() -> None:
    auth = 'register_auth = { username = "u", password = { env = "PBX_PASSWORD" } }'

    assert list(wrong(f'{{ type = "inbound", {auth} }}')) == ["auth_mode"]
    outbound = f'{{ type = "outbound", sip_endpoint = "sip:h.example", auth_mode = "register", {auth} }}'
    assert list(wrong(outbound)) == ["auth_mode", "register_auth"]


def test_a_header_block_has_the_direction_of_its_parent() -> None:
    mistakes = wrong('{ type = "inbound", headers = { direction = "outbound", headers = [] } }')

    assert mistakes == {"headers.direction": 'must be "inbound" like the direction it belongs to'}


@pytest.mark.parametrize(
    "endpoint",
    [
        "sip:your.provider.com",
        "sips:provider.com:5061",
        "SIP:provider.com",
        "sip:bland@provider.com;transport=tls;lr",
        "sip:+14155550100@10.0.0.1",
        "sip:[2001:db8::1]:5061",
        "sip:localhost",
    ],
)
def test_a_sip_uri_is_an_endpoint_both_ways(endpoint: str) -> None:
    for kind in ("inbound", "outbound"):
        assert right(f'{{ type = "{kind}", sip_endpoint = "{endpoint}" }}').sip_endpoint == endpoint


@pytest.mark.parametrize("endpoint", ["pbx.example.com", "pbx.example.com:5061", "192.0.2.1", "[2001:db8::1]:5061"])
def test_a_bare_host_is_an_endpoint_for_inbound_only(endpoint: str) -> None:
    assert right(f'{{ type = "inbound", sip_endpoint = "{endpoint}" }}').sip_endpoint == endpoint
    assert "sip: or sips:" in wrong(f'{{ type = "outbound", sip_endpoint = "{endpoint}" }}')["sip_endpoint"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "sip:",
        "sip: provider.com",
        "sip:provider.com\\n",
        "http://provider.com",
        "tel:+14155550100",
        "sip:pro_vider.com",
        "sip:-provider.com",
        "sip:provider..com",
        "sip:prövider.com",
        "sip:300.1.1.1",
        "sip:[::zz]",
        "sip:provider.com:0",
        "sip:provider.com:65536",
        "sip:provider.com:sip",
        "sip:user:planted-secret@provider.com",
        "sip:@provider.com",
        "sip:a@b@provider.com",
        "sip:provider.com;=x",
        "sip:provider.com?subject=x",
        "sip:" + "a" * 64 + ".com",
    ],
)
def test_what_is_no_sip_uri_is_a_mistake_that_does_not_repeat_it(endpoint: str) -> None:
    for kind in ("inbound", "outbound"):
        mistakes = wrong(f'{{ type = "{kind}", sip_endpoint = "{endpoint}" }}')
        assert list(mistakes) == ["sip_endpoint"]
        assert "planted-secret" not in str(mistakes)


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ('{ type = "custom", key = "X-A" }', "value"),
        ('{ type = "custom", key = "", value = "v" }', "key"),
        ('{ type = "custom", key = "X A", value = "v" }', "key"),
        ('{ type = "custom", key = "X-A", value = "a\\r\\nX-B: c" }', "value"),
        ('{ type = "custom", key = "X-A", value = "v", passthrough = "yes" }', "passthrough"),
        ('{ type = "custom", key = "X-A", value = "v", target = "t" }', "target"),
        ('{ type = "uui", target = "t", encoding = "base64" }', "encoding"),
        ('{ type = "uui", content = 7 }', "content"),
        ('{ type = "other" }', ""),
        ('"X-A"', ""),
    ],
)
def test_a_wrong_header_item_is_told_of_at_its_place(item: str, place: str) -> None:
    mistakes = wrong(f'{{ type = "inbound", headers = {{ direction = "inbound", headers = [{item}] }} }}')

    assert list(mistakes) == ["headers.headers[0]" + (f".{place}" if place else "")]


def test_outbound_the_value_names_the_sip_header() -> None:
    block = '{{ direction = "outbound", headers = [{{ type = "custom", key = "{}", value = "{}" }}] }}'
    direction = '{{ type = "outbound", sip_endpoint = "sip:h.example", headers = {} }}'

    assert right(direction.format(block.format("my variable", "X-A"))).headers
    assert list(wrong(direction.format(block.format("v", "X A")))) == ["headers.headers[0].value"]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ("{ port = 0 }", "port"),
        ("{ port = 65536 }", "port"),
        ('{ port = "5061" }', "port"),
        ("{ port = true }", "port"),
        ('{ transport = "sctp" }', "transport"),
        ("{ secure_media = 1 }", "secure_media"),
        ('{ sip_username = "" }', "sip_username"),
        ('{ sip_password = { env = "SIP_PASSWORD", file = "x" } }', "sip_password"),
        ('{ sip_password = { vault = "x" } }', "sip_password"),
        ('{ sip_password = { env = "NOT_SET" } }', "sip_password"),
    ],
)
def test_a_wrong_option_is_told_of_at_its_place(options: str, place: str) -> None:
    assert list(wrong(f'{{ type = "inbound", options = {options} }}')) == [f"options.{place}"]


def test_a_secret_in_the_file_is_a_mistake_that_does_not_repeat_it() -> None:
    mistakes = wrong(
        '{ type = "inbound", auth_mode = "register", register_auth = { username = "u", password = "planted-secret" },'
        ' options = { sip_password = "planted-secret", port = "planted-secret", transport = "planted-secret" } }'
    )

    assert '{ env = "NAME" }' in mistakes["register_auth.password"]
    assert '{ env = "NAME" }' in mistakes["options.sip_password"]
    assert "planted-secret" not in str(mistakes)
