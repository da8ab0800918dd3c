"""Every row of what is known of the API's errors: the account, the batch, the number, or something that passes."""

import json
from datetime import UTC, datetime

import pytest

from trunkline.bland.attach import (
    AccountFailed,
    CallFailed,
    Dead,
    Outcome,
    Outcomes,
    Retry,
    SplitBatch,
    Verdict,
    Verify,
    read_answer,
)
from trunkline.bland.attach.quick_repeat import quick_repeat_wait_s
from trunkline.http.retry_after import parse_retry_after
from trunkline.redaction import make_scrubber

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
A, B = "+14155550100", "+14155550101"
SEVERAL = (A, B)


def verdict(
    status: int, body: object = b"", sent: tuple[str, ...] = SEVERAL, retry_after: str | None = None
) -> Verdict:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    answer = read_answer(status, headers, octets, sent, scrub=make_scrubber(()), now=NOW)
    return answer.verdict


def error(code: str | None = None, message: str | None = None) -> dict[str, object]:
    item = {key: value for key, value in (("error", code), ("message", message)) if value is not None}
    return {"data": None, "errors": [item]}


def for_all(found: Verdict) -> Outcome:
    assert isinstance(found, Outcomes), found
    first, *others = found.by_number.values()
    assert all(type(other) is type(first) for other in others)
    return first


def failed_whole(found: Verdict) -> Retry | Verify:
    assert isinstance(found, CallFailed), found
    first, *others = found.by_number.values()
    assert list(found.by_number) == list(SEVERAL)
    assert all(type(other) is type(first) for other in others)
    return first


def reason_given(reason: object, status: int = 200) -> Outcome:
    body = {"data": {"configured": [A], "failed": [{"phone_number": B, "error": reason}]}, "errors": None}
    found = verdict(status, body)
    assert isinstance(found, Outcomes)
    return found.by_number[B]


# What passes


@pytest.mark.parametrize("status", [408, 425, 502, 503, 504])
@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", error("UPSTREAM", "try again"), error(message="invalid")]
)
def test_a_passing_status_is_a_retry_for_all_that_no_number_pays_for(status: int, body: object) -> None:
    found = failed_whole(verdict(status, body))
    assert isinstance(found, Retry)
    assert found.code == f"http_{status}"


def test_a_503_keeps_what_it_asks_for() -> None:
    found = verdict(503, retry_after="17")
    assert isinstance(found, CallFailed)
    assert found.retry_after_s == 17.0
    assert failed_whole(found).retry_after_s == 17.0  # type: ignore[union-attr]
    assert found.reason == "HTTP 503 without a word that is understood"


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 507, 599])
def test_a_failed_call_that_speaks_of_a_number_is_paid_for(status: int) -> None:
    found = for_all(verdict(status, error(message="Phone number +14155550100 is not owned by you")))
    assert isinstance(found, Retry | Verify)
    assert found.code == f"http_{status}"


@pytest.mark.parametrize(
    "reason",
    ["timeout", "Timed out", "time-out upstream", "UPSTREAM_TIMEOUT", "temporarily down", "Temporary failure",
     "rate limit exceeded", "RATE_LIMITED", "RateLimitExceeded", "Too Many Requests", "please try again",
     "try_again_later", "service unavailable"],
)  # fmt: skip
def test_passing_words_for_a_number_are_a_retry(reason: str) -> None:
    found = reason_given(reason)
    assert isinstance(found, Retry)
    assert found.code == "api_passing"


def test_rate_is_a_word_and_not_a_part_of_one() -> None:
    for reason in ("could not generate a config", "separate trunk", "operator says no"):
        found = reason_given(reason)
        assert isinstance(found, Retry)
        assert found.code == "api_failed"


# Outcome unknown


@pytest.mark.parametrize("status", [500, 501, 507, 520, 524, 599])
@pytest.mark.parametrize("body", [b"", b"<html>", error("INTERNAL", "timeout"), error(message="invalid state")])
def test_a_server_error_is_verified_and_no_number_pays_for_it(status: int, body: object) -> None:
    found = failed_whole(verdict(status, body))
    assert isinstance(found, Verify)
    assert found.code == f"http_{status}"


# The account


@pytest.mark.parametrize(
    "code",
    ["AUTH_FAILURE", "auth_failure", "Auth Failure", "INSUFFICIENT_SCOPE", "SIP_NOT_ENABLED", "sipNotEnabled",
     "SIPNotEnabled", "ACCOUNT_SUSPENDED", "org_flagged"],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("sent", [(A,), SEVERAL])
def test_a_code_that_names_the_account_gates_it_under_any_status(code: str, status: int, sent: tuple[str, ...]) -> None:
    for body in (error(code, "no"), {"status": "error", "message": code}, {"errors": [code]}, {"error": code}):
        found = verdict(status, body, sent)
        assert isinstance(found, AccountFailed), found
        assert found.explicit
        assert found.reason.startswith(f"{status} {code}")


@pytest.mark.parametrize(
    "text",
    ["Your account has been suspended", "This organization is flagged for review", "SIP is not enabled for this org",
     "Invalid API key", "Authentication failed", "insufficient permissions", "Your org was disabled"],
)  # fmt: skip
def test_prose_that_names_the_account_gates_it(text: str) -> None:
    for body in (error(message=text), {"status": "error", "message": text}, {"errors": [text]}, text, text.encode()):
        found = verdict(400, body)
        assert isinstance(found, AccountFailed)
        assert found.explicit


def test_401_gates_the_account_whatever_it_says() -> None:
    for body in (b"", b"<html>", error("SOMETHING", "number not owned"), {"error": "nope"}):
        found = verdict(401, body)
        assert isinstance(found, AccountFailed)
        assert (found.kind, found.explicit) == ("auth", True)


def test_the_reason_of_a_gate_reads_like_the_books() -> None:
    found = verdict(401, error("AUTH_FAILURE", "bad key"))
    assert found == AccountFailed("auth", "401 AUTH_FAILURE: bad key", None, explicit=True)
    scope = {"errors": [{"error": "INSUFFICIENT_SCOPE", "message": "no", "required_scope": "sip:write"}]}
    assert verdict(403, scope) == AccountFailed(
        "forbidden", "403 INSUFFICIENT_SCOPE: no: required scope sip:write", None, True
    )


@pytest.mark.parametrize("status", [402, 403])
def test_a_bare_403_gates_the_account_but_may_be_about_numbers(status: int) -> None:
    for body in (b"", b"<html>Forbidden</html>", error("FORBIDDEN", "no")):
        found = verdict(status, body)
        assert isinstance(found, AccountFailed)
        assert (found.kind, found.explicit) == ("forbidden", False)


def test_a_403_on_a_number_of_somebody_else_splits_and_one_on_a_key_does_not() -> None:
    assert isinstance(verdict(403, error(message="Number +14155550100 belongs to another org")), SplitBatch)
    assert isinstance(verdict(403, error(message="This API key belongs to another org than the number")), AccountFailed)


def test_429_gates_the_rate_with_what_it_asks_for() -> None:
    for body in (b"", b"<html>", error("RATE_LIMITED", "slow down"), error(message="too many invalid requests")):
        found = verdict(429, body, retry_after="Sun, 22 Nov 2026 12:00:30 GMT")
        assert isinstance(found, AccountFailed)
        assert (found.kind, found.retry_after_s) == ("rate", 30.0)


def test_a_429_on_a_blacklisted_number_splits_the_batch() -> None:
    assert isinstance(verdict(429, error("NUMBER_BLACKLISTED", "no")), SplitBatch)


def test_all_numbers_refused_for_the_account_gate_it() -> None:
    for status in (200, 400):
        failed = [{"phone_number": number, "error": "SIP_NOT_ENABLED"} for number in SEVERAL]
        found = verdict(status, {"data": {"configured": [], "failed": failed}, "errors": None})
        assert isinstance(found, AccountFailed)
        assert found.explicit


def test_one_number_refused_for_the_account_beside_a_configured_one_is_a_retry() -> None:
    found = reason_given("SIP_NOT_ENABLED")
    assert isinstance(found, Retry)
    assert found.code == "api_account"


@pytest.mark.parametrize("status", [401, 403, 429])
@pytest.mark.parametrize("failed", [[A, B], [{"phone_number": A, "error": "rate limited"}]])
def test_lists_of_failures_do_not_hide_the_accounts_trouble(status: int, failed: object) -> None:
    assert isinstance(verdict(status, {"data": {"configured": [], "failed": failed}, "errors": None}), AccountFailed)


# The batch


@pytest.mark.parametrize("status", [400, 404, 413, 422])
@pytest.mark.parametrize("sent", [(A,), SEVERAL])
@pytest.mark.parametrize("body", [b"", b"<html>", error("VALIDATION", "Invalid phone number"), error(message="odd")])
def test_a_refused_call_is_split_down_to_a_lone_number(status: int, sent: tuple[str, ...], body: object) -> None:
    found = verdict(status, body, sent)
    assert isinstance(found, SplitBatch)
    assert found.code == f"http_{status}"


@pytest.mark.parametrize(
    "text", ["number already configured", "try again later", "duplicate", "temporarily unavailable"]
)
def test_a_refused_call_for_several_is_split_whatever_it_says(text: str) -> None:
    assert isinstance(verdict(400, error(message=text)), SplitBatch)


def test_a_lone_number_that_exists_already_is_read_back_and_not_refused() -> None:
    assert isinstance(for_all(verdict(400, error("ALREADY_CONFIGURED", "exists"), (A,))), Verify)


def test_a_lone_number_refused_in_passing_words_is_tried_again() -> None:
    assert isinstance(for_all(verdict(400, error(message="temporarily down, try again"), (A,))), Retry)


def test_a_refusal_without_reasons_for_any_number_is_split() -> None:
    body = {"data": {"configured": [], "failed": [A, B]}, "errors": [{"error": "VALIDATION"}]}
    assert isinstance(verdict(400, body), SplitBatch)


def test_what_a_message_repeats_of_the_request_is_not_taken_for_its_own_words() -> None:
    echo = json.dumps(
        {"directions": [{"headers": {"headers": [{"key": "AUTH_FAILURE", "value": "account suspended"}]}}]}
    )
    assert isinstance(verdict(400, error("BAD_REQUEST", f"can't read {echo}")), SplitBatch)
    assert isinstance(verdict(400, error("BAD_REQUEST", "headers[0].key: Invalid key")), SplitBatch)


def test_refusals_that_are_alike_have_one_signature_and_others_another() -> None:
    def signature(number: str, text: str, status: int = 400) -> str:
        found = verdict(status, error("BAD", text), (number,))
        assert isinstance(found, SplitBatch)
        return found.signature

    first = signature(A, f"endpoint refused for {A} at 12:01")
    assert first == signature(B, f"endpoint refused for {B} at 9:59")
    assert first == signature("ext-2001", "endpoint refused for ext-2001 at 9:59")
    assert first != signature(A, "another thing")
    assert first != signature(A, f"endpoint refused for {A} at 12:01", status=422)


def told_alike(*reasons: object, status: int = 200, configured: tuple[str, ...] = ()) -> str:
    numbers = tuple(f"+1415555010{index}" for index in range(len(reasons)))
    failed = [{"phone_number": each, "error": why} for each, why in zip(numbers, reasons, strict=True)]
    body = {"data": {"configured": list(configured), "failed": failed}, "errors": None}
    found = verdict(status, body, (*numbers, *configured))
    assert isinstance(found, Outcomes)
    return found.alike


def test_every_number_told_the_same_mistake_has_one_signature_for_all() -> None:
    each = [f"INVALID_SIP_ENDPOINT: {number} can't reach port 5060" for number in (A, B, "+14155550102")]
    assert told_alike(*each) == told_alike(*each[:2]) != ""
    assert told_alike(*each, status=422) != told_alike(*each)
    assert told_alike(*each[:2], "another thing") == ""
    assert told_alike(*each, configured=("+14155550109",)) == ""
    assert told_alike("", "") == ""


# The number


@pytest.mark.parametrize(
    "reason",
    ["not owned", "NOT_OWNED", "numberNotOwned", "You do not own this number", "belongs to another org",
     "in another organization", "Number was purchased from Bland", "invalid number", "INVALID_NUMBER", "InvalidNumber",
     "blacklisted", "already belongs to another org", "belongs to a suspended account", "invalid, try again",
     {"error": "NOT_OWNED", "message": "please try again"}, [{"code": "INVALID"}]],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 207, 400, 429, 503])
def test_words_of_a_permanent_refusal_count_before_the_status(reason: object, status: int) -> None:
    assert isinstance(reason_given(reason, status), Dead)


def test_a_blacklisted_number_is_dead_even_if_all_were_refused_with_429() -> None:
    failed = [{"phone_number": A, "error": "BLACKLISTED"}, {"phone_number": B, "error": "rate limited"}]
    found = verdict(429, {"data": {"configured": [], "failed": failed}, "errors": None}, retry_after="9")
    assert isinstance(found, Outcomes)
    assert isinstance(found.by_number[A], Dead)
    retry = found.by_number[B]
    assert isinstance(retry, Retry)
    assert retry.retry_after_s == 9.0


@pytest.mark.parametrize(
    "reason", ["already attached", "ALREADY_EXISTS", "number exists", "duplicate", "DuplicateNumber"]
)
def test_what_may_be_there_already_is_read_back(reason: str) -> None:
    found = reason_given(reason)
    assert isinstance(found, Verify)
    assert found.code == "already"
    assert isinstance(for_all(verdict(409, error(reason))), Verify)


@pytest.mark.parametrize("reason", ["", None, "???", "E1234", {"weird": True}, [[[]]], 7, "does not exist"])
def test_any_other_reason_is_a_retry_and_never_success(reason: object) -> None:
    found = reason_given(reason)
    assert isinstance(found, Retry)
    assert found.code == "api_failed"


@pytest.mark.parametrize("status", [301, 302, 405, 406, 410, 415, 418, 451])
def test_any_other_status_is_a_retry(status: int) -> None:
    assert isinstance(for_all(verdict(status)), Retry)


@pytest.mark.parametrize("status", [-1, 0, 100, 199, 600, 999, 10**30])
def test_a_status_that_is_none_is_verified(status: int) -> None:
    assert isinstance(for_all(verdict(status)), Verify)


def test_the_apis_own_code_is_kept_beside_ours() -> None:
    found = reason_given({"error": "TRUNK_BUSY", "message": "the trunk is busy"})
    assert isinstance(found, Retry)
    assert (found.code, found.api_code, found.message) == ("api_failed", "TRUNK_BUSY", "TRUNK_BUSY: the trunk is busy")


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("1.5", 1.5), ("9" * 90, 86400.0),
     ("Sun, 22 Nov 2026 12:01:00 GMT", 60.0), ("Sunday, 22-Nov-26 12:01:00 GMT", 60.0),
     ("Sun Nov 22 12:01:00 2026", 60.0), ("Sun, 22 Nov 2020 12:01:00 GMT", 0.0),
     ("Sun, 22 Nov 2036 12:01:00 GMT", 86400.0), ("Sun, 22 Nov 2026 13:01:00 +0100", 60.0)],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_and_as_a_date(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value", [None, "", "soon", "-5", "1e3", "nan", "inf", "1_000", "٣", "9" * 5000, "Sun, 99 Nov 2026"]
)
def test_a_retry_after_that_makes_no_sense_is_none(value: str | None) -> None:
    assert parse_retry_after(value, NOW) is None


@pytest.mark.parametrize(
    ("status", "asked", "body", "wait"),
    [(429, "2", b"", 2.0), (503, "0", b"<html>", 0.0), (429, "2.1", b"", None), (429, None, b"", None),
     (200, "1", b"", None), (500, "1", b"", None), (429, "1", b'{"data": {"configured": ["+14155550100"]}}', None),
     (503, "1", b'{"failed": []}', None)],
)  # fmt: skip
def test_only_a_short_retry_after_that_says_nothing_of_numbers_is_waited_for(
    status: int, asked: str | None, body: bytes, wait: float | None
) -> None:
    headers = {} if asked is None else {"retry-after": asked}
    assert quick_repeat_wait_s(status, headers, body, NOW) == wait
