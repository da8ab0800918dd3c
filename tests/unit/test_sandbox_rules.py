"""The stand-in's rules: what it refuses, what fails, and that chance is a matter of the seed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.sandbox.chance import draw
from trunkline.sandbox.conduct import Arrived, Conduct, decide, distinct_numbers
from trunkline.sandbox.documented import AttachRequest, Invalid, identity, read
from trunkline.sandbox.rules import RulesError, SandboxRules
from trunkline.sandbox.script import Step, read_steps

CALM = SandboxRules(latency_s=0, fail_rate=0)
OUTBOUND = {"type": "outbound", "sip_endpoint": "sip:trunk.provider.com"}
MANY = tuple(f"+1415555{n:04}" for n in range(1000))


def body(**changes: Any) -> dict[str, Any]:
    whole = {"phone_numbers": ["+14150000001"], "directions": [OUTBOUND], "service": "sip", **changes}
    return {name: value for name, value in whole.items() if value is not None}


def reading(**changes: Any) -> AttachRequest | Invalid:
    return read(AttachRequest, json.dumps(body(**changes)).encode())


def conduct(rules: SandboxRules, *numbers: str, step: Step | None = None, times: int = 0, **request: Any) -> Conduct:
    asked = reading(phone_numbers=list(numbers), **request)
    distinct = distinct_numbers(asked)
    return decide(rules, Arrived(asked, distinct, [times] * len(distinct), echo="the echo"), step)


def data(done: Conduct) -> Any:
    return json.loads(done.content.body)["data"]


# what a request may say

DOCUMENTED = {
    "headers": {
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
            },
        ],
        "service": "sip",
    },
    "batch": {
        "phone_numbers": ["+14150000001", "+14150000002", "+14150000003"],
        "directions": [{**OUTBOUND, "options": {"transport": "tls", "secure_media": True}}],
        "service": "sip",
    },
    "trunk": {
        "phone_numbers": ["+14155550100", "2001"],
        "directions": [{"type": "inbound"}, {"type": "outbound"}],
        "service": "sip",
        "trunk_id": "trk_1",
    },
}


@pytest.mark.parametrize("example", DOCUMENTED.values(), ids=DOCUMENTED.keys())
def test_the_examples_of_the_documentation_are_taken(example: dict[str, Any]) -> None:
    assert isinstance(read(AttachRequest, json.dumps(example).encode()), AttachRequest)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no number": ({"phone_numbers": None}, "either phone_number or phone_numbers"),
    "both fields": ({"phone_number": "+14150000001"}, "either phone_number or phone_numbers"),
    "an empty list": ({"phone_numbers": []}, "phone_numbers"),
    "101 numbers": ({"phone_numbers": list(MANY[:101])}, "at most 100"),
    "a number that is a number": ({"phone_numbers": [14150000001]}, "phone_numbers.0"),
    "no directions": ({"directions": None}, "directions: Field required"),
    "an empty list of directions": ({"directions": []}, "directions"),
    "a direction twice": ({"directions": [OUTBOUND, OUTBOUND]}, "at most one inbound"),
    "an unknown direction": ({"directions": [{"type": "sideways"}]}, "directions.0"),
    "another service": ({"service": "voice"}, "service"),
    "no service": ({"service": None}, "service"),
    "a field that isn't documented": ({"callback_url": "http://x"}, "callback_url"),
    "outbound without endpoint or trunk": ({"directions": [{"type": "outbound"}]}, "sip_endpoint is required"),
    "an outbound endpoint that isn't a URI": (
        {"directions": [{"type": "outbound", "sip_endpoint": "trunk.provider.com"}]},
        "sip_endpoint",
    ),
    "register without a login": ({"directions": [{"type": "inbound", "auth_mode": "register"}]}, "register_auth"),
    "a short password": (
        {
            "directions": [
                {"type": "inbound", "auth_mode": "register", "register_auth": {"username": "u", "password": "sevenly"}}
            ]
        },
        "password",
    ),
    "auth_mode outbound": ({"directions": [{**OUTBOUND, "auth_mode": "ip"}]}, "auth_mode"),
    "an unknown transport": ({"directions": [{**OUTBOUND, "options": {"transport": "sctp"}}]}, "transport"),
    "a port out of range": ({"directions": [{**OUTBOUND, "options": {"port": 70000}}]}, "port"),
    "headers of the other direction": (
        {"directions": [{**OUTBOUND, "headers": {"direction": "inbound", "headers": []}}]},
        "own type",
    ),
    "an empty trunk": ({"trunk_id": ""}, "trunk_id"),
}


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_request_that_breaks_the_documented_rules_is_a_400(changes: dict[str, Any], said: str) -> None:
    refused = reading(**changes)
    assert isinstance(refused, Invalid)
    assert any(said in mistake for mistake in refused.mistakes)
    answer = decide(CALM, Arrived(refused, (), ()))
    assert answer.content.status == 400
    assert answer.committed == ()


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    assert isinstance(read(AttachRequest, raw), AttachRequest | Invalid)


def test_a_refusal_never_repeats_a_secret() -> None:
    login = {"username": "u", "password": "s3cret!"}
    refused = reading(directions=[{"type": "inbound", "auth_mode": "register", "register_auth": login}])
    assert "s3cret!" not in repr(refused)


def test_a_call_of_101_numbers_is_seen_as_such() -> None:
    assert len(distinct_numbers(reading(phone_numbers=list(MANY[:101])))) == 101


@pytest.mark.parametrize(
    ("raw", "trunk", "kept"),
    [
        ("+14155550100", False, "+14155550100"),
        ("+1 (415) 555-0100", False, "+14155550100"),
        ("14155550100", False, None),
        ("14155550100", True, "14155550100"),
        ("2001", True, "2001"),
        ("+0123", True, None),
        ("two words", True, None),
        ("", True, None),
    ],
)
def test_only_what_begins_with_plus_is_read_as_e164(raw: str, trunk: bool, kept: str | None) -> None:
    assert identity(raw, trunk=trunk) == kept


# what fails


def test_every_number_is_configured_where_nothing_is_wrong() -> None:
    done = conduct(CALM, *MANY[:100])
    assert done.content.status == 200
    assert data(done) == {"configured": list(MANY[:100]), "failed": []}
    assert done.committed == MANY[:100]


def test_a_number_is_in_exactly_one_list_and_only_the_configured_are_attached() -> None:
    done = conduct(CALM.changed({"fail_rate": 0.5}), *MANY[:100])
    failed = [item["phone_number"] for item in data(done)["failed"]]
    assert sorted([*data(done)["configured"], *failed]) == list(MANY[:100])
    assert failed == list(done.failed)
    assert list(done.committed) == data(done)["configured"]
    assert 0 < len(failed) < 100


def test_a_number_sent_twice_in_a_call_is_answered_once() -> None:
    assert data(conduct(CALM, "+14150000001", "+1 415 000 0001"))["configured"] == ["+14150000001"]


@pytest.mark.parametrize(
    ("shape", "item"),
    [
        ("string", "+14150000001"),
        ("object", {"phone_number": "+14150000001", "reason": "WORDS"}),
        ("number_error", {"number": "+14150000001", "error": "WORDS", "code": "FAILED"}),
        ("nested", {"phone": "+14150000001", "error": {"error": "FAILED", "message": "WORDS"}}),
        ("list", {"did": "+14150000001", "errors": [{"error": "FAILED", "message": "WORDS"}]}),
    ],
)
def test_a_failed_number_has_five_shapes(shape: str, item: object) -> None:
    step = Step(failed={"+14150000001": "WORDS"})
    done = conduct(CALM.changed({"failed_shape": shape}), "+14150000001", step=step)
    assert data(done) == {"configured": [], "failed": [item]}


def test_a_partial_failure_can_have_another_status() -> None:
    rules = CALM.changed({"partial_status": 207})
    assert conduct(rules, *MANY[:2], step=Step(failed={MANY[0]: "no"})).content.status == 207
    assert conduct(rules, *MANY[:2]).content.status == 200


def test_a_malformed_number_fails_alone_or_refuses_the_call() -> None:
    alone = conduct(CALM, "+14150000001", "4150000001")
    assert alone.failed == ("4150000001",)
    assert alone.committed == ("+14150000001",)
    refused = conduct(CALM.changed({"malformed": "refuse"}), "+14150000001", "4150000001")
    assert refused.content.status == 400
    assert refused.committed == ()


def test_a_dead_number_fails_however_often_it_is_sent_and_a_failing_one_may_recover() -> None:
    dead = CALM.changed({"dead_rate": 0.3})
    assert {conduct(dead, *MANY[:100], times=times).failed for times in range(5)} == {conduct(dead, *MANY[:100]).failed}
    failing = CALM.changed({"fail_rate": 0.3})
    assert conduct(failing, *MANY[:100], times=0).failed != conduct(failing, *MANY[:100], times=1).failed


@pytest.mark.parametrize("poison", [{"poison": ["+14155550100"]}, {"poison_every": 100}])
def test_a_poison_number_refuses_the_whole_call(poison: dict[str, Any]) -> None:
    rules = CALM.changed(poison)
    assert conduct(rules, "+14155550099", "+14155550101").content.status == 200
    refused = conduct(rules, "+14155550099", "+14155550100")
    assert refused.content.status == 400
    assert refused.committed == ()


def test_a_400_echoes_the_request_only_where_asked() -> None:
    poisoned = CALM.changed({"poison": ["+14155550100"]})
    assert b"the echo" not in conduct(poisoned, "+14155550100").content.body
    assert b"the echo" in conduct(poisoned.changed({"echo_400": True}), "+14155550100").content.body


def test_a_direction_that_registers_gets_a_password() -> None:
    login = {"username": "pbx", "password": "long enough"}
    register = [{"type": "inbound", "auth_mode": "register", "register_auth": login}]
    first, again = (conduct(CALM, number, directions=register) for number in MANY[:2])
    assert data(first)["register_password_for_pbx"] == data(again)["register_password_for_pbx"]
    assert "long enough" not in str(data(first))


# chance


@given(st.integers(), st.text(), st.text(), st.integers(min_value=0, max_value=99))
def test_a_draw_is_in_range_and_always_the_same(seed: int, question: str, number: str, times: int) -> None:
    first = draw(seed, question, number, times)
    assert 0 <= first < 1
    assert draw(seed, question, number, times) == first


def test_the_share_that_fails_is_the_rate() -> None:
    failing = sum(draw(1, "fail", number) < 0.2 for number in MANY)
    assert 150 < failing < 250


def test_another_seed_fails_other_numbers() -> None:
    one, two = (conduct(CALM.changed({"fail_rate": 0.3, "seed": seed}), *MANY[:100]).failed for seed in (1, 2))
    assert one != two


def test_the_company_a_number_is_sent_in_changes_nothing_for_it() -> None:
    rules = CALM.changed({"fail_rate": 0.3, "dead_rate": 0.1})
    together = set(conduct(rules, *MANY[:100]).failed)
    assert together == {number for number in MANY[:100] if conduct(rules, number).failed}


@pytest.mark.parametrize(
    ("rate", "status", "commits", "cut"),
    [
        ("rate_429", 429, False, False),
        ("rate_500", 500, False, False),
        ("rate_500_after_commit", 500, True, False),
        ("rate_503", 503, False, False),
        ("rate_cut", None, False, True),
        ("rate_cut_after", None, True, True),
        ("rate_hang", None, False, True),
        ("rate_hang_after", 200, True, False),
    ],
)
def test_each_fault_of_a_call_can_be_had_by_its_rate(rate: str, status: int | None, commits: bool, cut: bool) -> None:
    done = conduct(CALM.changed({rate: 1.0}), *MANY[:3])
    assert (None if done.cut else done.content.status) == status
    assert done.committed == (MANY[:3] if commits else ())
    assert done.cut == cut


def test_a_429_says_when_to_come_back_unless_told_not_to() -> None:
    rules = CALM.changed({"rate_429": 1.0, "retry_after_s": 7})
    assert conduct(rules, MANY[0]).content.headers == {"Retry-After": "7"}
    assert conduct(rules.changed({"retry_after_s": None}), MANY[0]).content.headers == {}


# the script


@pytest.mark.parametrize(
    ("step", "status", "committed"),
    [
        ({"status": 200}, 200, MANY[:2]),
        ({"status": 503}, 503, ()),
        ({"status": 500, "commit": True}, 500, MANY[:2]),
        ({"status": 200, "body": "<html>"}, 200, ()),
        ({"status": 200, "body": {"data": None}, "commit": True}, 200, MANY[:2]),
        ({"failed": {MANY[0]: "no"}}, 200, MANY[1:2]),
        ({"omitted": [MANY[0]]}, 200, MANY[:2]),
    ],
)
def test_a_step_says_exactly_what_happens(step: dict[str, Any], status: int, committed: tuple[str, ...]) -> None:
    done = conduct(CALM.changed({"rate_503": 1.0}), *MANY[:2], step=read_steps([step])[0])
    assert done.content.status == status
    assert done.committed == committed


def test_an_omitted_number_is_in_neither_list() -> None:
    assert data(conduct(CALM, *MANY[:2], step=Step(omitted=(MANY[0],)))) == {"configured": [MANY[1]], "failed": []}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ({"status": 200}, "list"),
        ([{"status": 99}], "0.status"),
        ([{"fault": "explode"}], "0.fault"),
        ([{"status": 503, "fault": "cut_before"}], "not both"),
        ([{"commit": True}], "commit belongs to an answer"),
        ([{"on": "me", "failed": {"+1": "x"}}], "are for attach"),
        ([{"stauts": 200}], "did you mean status?"),
        ([{"status": 429, "headers": {"Retry-After": "1\r\nX: y"}}], "0.headers"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(steps: Any, said: str) -> None:
    with pytest.raises(RulesError, match=said.replace("?", r"\?")):
        read_steps(steps)


# the rules themselves


def test_rules_come_from_a_mapping_and_go_back_without_the_key() -> None:
    rules = SandboxRules.from_mapping({"api_key": "hush-hush", "seed": 3, "poison": ["+14155550100"]})
    assert "hush-hush" not in repr(rules) + json.dumps(rules.as_json())
    assert SandboxRules.from_mapping({**rules.as_json(), "api_key": "hush-hush"}) == rules


def test_every_mistake_in_the_rules_is_told_at_once() -> None:
    with pytest.raises(RulesError) as told:
        SandboxRules.from_mapping({"fail_rte": 0.1, "latency_s": -1, "dead_rate": 2, "failed_shape": "round"})
    places = {mistake.split(":")[0] for mistake in told.value.mistakes}
    assert places == {"fail_rte", "latency_s", "dead_rate", "failed_shape"}
    assert "fail_rte: there is no such field; did you mean fail_rate?" in told.value.mistakes


def test_rates_of_calls_that_leave_no_room_are_refused() -> None:
    with pytest.raises(RulesError, match="add up to more than 1"):
        SandboxRules.from_mapping({"rate_429": 0.6, "rate_cut": 0.5})
