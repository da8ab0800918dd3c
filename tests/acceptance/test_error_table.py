"""Every row of the API's error table, through a real worker process, a real store and the stand-in over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from acceptance.scenes import Scene, Scenes, Stage, playing
from acceptance.worker_harness import until
from trunkline.lifecycle import State

scene = Scenes()
ONCE = {"max_attempts": 1}  # with it any attempt that counted would end a number


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with playing(scene, tmp_path_factory.mktemp("error-table")) as stage:
        yield stage


def failed(**reasons: str) -> dict[str, Any]:
    """For `script`: numbers by their letter that fail, and the reason given."""
    return reasons


def failing(*steps: Mapping[str, str], count: int, **more: Any) -> Scene:
    """A scene in which call after call these numbers fail with these reasons."""

    def script(numbers: Any) -> list[dict[str, Any]]:
        named = [{numbers["abcdefghij".index(letter)]: why for letter, why in each.items()} for each in steps]
        return [{"failed": each} for each in named]

    return scene(count=count, script=script, **more)


def error(status: int, code: str, message: str, **more: Any) -> dict[str, Any]:
    """An answer in the usual envelope of errors."""
    body = {"data": None, "errors": [{"error": code, "message": message, **more}]}
    return {"status": status, "body": body}


# Passing: tried again; an attempt is spent only by a reason given for the number


PASSING = {status: scene({"status": status}) for status in (408, 425, 502, 503, 504)}
PASSING_WORDS = failing(
    failed(
        a="Timeout of the carrier", b="temporarily out of order", c="rate exceeded", d="please try again",
        e="Service unavailable",
    ),
    count=6,
)  # fmt: skip
PASSING_LONE_400 = scene(error(400, "BAD", "temporarily unavailable, try again"))
PASSING_COUNTS = failing(*[failed(a="try again")] * 2, count=1, retry={"max_attempts": 2})
GATEWAY_AWAY = scene(*[{"status": 503}] * 4, retry=ONCE)
RESETS = scene(*[{"fault": "cut_before"}] * 3, retry=ONCE)
BACKOFF_503 = scene({"status": 503, "headers": {"Retry-After": "4"}})
UNREACHABLE = scene(reachable=False, retry={"max_attempts": 1})


@pytest.mark.parametrize("status", PASSING)
def test_a_passing_status_is_tried_again_and_not_read_back(stage: Stage, status: int) -> None:
    stage.ends(PASSING[status], attached="a")
    assert stage.sent(PASSING[status]) == ["a", "a"]
    assert stage.read_backs(PASSING[status]) == 0


def test_a_reason_that_speaks_of_passing_trouble_is_tried_again_alone(stage: Stage) -> None:
    stage.ends(PASSING_WORDS, attached="abcdef")
    assert stage.sent(PASSING_WORDS) == ["abcdef", "abcde"]


def test_a_lone_number_refused_in_passing_words_is_not_dead(stage: Stage) -> None:
    stage.ends(PASSING_LONE_400, attached="a")


def test_passing_trouble_of_a_number_counts_attempts_until_they_run_out(stage: Stage) -> None:
    stage.ends(PASSING_COUNTS, dead="a")
    assert stage.entry(PASSING_COUNTS).dead_code == "attempts_exhausted"


@pytest.mark.parametrize("away", [GATEWAY_AWAY, RESETS], ids=["503", "reset"])
def test_a_gateway_that_is_away_costs_no_attempt_however_long(stage: Stage, away: Scene) -> None:
    stage.ends(away, attached="a")
    assert stage.entry(away).attempts == 1


def test_a_503_with_retry_after_is_tried_again_no_sooner(stage: Stage) -> None:
    stage.ends(BACKOFF_503, attached="a")
    first, second = stage.log(BACKOFF_503)
    assert second["monotonic"] - first["monotonic"] >= 4.0


def test_an_api_that_cant_be_reached_pauses_the_account_and_costs_no_attempt(stage: Stage) -> None:
    paused = until(lambda: stage.pause(UNREACHABLE), "the account is paused")
    assert "no connection" in paused["reason"]
    with stage.reachable(UNREACHABLE) as sandbox:
        stage.ends(UNREACHABLE, attached="a")
        assert stage.entry(UNREACHABLE).attempts == 1
        assert sandbox.stats()["calls"] == {"me": 1, "attach": 1}


# 429: the account's, waits as long as it is asked to, no attempt


LIMITED_3_S = scene({"status": 429, "headers": {"Retry-After": "3"}}, retry=ONCE)
LIMITED_BRIEFLY = scene({"status": 429, "headers": {"Retry-After": "1"}}, retry=ONCE)
LIMITED_SILENTLY = scene({"status": 429}, retry=ONCE)
LIMITED_UNTIL: dict[str, datetime] = {}


def _until_a_date(_: Any) -> list[dict[str, Any]]:
    LIMITED_UNTIL["date"] = (datetime.now(UTC) + timedelta(seconds=9)).replace(microsecond=0)
    header = format_datetime(LIMITED_UNTIL["date"], usegmt=True)
    return [{"status": 429, "headers": {"Retry-After": header}}]


LIMITED_BY_DATE = scene(script=_until_a_date, retry=ONCE)


def test_a_429_with_retry_after_waits_that_long_and_costs_no_attempt(stage: Stage) -> None:
    stage.ends(LIMITED_3_S, attached="a")
    first, second = stage.log(LIMITED_3_S)
    assert second["monotonic"] - first["monotonic"] >= 3.0


def test_a_429_that_asks_for_a_moment_is_repeated_within_the_batch(stage: Stage) -> None:
    stage.ends(LIMITED_BRIEFLY, attached="a")
    first, second = stage.log(LIMITED_BRIEFLY)
    assert second["monotonic"] - first["monotonic"] >= 1.0
    assert stage.calls(LIMITED_BRIEFLY, "me") == 0


def test_a_429_without_retry_after_pauses_the_account_and_costs_no_attempt(stage: Stage) -> None:
    stage.ends(LIMITED_SILENTLY, attached="a")
    assert stage.sent(LIMITED_SILENTLY) == ["a", "a"]
    assert stage.calls(LIMITED_SILENTLY, "me") == 1


def test_a_429_with_a_date_waits_until_then(stage: Stage) -> None:
    stage.ends(LIMITED_BY_DATE, attached="a")
    _, second = stage.log(LIMITED_BY_DATE)
    assert datetime.fromisoformat(second["at"]) >= LIMITED_UNTIL["date"]


# Outcome unknown: read back first, then send what is not there


BRIEF = {"timeout_s": 1.0}
DONE = {
    "a read time-out": scene({"fault": "hang_after", "seconds": 5}, account=BRIEF),
    "a connection lost after sending": scene({"fault": "cut_after"}),
    "an answer that breaks off": scene({"fault": "cut_midway"}),
    "a 500": scene({"status": 500, "commit": True}),
    "a number in neither list": scene(script=lambda numbers: [{"omitted": [numbers[1]]}], count=2),
    "a number in both lists": scene(
        script=lambda n: [{"commit": True, "body": {"data": {"configured": [n[0]], "failed": [n[0]]}}}]
    ),
    "a page in place of an answer": scene({"commit": True, "body": "<html>Welcome</html>"}),
    "a 500 for many": scene({"status": 500, "commit": True}, count=6),
}
NOT_DONE = {
    "a read time-out": scene({"fault": "hang_before", "seconds": 5}, account=BRIEF),
    "a connection lost after sending": scene({"fault": "cut_before"}),
    "a 500": scene({"status": 500}),
    "a page in place of an answer": scene({"body": "<html>Welcome</html>"}),
}
PARTLY_DONE = scene({"status": 500}, count=6, already="abce")
READ_BACK_FAILS = scene({"fault": "cut_after"}, {"on": "number", "status": 500}, retry=ONCE)
READ_BACK_FAILS_TWICE = scene(
    {"fault": "cut_after"}, {"on": "number", "status": 500}, {"on": "number", "body": "<p>"}, retry=ONCE
)


@pytest.mark.parametrize("what", DONE)
def test_what_the_api_had_done_before_the_answer_was_lost_is_read_back_and_not_sent_again(
    stage: Stage, what: str
) -> None:
    each = DONE[what]
    stage.ends(each, attached=each.word(each.numbers))
    assert stage.sent(each) == [each.word(each.numbers)]
    assert stage.read_backs(each) >= 1


@pytest.mark.parametrize("what", NOT_DONE)
def test_what_the_api_had_not_done_is_sent_again_after_a_read_back(stage: Stage, what: str) -> None:
    stage.ends(NOT_DONE[what], attached="a")
    assert stage.sent(NOT_DONE[what]) == ["a", "a"]
    assert stage.read_backs(NOT_DONE[what]) == 1


def test_of_a_batch_done_in_part_only_the_rest_is_sent_again(stage: Stage) -> None:
    stage.ends(PARTLY_DONE, attached="abcdef")
    assert stage.sent(PARTLY_DONE) == ["abcdef", "df"]


def test_a_read_back_that_fails_is_made_again_before_anything_is_sent(stage: Stage) -> None:
    stage.ends(READ_BACK_FAILS, attached="a")
    assert stage.sent(READ_BACK_FAILS) == ["a"]
    assert stage.read_backs(READ_BACK_FAILS) == 2


def test_a_read_back_that_fails_twice_proves_nothing_and_the_number_is_sent_unread(stage: Stage) -> None:
    stage.ends(READ_BACK_FAILS_TWICE, attached="a")
    assert stage.sent(READ_BACK_FAILS_TWICE) == ["a", "a"]
    assert stage.read_backs(READ_BACK_FAILS_TWICE) == 2


# The account: paused, no attempt counted, said loudly, probed slowly


ACCOUNT = {
    "401": scene({"status": 401}, retry=ONCE),
    "401 without a word": scene({"status": 401, "body": ""}, retry=ONCE),
    "AUTH_FAILURE": scene(error(400, "AUTH_FAILURE", "Invalid API key"), retry=ONCE),
    "403": scene({"status": 403}, retry=ONCE),
    "INSUFFICIENT_SCOPE": scene(
        error(403, "INSUFFICIENT_SCOPE", "Missing scope", required_scope="sip:write"), retry=ONCE
    ),
    "SIP_NOT_ENABLED": scene(error(400, "SIP_NOT_ENABLED", "Talk to sales"), retry=ONCE),
    "a suspended account": scene(error(403, "FORBIDDEN", "Your account has been suspended."), retry=ONCE),
    "a flagged account": scene({"status": 403, "body": {"status": "error", "message": "org was flagged"}}, retry=ONCE),
}
SUSPENDED = scene(rules={"suspended": True}, retry=ONCE, count=2)
SIP_OFF = scene(rules={"sip_enabled": False}, retry=ONCE, count=2)
NEIGHBOUR = scene(enqueued="")
HALF_OPEN = scene(
    {"status": 401}, count=8, enqueued="", batch={"max_size": 2}, rules={"latency_s": 0.2},
    account={"max_concurrency": 4, "pause_initial_s": 1.0}, retry=ONCE,
)  # fmt: skip
IN_TURN = scene({"status": 401}, count=4, batch={"max_size": 2}, retry=ONCE)
BARE_403 = scene(*({"status": status} for status in (403, 403, 200, 403)), count=2)
MAY_NOT_READ = scene({"fault": "cut_after"}, *({"on": "number", "status": 403} for _ in range(9)))
PAYMENT = scene(*[{"status": 402}] * 3, retry=ONCE, count=2)


@pytest.mark.parametrize("what", ACCOUNT)
def test_trouble_with_the_account_costs_no_attempt(stage: Stage, what: str) -> None:
    stage.ends(ACCOUNT[what], attached="a")
    assert stage.sent(ACCOUNT[what]) == ["a", "a"]
    assert stage.calls(ACCOUNT[what], "me") == 1
    assert stage.read_backs(ACCOUNT[what]) == 0


def test_an_account_in_trouble_is_shown_paused_probed_slowly_and_holds_up_no_other(stage: Stage) -> None:
    until(lambda: stage.calls(SUSPENDED, "me") >= 2, "two probes")
    status = stage.trunkline("status", "--json").json
    account = next(each for each in status["accounts"] if each["account"] == SUSPENDED.name)
    assert account["paused"]["reason"] == "403 FORBIDDEN: This account has been suspended; contact support." or (
        account["paused"]["reason"] == "GET /v1/me answers 403"
    )
    assert account["paused"]["by"] == "api"
    assert account["retry_at"] == account["paused"]["until"]
    stage.enqueue(NEIGHBOUR)
    stage.ends(NEIGHBOUR, attached="a")
    assert [(each.state, each.attempts) for each in stage.entries(SUSPENDED)] == [(State.queued, 0)] * 2
    assert stage.sent(SUSPENDED) == ["ab"]
    assert stage.worker.logged("account_gated")
    stage.sandbox(SUSPENDED).change(suspended=False)
    stage.ends(SUSPENDED, attached="ab")
    assert stage.pause(SUSPENDED) is None


def test_an_account_whose_sip_is_off_waits_although_its_key_is_fine(stage: Stage) -> None:
    until(lambda: stage.calls(SIP_OFF, "me") >= 2, "two probes")
    assert [each.attempts for each in stage.entries(SIP_OFF)] == [0, 0]
    assert {each.state for each in stage.entries(SIP_OFF)} <= {State.queued, State.attaching}
    pause = until(lambda: stage.pause(SIP_OFF), "a pause")
    assert pause is not None
    assert "SIP_NOT_ENABLED" in pause["reason"]
    stage.sandbox(SIP_OFF).change(sip_enabled=True)
    stage.ends(SIP_OFF, attached="ab")


def test_after_a_pause_one_probe_then_one_batch_then_all(stage: Stage) -> None:
    stage.enqueue(HALF_OPEN, "ab")
    until(lambda: stage.pause(HALF_OPEN), "a pause")
    stage.enqueue(HALF_OPEN, "cdefgh")
    stage.ends(HALF_OPEN, attached="abcdefgh")
    refused, alone, *others = stage.log(HALF_OPEN)
    assert (refused["status"], stage.calls(HALF_OPEN, "me"), len(others)) == (401, 1, 3)
    assert min(each["monotonic"] for each in others) >= alone["monotonic"] + 0.2


def test_the_batch_after_the_probe_is_not_the_one_that_failed(stage: Stage) -> None:
    stage.ends(IN_TURN, attached="abcd")
    assert stage.sent(IN_TURN) == ["ab", "cd", "ab"]


def test_a_key_that_may_not_read_back_sends_what_is_in_doubt_again(stage: Stage) -> None:
    stage.ends(MAY_NOT_READ, attached="a")
    assert stage.sent(MAY_NOT_READ) == ["a", "a"]
    assert stage.pause(MAY_NOT_READ) is None


def test_a_403_that_names_no_account_and_a_key_that_is_fine_split_the_batch(stage: Stage) -> None:
    stage.ends(BARE_403, attached="a", dead="b")
    assert stage.sent(BARE_403) == ["ab", "ab", "a", "b"]
    assert stage.calls(BARE_403, "me") == 1
    assert stage.entry(BARE_403, "b").dead_code == "poison"


def test_a_bill_that_is_not_paid_is_the_accounts_trouble_however_fine_its_key(stage: Stage) -> None:
    stage.ends(PAYMENT, attached="ab")
    assert stage.sent(PAYMENT) == ["ab"] * 4


# A refused batch: split until the culprit stands alone


SPLIT = {
    status: scene({"status": status}, {"status": 200}, {"status": status}, count=2) for status in (400, 404, 413, 422)
}
POISON_OF_100 = scene(count=100, enqueued="")
LONE_422 = scene({"status": 422})
REFUSED_ALIKE = scene(*[error(422, "BAD_ENDPOINT", "No route to the endpoint")] * 3, count=4, batch={"max_size": 1})
REFUSED_AFTER_A_SUCCESS = scene({"status": 200}, *[{"status": 422}] * 3, count=4, batch={"max_size": 1})


@pytest.mark.parametrize("status", SPLIT)
def test_of_a_batch_refused_whole_only_the_culprit_is_dead(stage: Stage, status: int) -> None:
    stage.ends(SPLIT[status], attached="a", dead="b")
    assert stage.sent(SPLIT[status]) == ["ab", "a", "b"]
    assert stage.entry(SPLIT[status], "b").dead_code == "poison"


def test_one_poison_number_in_a_hundred_ends_dead_alone_within_16_calls(stage: Stage) -> None:
    poisonous = POISON_OF_100.numbers[57]
    stage.sandbox(POISON_OF_100).change(poison=[poisonous])
    stage.enqueue(POISON_OF_100)
    dead = [each for each in stage.have_ended(POISON_OF_100) if each.state is State.dead]
    assert [each.number for each in dead] == [poisonous]
    assert (dead[0].dead_code, dead[0].attempts) == ("poison", 1)
    assert stage.calls(POISON_OF_100, "attach") <= 16
    assert stage.sandbox(POISON_OF_100).stats()["sent_again_after_success"] == 0


def test_a_number_refused_alone_is_rejected_by_the_api(stage: Stage) -> None:
    stage.ends(LONE_422, dead="a")
    assert stage.entry(LONE_422).dead_code == "rejected_by_api"
    assert stage.sent(LONE_422) == ["a"]


def test_three_lone_numbers_refused_alike_pause_the_profile_until_it_is_resumed(stage: Stage) -> None:
    def pause() -> Any:
        profiles = stage.trunkline("status", "--json").json["profiles"]
        return next(each["paused"] for each in profiles if each["profile"] == REFUSED_ALIKE.name)

    paused = until(pause, "a paused profile")
    assert paused["by"] == "api"
    assert "No route to the endpoint" in paused["reason"]
    assert [each.state for each in stage.entries(REFUSED_ALIKE)] == [State.queued] * 4
    assert stage.sent(REFUSED_ALIKE) == ["a", "b", "c"]
    assert stage.trunkline("resume", "--profile", REFUSED_ALIKE.name).code == 0
    stage.ends(REFUSED_ALIKE, attached="abcd")


def test_numbers_refused_alike_after_a_success_are_dead_and_pause_nothing(stage: Stage) -> None:
    stage.ends(REFUSED_AFTER_A_SUCCESS, attached="a", dead="bcd")


# "already": perhaps fine


ALREADY = failing(
    failed(a="already configured"), failed(b="the number exists"), failed(c="DUPLICATE"),
    count=3, already="abc", batch={"max_size": 1},
)  # fmt: skip
ALREADY_A_409 = scene(error(409, "CONFLICT", "already attached"), already="a")
DRIFTED = failing(
    failed(a="already configured"), count=1, already="a", endpoint_before="sip:old.example",
    directions=[{"type": "inbound", "sip_endpoint": "sip:new.example"}],
)  # fmt: skip


def test_already_with_the_same_configuration_is_success_by_read_back(stage: Stage) -> None:
    stage.ends(ALREADY, attached="abc")
    assert stage.sent(ALREADY) == ["a", "b", "c"]
    assert stage.read_backs(ALREADY) == 3


def test_a_409_is_read_back(stage: Stage) -> None:
    stage.ends(ALREADY_A_409, attached="a")
    assert stage.sent(ALREADY_A_409) == ["a"]


def test_already_with_another_configuration_is_drift_and_sent_again(stage: Stage) -> None:
    stage.ends(DRIFTED, attached="a")
    assert stage.sent(DRIFTED) == ["a", "a"]


# Permanent: dead at once


PERMANENT = failing(
    failed(
        a="not owned by you", b="belongs to someone", c="taken by another org", d="purchased from Bland",
        e="invalid phone number", f="blacklisted", g="NUMBER_NOT_OWNED",
    ),
    count=8,
)  # fmt: skip
PERMANENT_UNDER_429 = scene(
    script=lambda n: [
        {
            "status": 429,
            "body": {
                "data": {"configured": [], "failed": [{"phone_number": n[0], "reason": "not owned"}]},
                "errors": [{"error": "RATE_LIMIT", "message": "Too many requests"}],
            },
        }
    ],
    count=2,
)


def test_a_permanent_refusal_is_dead_at_once_with_the_apis_own_words(stage: Stage) -> None:
    stage.ends(PERMANENT, attached="h", dead="abcdefg")
    assert stage.sent(PERMANENT) == ["abcdefgh"]
    letters = {PERMANENT.word([each["number"]]): each for each in _dead_letters(stage, PERMANENT)}
    assert {each["code"] for each in letters.values()} == {"rejected_by_api"}
    assert {each["attempts"] for each in letters.values()} == {1}
    assert "belongs to someone" in letters["b"]["answer"]


def test_a_permanent_refusal_counts_even_under_a_429(stage: Stage) -> None:
    stage.ends(PERMANENT_UNDER_429, attached="b", dead="a")
    assert stage.entry(PERMANENT_UNDER_429).dead_code == "rejected_by_api"


def _dead_letters(stage: Stage, scene: Scene) -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = stage.trunkline("dead", "list", "--profile", scene.name, "--json").json
    return letters


# Anything else: a bounded number of tries, never success


STRANGE = failing(*[failed(a="The moon is in the wrong house")] * 3, count=2, retry={"max_attempts": 3})
STRANGE_STATUS = {
    status: scene(*[{"status": status, "body": "?"}] * 2, retry={"max_attempts": 2}) for status in (302, 418)
}
STRANGE_SUCCESS = scene(*[{"body": {"ok": True}}] * 2, retry={"max_attempts": 2, "verify": "never"})


def test_a_reason_nobody_knows_is_tried_a_bounded_number_of_times_without_the_companions(stage: Stage) -> None:
    stage.ends(STRANGE, attached="b", dead="a")
    assert stage.sent(STRANGE) == ["ab", "a", "a"]
    assert (stage.entry(STRANGE).dead_code, stage.entry(STRANGE).attempts) == ("attempts_exhausted", 3)


@pytest.mark.parametrize("status", STRANGE_STATUS)
def test_a_status_nobody_knows_is_tried_a_bounded_number_of_times(stage: Stage, status: int) -> None:
    stage.ends(STRANGE_STATUS[status], dead="a")
    assert stage.sent(STRANGE_STATUS[status]) == ["a", "a"]


def test_a_success_that_names_nobody_is_no_success(stage: Stage) -> None:
    stage.ends(STRANGE_SUCCESS, dead="a")
    assert stage.entry(STRANGE_SUCCESS).dead_code == "attempts_exhausted"


# `failed` in five shapes


SHAPES = {
    shape: failing(failed(c="TEMPORARY"), count=5, rules={"failed_shape": shape})
    for shape in ("object", "string", "number_error", "nested", "list")
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_failed_number_is_tried_again_alone_whatever_shape_says_so(stage: Stage, shape: str) -> None:
    stage.ends(SHAPES[shape], attached="abcde")
    assert stage.sent(SHAPES[shape]) == ["abcde", "c"]


# Numbers that are attached already, and when the API is read back


AGAIN = scene()
LOST_MEANWHILE = scene()
VERIFY_ALWAYS = scene(count=2, already="a", retry={"verify": "always"})
VERIFY_NEVER = scene({"fault": "cut_after"}, retry={"verify": "never"})
LOGIN = {"username": "pbx", "password": {"env": "SIP_PASSWORD"}}
REGISTER = [{"type": "inbound", "auth_mode": "register", "register_auth": LOGIN}]
REGISTERS = scene(directions=REGISTER)
REGISTERS_UNHEARD = scene({"fault": "cut_after"}, directions=REGISTER)


def test_an_attached_number_that_comes_again_is_read_back_and_only_sent_if_forced(stage: Stage) -> None:
    stage.ends(AGAIN, attached="a")
    assert stage.read_backs(AGAIN) == 0
    stage.enqueue(AGAIN)
    until(lambda: stage.read_backs(AGAIN) == 1, "a read-back")
    stage.ends(AGAIN, attached="a")
    assert stage.sent(AGAIN) == ["a"]
    forced = stage.trunkline("enqueue", "--force", "--profile", AGAIN.name, AGAIN.numbers[0])
    assert forced.code == 0
    until(lambda: stage.sent(AGAIN) == ["a", "a"], "a second call")
    stage.ends(AGAIN, attached="a")


def test_an_attached_number_that_the_api_has_no_more_is_sent_again_when_it_comes_again(stage: Stage) -> None:
    stage.ends(LOST_MEANWHILE, attached="a")
    stage.sandbox(LOST_MEANWHILE).forget(*LOST_MEANWHILE.numbers)
    stage.enqueue(LOST_MEANWHILE)
    until(lambda: stage.sent(LOST_MEANWHILE) == ["a", "a"], "a second call")
    stage.ends(LOST_MEANWHILE, attached="a")


def test_verify_always_reads_back_before_the_first_call_too(stage: Stage) -> None:
    stage.ends(VERIFY_ALWAYS, attached="ab")
    assert stage.sent(VERIFY_ALWAYS) == ["b"]
    assert stage.read_backs(VERIFY_ALWAYS) == 2


def test_verify_never_sends_again_without_a_read_back(stage: Stage) -> None:
    stage.ends(VERIFY_NEVER, attached="a")
    assert stage.sent(VERIFY_NEVER) == ["a", "a"]
    assert stage.read_backs(VERIFY_NEVER) == 0


def test_the_register_password_is_kept_sealed_and_printed_on_request(stage: Stage) -> None:
    stage.ends(REGISTERS, attached="a")
    told = stage.trunkline("profile", "secret", REGISTERS.name)
    assert (told.code, told.out[:4]) == (0, "pbx-")
    password = told.out.strip().encode()
    kept = [file.read_bytes() for file in Path(stage.folder).rglob("*.aof")]
    assert kept
    assert not any(password in each for each in kept)
    every = stage.trunkline("profile", "secret", REGISTERS.name, "--all")
    assert f"1 number: {REGISTERS.numbers[0]}" in every.out


def test_a_register_password_in_a_lost_answer_is_said_to_be_lost(stage: Stage) -> None:
    stage.ends(REGISTERS_UNHEARD, attached="a")
    told = stage.trunkline("profile", "secret", REGISTERS_UNHEARD.name)
    if told.code == 0:  # what it registers with can't be read back, so it was sent again, and this time heard
        assert stage.sent(REGISTERS_UNHEARD) == ["a", "a"]
    else:
        assert "was lost" in told.err


# At the end, since it restarts the worker


CHANGED = scene()
UNCHANGED = scene()


def test_a_changed_profile_is_sent_again_and_an_unchanged_one_is_not(stage: Stage) -> None:
    for each in (CHANGED, UNCHANGED):
        stage.ends(each, attached="a")
    with stage.restarted(scene, {CHANGED.name: [{"type": "inbound", "sip_endpoint": "sip:new.example"}]}):
        for each in (CHANGED, UNCHANGED):
            stage.enqueue(each)
        until(lambda: stage.sent(CHANGED) == ["a", "a"], "a second call")
        until(lambda: stage.read_backs(UNCHANGED) == 1, "a read-back")
        for each in (CHANGED, UNCHANGED):
            stage.ends(each, attached="a")
        assert stage.sent(UNCHANGED) == ["a"]
    assert json.loads(stage.trunkline("status", "--json").out)["balanced"] is True
