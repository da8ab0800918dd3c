"""The attach request and its answers: the documented form, every form of the lists, one outcome for each number."""

import json
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from support.examples import examples
from trunkline.bland.attach import (
    AccountFailed,
    Answer,
    Attached,
    CallFailed,
    Dead,
    Outcome,
    Outcomes,
    Retry,
    SplitBatch,
    Verify,
    no_answer,
    read_answer,
    request_body,
)
from trunkline.lifecycle import DeadCode
from trunkline.profiles.profile import Profile
from trunkline.redaction import make_scrubber
from trunkline.schema import Secret

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
A, B, C = "+14155550100", "+14155550101", "+14155550102"
PASSWORD = "correct horse/battery"


def read(body: object, *, status: int = 200, sent: tuple[str, ...] = (A, B, C), **headers: str) -> Answer:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_answer(status, named, octets, sent, scrub=make_scrubber([PASSWORD]), now=NOW)


def outcomes(body: object, *, status: int = 200, sent: tuple[str, ...] = (A, B, C)) -> dict[str, Outcome]:
    verdict = read(body, status=status, sent=sent).verdict
    assert isinstance(verdict, Outcomes), verdict
    assert list(verdict.by_number) == list(sent)
    return verdict.by_number


def in_doubt(body: bytes) -> bool:
    """Whether nothing but doubt comes of a success with this body."""
    found = read(body).verdict
    return isinstance(found, Outcomes | CallFailed) and all(isinstance(o, Verify) for o in found.by_number.values())


def lists(configured: object, failed: object = ()) -> dict[str, object]:
    return {"data": {"configured": configured, "failed": failed}, "errors": None}


def failed_b(item: object) -> Outcome:
    return outcomes(lists([A, C], [item]))[B]


# The request


def profile(**extra: object) -> Profile:
    table = {"name": "support", "directions": [{"type": "inbound"}], **extra}
    return Profile.model_validate(table)


def test_one_number_goes_as_phone_number() -> None:
    assert request_body(profile(), [A]) == {"phone_number": A, "directions": [{"type": "inbound"}], "service": "sip"}


def test_several_numbers_go_as_phone_numbers_with_the_trunk() -> None:
    body = request_body(profile(trunk_id="trk_1"), [A, "2001"])
    assert body == {
        "phone_numbers": [A, "2001"],
        "directions": [{"type": "inbound"}],
        "service": "sip",
        "trunk_id": "trk_1",
    }


def test_secrets_are_revealed_in_the_request_and_every_field_keeps_its_name() -> None:
    secret = Secret("env:SIP_PASSWORD", SecretStr(PASSWORD))
    direction = {
        "type": "outbound",
        "sip_endpoint": "sip:trunk.example.com",
        "options": {"port": 5061, "transport": "tls", "secure_media": True, "sip_password": secret},
        "headers": {"direction": "outbound", "headers": [{"type": "custom", "key": "color", "value": "X-Color"}]},
    }
    sent = request_body(profile(directions=[direction]), [A])["directions"]
    assert sent == [{**direction, "options": {**direction["options"], "sip_password": PASSWORD}}]  # type: ignore[dict-item]
    assert json.loads(json.dumps(sent)) == sent


@pytest.mark.parametrize("numbers", [[], [A, A], [f"+1415555{i:04d}" for i in range(101)]])
def test_a_call_that_the_api_would_not_take_is_not_built(numbers: list[str]) -> None:
    with pytest.raises(ValueError, match="a call"):
        request_body(profile(), numbers)


# What the lists say


def test_every_configured_number_is_attached() -> None:
    assert outcomes(lists([A, B, C])) == {number: Attached(number) for number in (A, B, C)}


@pytest.mark.parametrize(
    "written",
    ["14155550101", "+1 415 555 0101", "+1 (415) 555-0101", " +14155550101 ", "0014155550101", "tel:+1-415-555-0101",
     14155550101, {"phone_number": "+14155550101"}, {"number": "14155550101", "status": "configured"}],
)  # fmt: skip
def test_a_number_is_recognised_however_the_answer_writes_it(written: object) -> None:
    assert outcomes(lists([A, written, C]))[B] == Attached(B)


@pytest.mark.parametrize("items", ["+14155550101", {"phoneNumber": B}])
def test_one_item_in_place_of_a_list_is_a_list_of_one(items: object) -> None:
    assert outcomes(lists(items), sent=(B,))[B] == Attached(B)


def test_a_did_is_its_own_text_and_never_another_number() -> None:
    found = outcomes(lists(["2001", "14155550100"]), sent=("2001", "14155550100", A))
    assert found["2001"] == Attached("2001")
    assert found["14155550100"] == Attached("14155550100")
    assert isinstance(found[A], Verify)
    assert isinstance(outcomes(lists(["+2001"]), sent=("2001",))["2001"], Verify)


def test_lists_at_the_top_level_are_read() -> None:
    assert outcomes({"configured": [A, B], "failed": [C]})[A] == Attached(A)


def test_lists_under_any_status_are_read() -> None:
    for status in (207, 400, 409, 422, 429, 500, 503):
        found = outcomes(lists([A], [{"phone_number": B, "error": "number not owned"}]), status=status)
        assert found[A] == Attached(A)
        assert isinstance(found[B], Dead)
        assert isinstance(found[C], Verify)


def test_a_number_in_neither_list_is_verified() -> None:
    found = outcomes(lists([A], []))[B]
    assert isinstance(found, Verify)
    assert found.code == "not_mentioned"


def test_a_number_in_both_lists_is_verified() -> None:
    found = outcomes(lists([A, B, C], [{"phone_number": B, "direction": "outbound", "error": "not owned"}]))
    doubtful = found[B]
    assert found[A] == Attached(A)
    assert isinstance(doubtful, Verify)
    assert doubtful.code == "contradiction"


@pytest.mark.parametrize(
    "said",
    [{"error": "x"}, {"success": False}, {"ok": False}, {"status": "failed"}, {"status": "Error"},
     {"state": "REJECTED"}, {"outbound": {"status": "failed"}}, {"inbound": {"ok": True}, "outbound": {"error": "no"}},
     {"directions": [{"type": "inbound", "status": "ok"}, {"type": "outbound", "status": "not_configured"}]},
     {"result": {"success": False}}],
    ids=str,
)  # fmt: skip
def test_a_configured_item_that_speaks_of_an_error_is_no_success(said: dict[str, object]) -> None:
    found = outcomes(lists([A, {"phone_number": B, **said}, C]))
    assert isinstance(found[B], Verify)
    assert found[A] == Attached(A)
    assert isinstance(outcomes(lists({A: True, B: said}))[B], Verify)


@pytest.mark.parametrize(
    "said",
    [{}, {"status": "configured"}, {"status": "success"}, {"error": None, "errors": []}, {"outbound": {"status": "ok"}},
     {"directions": ["inbound", "outbound"]}, {"health_status": "unchecked"}, {"message": "failed over to trunk 2"},
     {"headers": {"direction": "inbound", "headers": [{"type": "custom", "key": "error", "value": "failed"}]}}],
    ids=str,
)  # fmt: skip
def test_a_configured_item_that_speaks_of_none_is_a_success(said: dict[str, object]) -> None:
    assert outcomes(lists([A, {"phone_number": B, **said}, C]))[B] == Attached(B)


@pytest.mark.parametrize("said", [True, "configured", {"inbound": "ok"}, ["inbound"]])
def test_configured_as_an_object_of_numbers_is_read(said: object) -> None:
    found = outcomes(lists({A: said, "1 415 555 0101": said}))
    assert (found[A], found[B]) == (Attached(A), Attached(B))
    assert isinstance(found[C], Verify)


@pytest.mark.parametrize("said", [None, False, "", {}, [], "failed", 0])
def test_a_number_in_an_object_of_the_configured_that_nothing_good_is_said_of_is_no_success(said: object) -> None:
    assert isinstance(outcomes(lists({A: True, B: said}))[B], Verify)


CONTRADICTIONS = [
    {"success": False}, {"ok": False}, {"status": "error"}, {"status": "failed", "message": "no"}, {"error": "odd"},
    {"errors": ["something went wrong"]}, {"errors": [{"error": "PARTLY_SAVED"}]}, {"errors": {"error": "X"}},
    {"errors": "odd"}, {"errors": [{"phone_number": "+442079460000", "error": "not owned"}]},
]  # fmt: skip


@pytest.mark.parametrize("said", CONTRADICTIONS, ids=str)
@pytest.mark.parametrize("sent", [(A,), (A, B, C)])
def test_a_success_that_the_call_contradicts_is_to_be_verified(said: dict[str, object], sent: tuple[str, ...]) -> None:
    for body in ({**lists(list(sent)), **said}, {"data": {"configured": list(sent), "failed": [], **said}}):
        found = outcomes(body, sent=sent)
        assert {getattr(each, "code", "") for each in found.values()} == {"contradiction"}, body
        assert all(isinstance(each, Verify) for each in found.values())


@pytest.mark.parametrize("status", [301, 400, 404, 409, 422, 500, 503])
def test_a_status_that_contradicts_its_own_list_of_the_configured_proves_no_success(status: int) -> None:
    assert all(isinstance(each, Verify) for each in outcomes(lists([A, B, C]), status=status).values())
    assert outcomes(lists([A, B, C]), status=207)[A] == Attached(A)


@pytest.mark.parametrize("said", CONTRADICTIONS, ids=str)
def test_trouble_that_the_failed_numbers_explain_is_no_contradiction_for_their_companions(
    said: dict[str, object],
) -> None:
    found = outcomes({**lists([A, C], [{"phone_number": B, "error": "not owned"}]), **said}, status=422)
    assert found[A] == Attached(A)
    assert isinstance(found[B], Dead)


@pytest.mark.parametrize(
    "said", [{"success": True}, {"status": "success"}, {"status": "ok"}, {"errors": []}, {"error": None}]
)
def test_a_call_that_says_it_went_well_contradicts_nothing(said: dict[str, object]) -> None:
    assert outcomes({**lists([A, B, C]), **said})[A] == Attached(A)


def test_errors_as_an_object_of_numbers_count_against_them() -> None:
    found = outcomes({**lists([A, C]), "errors": {B: "not owned"}})
    assert found[A] == Attached(A)
    assert isinstance(found[B], Dead)


def test_a_number_written_as_it_is_dialled_at_home_is_recognised() -> None:
    for written in ("4155550101", "(415) 555-0101", 4155550101):
        assert outcomes(lists([A, written, C]))[B] == Attached(B)
    assert isinstance(outcomes(lists([A, "+4155550101", C]))[B], Verify)  # another country's
    found = outcomes(lists(["4155550101"]), sent=("4155550101", B))
    assert found["4155550101"] == Attached("4155550101")
    assert isinstance(found[B], Verify)


def test_digits_that_two_numbers_share_at_home_are_neithers() -> None:
    found = outcomes(lists(["2071234567"]), sent=("+12071234567", "+442071234567"))
    assert all(isinstance(each, Verify) for each in found.values())


@pytest.mark.parametrize("data", [None, [], {}, 7, "ok", [A], {"configured": 3}, {"configured": {A: None}}, {"ok": 1}])
def test_a_success_that_is_not_understood_is_verified(data: object) -> None:
    assert all(isinstance(outcome, Verify) for outcome in outcomes({"data": data, "errors": None}).values())


NOT_OWNED = "Number is not owned by your org"
SHAPES = [
    f"{B}: {NOT_OWNED}",
    f"{B} - {NOT_OWNED}",
    f"Could not configure {B}: {NOT_OWNED}",
    f"Could not configure +1 (415) 555-0101: {NOT_OWNED}",
    {"phone_number": B, "reason": NOT_OWNED},
    {"number": B, "error": NOT_OWNED},
    {"phone": "1 415 555 0101", "message": NOT_OWNED},
    {"did": B, "errors": [NOT_OWNED]},
    {"phone_number": B, "code": "NOT_OWNED"},
    {"phoneNumber": B, "error": {"error": "NUMBER_NOT_OWNED", "message": NOT_OWNED}},
    {"phone_number": B, "errors": [{"error": "FIRST", "message": "no"}, {"code": 17, "detail": NOT_OWNED}]},
    {"phone_numbers": [B], "reason": {"message": NOT_OWNED}},
    {B: NOT_OWNED},
    {B: {"error": "notOwned"}},
    [B, NOT_OWNED],
    [B, {"message": NOT_OWNED}],
    [{"phone_number": B, "reason": NOT_OWNED}],
]


@pytest.mark.parametrize("item", SHAPES, ids=str)
def test_a_failed_number_is_found_in_every_shape_of_its_item(item: object) -> None:
    found = failed_b(item)
    assert isinstance(found, Dead)
    assert found.code is DeadCode.rejected_by_api
    assert "owned" in found.message.lower().replace("_", " ")
    assert found.raw


def test_failed_as_an_object_of_numbers_is_read() -> None:
    found = outcomes(lists([A], {B: "not owned", C: ["try again"]}))
    assert isinstance(found[B], Dead)
    assert isinstance(found[C], Retry)


def test_a_plain_number_in_failed_is_a_retry_without_a_reason() -> None:
    assert failed_b(B) == Retry(B, "api_failed", "the API gave no reason", None, B)


def test_a_reason_without_a_number_is_the_lone_numbers() -> None:
    for item in ("not owned", {"error": "not owned"}):
        assert isinstance(outcomes(lists([], [item]), sent=(B,))[B], Dead)
        assert all(isinstance(outcome, Verify) for outcome in outcomes(lists([], [item])).values())


def test_a_reason_that_names_another_number_is_nobodys() -> None:
    found = outcomes(lists([], [{"phone_number": "+442079460000", "error": "not owned"}]), sent=(B,))
    assert isinstance(found[B], Verify)


def test_a_sentence_on_several_numbers_is_about_the_one_it_begins_with() -> None:
    found = outcomes(lists([], [f"{A}: belongs to the org of {B}", f"{B} and {C} are odd"]))
    assert isinstance(found[A], Dead)
    assert isinstance(found[B], Retry)
    assert isinstance(found[C], Verify)


def test_an_error_that_names_a_number_counts_against_it_beside_the_lists() -> None:
    body = {**lists([A, C]), "errors": [{"phone_number": B, "error": "NOT_OWNED"}, {"phone_number": C, "error": "X"}]}
    found = outcomes(body)
    assert found[A] == Attached(A)
    assert isinstance(found[B], Dead)
    assert isinstance(found[C], Verify)


def test_a_key_given_twice_hides_nothing() -> None:
    body = b'{"data": {"failed": ["+14155550101: not owned"], "configured": ["+14155550100"], "failed": []}}'
    assert isinstance(outcomes(body, sent=(A, B))[B], Dead)
    body = b'{"data": {"failed": ["+14155550101"]}, "data": {"configured": ["+14155550100", "+14155550101"]}}'
    assert isinstance(outcomes(body, sent=(A, B))[B], Verify)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe\x00", b"<html>502 Bad Gateway</html>", b"[" * 100_000, b'{"data":' * 50_000, b"null", b"NaN",
     b'"ok"', b'{"data": {"failed": ' + b"[" * 800 + b"]" * 800 + b"}}",
     b'{"data": {"configured": [null, NaN, 1e999, {}, [], [[]], true]}}', b'{"data": ' + b"9" * 6000 + b"}",
     b'{"data": {"configured": ["\\ud800"], "failed": [null, 1, [null]]}}', b"\xef\xbb\xbf{}"],
    ids=range(13),
)  # fmt: skip
def test_bodies_that_are_broken_on_purpose_are_verified(body: bytes) -> None:
    assert in_doubt(body)


@pytest.mark.parametrize("body", [b"", b"<html>We are back soon</html>", b"nope"])
def test_a_page_in_place_of_an_answer_is_a_failed_call_that_no_number_pays_for(body: bytes) -> None:
    assert isinstance(read(body).verdict, CallFailed)
    assert isinstance(read({"ok": True}).verdict, Outcomes)


def test_an_item_nested_without_end_is_still_a_failure() -> None:
    deep = b'{"error": ' * 400 + b'"not owned"' + b"}" * 400
    body = b'{"data": {"configured": [], "failed": [{"phone_number": "+14155550101", "error": ' + deep + b"}]}}"
    assert isinstance(outcomes(body)[B], Retry)


def test_a_bom_before_the_json_is_nothing() -> None:
    assert outcomes(b"\xef\xbb\xbf" + json.dumps(lists([A, B, C])).encode())[A] == Attached(A)


def test_no_answer_is_to_be_verified_and_no_number_pays_for_it() -> None:
    found = no_answer("timeout", "no answer", [A, B])
    assert found == CallFailed({n: Verify(n, "timeout", "no answer") for n in (A, B)}, "no answer")


# Secrets


def test_the_register_password_is_kept_as_a_secret_and_gone_from_the_rest() -> None:
    body = lists([A], [{"phone_number": B, "error": "odd: s3cr3t-derived"}])
    body["data"]["register_password_for_pbx"] = "s3cr3t-derived"  # type: ignore[index]
    answer = read(body)
    assert answer.register_password is not None
    assert answer.register_password.get_secret_value() == "s3cr3t-derived"
    assert "s3cr3t-derived" not in repr(answer)


def test_the_register_password_is_found_at_the_top_level_and_under_an_escaped_key() -> None:
    for body in (
        b'{"configured": ["+14155550100"], "register_password_for_pbx": "s3cr3t-derived"}',
        b'{"data": {"register\\u005fp\\u0061ssword_for_pbx": "s3cr3t-derived"}}',
    ):
        answer = read(body)
        assert answer.register_password == SecretStr("s3cr3t-derived")
        assert "s3cr3t-derived" not in repr(answer)


def test_a_broken_body_that_may_hold_a_register_password_is_withheld() -> None:
    assert "s3cr3t" not in repr(read(b'{"data": {"register_password_for_pbx": "s3cr3t-der'))


def test_echoed_secrets_do_not_come_through() -> None:
    echo = {"directions": [{"options": {"sip_password": PASSWORD}}]}
    for body in (
        {"data": None, "errors": [{"error": "BAD", "message": f"refused: {json.dumps(echo)}"}], "request": echo},
        lists([A], [{"phone_number": B, "error": PASSWORD, "request": json.dumps(echo)}]),
    ):
        for status in (200, 400, 401, 500, 503):
            assert "horse" not in repr(read(body, status=status))


def test_what_stands_under_a_passwords_key_is_a_secret_even_if_nobody_knows_it() -> None:
    body = {"data": None, "message": "bad: hunter2hunter2", "request": {"sip_password": "hunter2hunter2"}}
    assert "hunter2" not in repr(read(body, status=400))


def test_an_excerpt_is_scrubbed_before_it_is_cut() -> None:
    found = read({"data": None, "message": "x" * 470 + PASSWORD}, status=503).verdict
    assert isinstance(found, CallFailed)
    assert all("correct" not in f"{o.raw} {o.message}" and len(o.raw) <= 500 for o in found.by_number.values()
               if isinstance(o, Retry))  # fmt: skip


# Properties

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.sampled_from([A, B, C, "14155550101", "not owned", "already exists", "AUTH_FAILURE", "2001"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["data", "errors", "error", "message", "configured", "failed", "phone_number", "reason", "code",
                         "register_password_for_pbx", A, B]) | st.text(max_size=5),
        inner,
        max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip
answers_like = st.fixed_dictionaries(
    {}, optional={"data": st.fixed_dictionaries({}, optional={"configured": json_values, "failed": json_values}),
                  "errors": json_values, "error": json_values, "message": json_values, "status": json_values},
)  # fmt: skip
bodies = st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()) | answers_like.map(
    lambda v: json.dumps(v).encode()
)  # fmt: skip
statuses = st.sampled_from([200, 207, 400, 401, 403, 404, 409, 422, 429, 500, 503]) | st.integers()
header_maps = st.dictionaries(
    st.text(max_size=12) | st.sampled_from(["Retry-After", "retry-after"]), st.text(max_size=30)
)
sent_numbers = st.lists(st.sampled_from([A, B, C, "2001", "14155550100"]), min_size=1, max_size=5, unique=True)


@settings(max_examples=examples(400), deadline=None)
@given(statuses, header_maps, bodies, sent_numbers)
def test_any_answer_gives_one_outcome_for_each_number_or_one_verdict(
    status: int, headers: dict[str, str], body: bytes, sent: list[str]
) -> None:
    answer = read_answer(status, headers, body, sent, scrub=make_scrubber(["not owned"]), now=NOW)
    match answer.verdict:
        case Outcomes(by_number):
            assert list(by_number) == sent
            assert all(outcome.number == number for number, outcome in by_number.items())
            kept = [text for o in by_number.values() if not isinstance(o, Attached) for text in (o.raw, o.message)]
        case CallFailed(by_number):
            assert list(by_number) == sent
            kept = [text for o in by_number.values() for text in (o.raw, o.message)]
        case AccountFailed():
            kept = [answer.verdict.reason]
        case SplitBatch():
            kept = [answer.verdict.message, answer.verdict.raw, answer.verdict.signature]
    for text in kept:
        assert len(text) <= 500
        assert text.encode()[:0] == b""
        assert not any(unicodedata.category(char) == "Cc" for char in text)
        assert "not owned" not in text


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.sampled_from(["configured", "failed", "both", "neither"]), min_size=1, max_size=100))
def test_a_number_is_attached_exactly_if_it_is_configured_and_not_failed(fates: list[str]) -> None:
    numbers = [f"+1415555{index:04d}" for index in range(len(fates))]
    by_fate = list(zip(numbers, fates, strict=True))
    configured = [number for number, fate in by_fate if fate in ("configured", "both")]
    failed = [{"phone_number": number, "error": "?"} for number, fate in by_fate if fate in ("failed", "both")]
    found = outcomes(lists(configured, failed), sent=tuple(numbers))
    expected = {"configured": Attached, "failed": Retry, "both": Verify, "neither": Verify}
    assert [type(found[number]) for number in numbers] == [expected[fate] for fate in fates]
