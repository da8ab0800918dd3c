"""Turns any answer to an attach call into one outcome for each number sent, or into a verdict on the whole call."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from pydantic import SecretStr

from trunkline.bland.attach.envelope import Envelope, Json, Problem, dump, read_envelope
from trunkline.bland.attach.number_matching import Sent, configured_numbers, failures, failures_by_error
from trunkline.bland.attach.outcomes import (
    AccountFailed,
    Answer,
    Attached,
    CallFailed,
    Dead,
    Outcome,
    Outcomes,
    Retry,
    SplitBatch,
    Verdict,
    Verify,
)
from trunkline.bland.attach.wording import account_kind, is_about_a_number, likeness, trouble_of_number
from trunkline.http.retry_after import retry_after
from trunkline.lifecycle import DeadCode
from trunkline.redaction import clip, make_scrubber

Scrub = Callable[[str], str]

_PASSING: Final = frozenset({408, 425, 502, 503, 504})
_REFUSED_WHOLE: Final = frozenset({400, 404, 413, 422})
_SENTENCE: Final = 300  # characters of a message


def read_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    sent: Sequence[str],
    *,
    scrub: Scrub,
    now: datetime,
) -> Answer:
    """Reads the answer to an attach call for the numbers `sent`. Any input is answered; nothing is raised.

    `now` is aware and only for a Retry-After that is a date. What is kept of the API's words has gone through `scrub`,
    and so has the register password of this very answer. https://docs.bland.ai/api-v1/post/sip-attach
    """
    envelope = read_envelope(body)
    password = envelope.register_password
    if envelope.passwords:
        outer, own = scrub, make_scrubber(envelope.passwords)
        scrub = lambda text: outer(own(text))  # noqa: E731 - the same thing, made stricter
    reading = _Reading(status, envelope, Sent(sent), scrub, retry_after(headers, now))
    return Answer(reading.verdict(), SecretStr(password) if password else None)


def no_answer(code: str, message: str, sent: Sequence[str]) -> CallFailed:
    """What a call comes to that left and was not answered: nobody knows whether it was processed."""
    return CallFailed({number: Verify(number, code, message) for number in sent}, message)


class _Failed:
    """What an answer says of the numbers that failed, by number: each problem with the item that tells of it."""

    def __init__(self) -> None:
        self.said: dict[str, list[tuple[Problem, Json]]] = {}

    def add(self, found: Iterable[tuple[str, Problem, Json]]) -> None:
        """Note problems of numbers, beside what is known of these already."""
        for number, problem, item in found:
            self.said.setdefault(number, []).append((problem, item))

    def problem(self, number: str) -> Problem:
        """All that is said of a number, as one problem."""
        return _joined([problem for problem, _ in self.said[number]])

    def problems(self) -> dict[str, Problem]:
        """The same of every number that failed."""
        return {number: self.problem(number) for number in self.said}

    def items(self, number: str) -> str:
        """The API's own words on a number."""
        return " ".join(dump(item) for _, item in self.said[number])


class _Reading:
    """One answer, being read."""

    __slots__ = ("_envelope", "_raw", "_retry_after_s", "_scrub", "_sent", "_status")

    def __init__(self, status: int, envelope: Envelope, sent: Sent, scrub: Scrub, retry_after_s: float | None) -> None:
        self._status = status
        self._envelope = envelope
        self._sent = sent
        self._scrub = scrub
        self._retry_after_s = retry_after_s
        self._raw: str | None = None

    def verdict(self) -> Verdict:
        return self._by_number() or self._whole()

    # What the lists say

    def _by_number(self) -> Verdict | None:
        """One outcome a number from the two lists; None where they name nobody, or nothing but the status counts."""
        envelope = self._envelope
        configured = configured_numbers(envelope.configured or (), self._sent)
        failed = _Failed()
        failed.add(failures(envelope.failed or (), self._sent))
        if not failed.said and not configured:
            return None
        blamed, others = failures_by_error(envelope.errors, self._sent)
        failed.add(blamed)
        problems = failed.problems()
        if not configured:
            verdict = self._all_refused(problems)
            if verdict is not None:
                return verdict
        is_failure = bool(others) or envelope.refused or not self._succeeded()
        if not failed.said and is_failure:
            return self._contradicted()
        outcomes = {number: self._outcome_of(number, number in configured, failed) for number in self._sent.exact}
        if configured:
            return Outcomes(outcomes)
        return Outcomes(outcomes, self._alike(problems))

    def _outcome_of(self, number: str, is_configured: bool, failed: _Failed) -> Outcome:
        if number in failed.said:
            raw = self._clip(failed.items(number))
            return self._failed(number, failed.problem(number), raw, contradicted=is_configured)
        if is_configured:
            return Attached(number)
        return self._not_mentioned(number)

    def _alike(self, problems: Mapping[str, Problem]) -> str:
        if len(problems) < len(self._sent.exact):
            return ""
        found = {likeness(problem, self._sent.exact) for problem in problems.values()}
        words = found.pop()
        if found or not words:
            return ""
        return self._signature(words)

    def _all_refused(self, problems: Mapping[str, Problem]) -> Verdict | None:
        """The whole call's verdict where nothing was configured and what is said is not about single numbers."""
        troubles = {number: trouble_of_number(problem) for number, problem in problems.items()}
        kinds = set(troubles.values())
        if kinds == {"account"} and len(problems) == len(self._sent.exact):
            problem = next(iter(problems.values()))
            return self._account_failed(account_kind(problem) or "forbidden", explicit=True, problem=problem)
        if self._succeeded() or kinds & {"permanent", "already"}:
            return None
        if self._status in (401, 402, 403, 429) or not any(problem.words for problem in problems.values()):
            return self._whole()
        return None

    def _failed(self, number: str, problem: Problem, raw: str, *, contradicted: bool) -> Outcome:
        message = self._sentence(problem) or self._sentence(self._envelope.problem) or "the API gave no reason"
        api_code = self._api_code(problem)
        if contradicted:
            return Verify(number, "contradiction", f"both configured and failed: {message}", api_code, raw)
        match trouble_of_number(problem):
            case "permanent":
                return Dead(number, DeadCode.rejected_by_api, api_code, message, raw)
            case "already":
                return Verify(number, "already", message, api_code, raw)
            case "passing":
                return Retry(number, "api_passing", message, api_code, raw, self._retry_after_s)
            case "account":
                return Retry(number, "api_account", message, api_code, raw, self._retry_after_s)
            case "other":
                return Retry(number, "api_failed", message, api_code, raw, self._retry_after_s)

    def _contradicted(self) -> Outcomes:
        """A call that is a failure as a whole, though it names nobody who failed: of no number it is known."""
        message = f"the call is said to have failed and to have configured: {self._said()}"
        told = self._api_code(), self._whole_raw()
        return Outcomes({number: Verify(number, "contradiction", message, *told) for number in self._sent.exact})

    def _not_mentioned(self, number: str) -> Verify:
        return Verify(number, "not_mentioned", "the answer does not mention the number", None, self._whole_raw())

    # What the status and the errors say

    def _whole(self) -> Verdict:
        status, problem = self._status, self._envelope.problem
        about_a_number = is_about_a_number(problem)
        kind = account_kind(Problem(codes=problem.codes) if about_a_number else problem)
        if kind is not None or status == 401:
            return self._account_failed(kind or "auth", explicit=True)
        if status in (403, 429) and about_a_number:
            return self._split()
        if status == 429:
            return self._account_failed("rate", explicit=False)
        if status in (402, 403):
            return self._account_failed("forbidden", explicit=False)
        if status in _REFUSED_WHOLE:
            return self._refused_whole()
        return self._for_all()

    def _refused_whole(self) -> Verdict:
        """A lone number's refusal may be read like a reason given for it; of several one may be the culprit."""
        if self._sent.lone is None:
            return self._split()
        match trouble_of_number(self._envelope.problem):
            case "already":
                return self._verify_all(f"http_{self._status}")
            case "passing":
                return self._retry_all()
        return self._split()

    def _for_all(self) -> Verdict:
        status = self._status
        if status in _PASSING:
            return self._unless_told(self._retry_all())
        if self._succeeded():
            return self._success_for_nobody()
        if status == 409:
            return self._verify_all("http_409")
        if 500 <= status <= 599:
            return self._unless_told(self._verify_all(f"http_{status}"))
        if 300 <= status <= 499:
            return self._refused_softly()
        return self._verify_all("not_understood")

    def _refused_softly(self) -> Verdict:
        """A status that tells neither of the account nor of the request: the words decide."""
        if trouble_of_number(self._envelope.problem) == "already":
            return self._verify_all(f"http_{self._status}")
        return self._retry_all()

    def _success_for_nobody(self) -> Verdict:
        envelope = self._envelope
        if not envelope.readable:  # a page that a gateway put in its place
            return self._unless_told(self._verify_all("not_understood"))
        if envelope.configured is not None or envelope.failed is not None:
            return self._verify_all("not_mentioned")
        return self._verify_all("not_understood")

    def _unless_told(self, outcomes: Outcomes) -> Verdict:
        """The outcomes where the answer speaks of a number; else the call failed, and no number is to blame."""
        if is_about_a_number(self._envelope.problem):
            return outcomes
        untold = {number: each for number, each in outcomes.by_number.items() if isinstance(each, Retry | Verify)}
        return CallFailed(untold, self._said(), self._retry_after_s)

    def _retry_all(self) -> Outcomes:
        code, message, api_code, raw = f"http_{self._status}", self._said(), self._api_code(), self._whole_raw()
        return Outcomes({n: Retry(n, code, message, api_code, raw, self._retry_after_s) for n in self._sent.exact})

    def _verify_all(self, code: str) -> Outcomes:
        message, api_code, raw = self._said(), self._api_code(), self._whole_raw()
        return Outcomes({number: Verify(number, code, message, api_code, raw) for number in self._sent.exact})

    def _account_failed(
        self, kind: Literal["auth", "forbidden", "rate"], *, explicit: bool, problem: Problem | None = None
    ) -> AccountFailed:
        reason = f"{self._status} {self._sentence(problem or self._envelope.problem)}".strip()
        return AccountFailed(kind, reason, self._retry_after_s, explicit)

    def _split(self) -> SplitBatch:
        signature = self._signature(likeness(self._envelope.problem, self._sent.exact))
        return SplitBatch(f"http_{self._status}", self._said(), self._api_code(), self._whole_raw(), signature)

    def _signature(self, alike: str) -> str:
        return f"{self._status} {self._clip(alike, _SENTENCE)}".strip()

    # What is kept of its words

    def _succeeded(self) -> bool:
        return 200 <= self._status <= 299

    def _said(self) -> str:
        words = self._sentence(self._envelope.problem)
        if not words:
            return f"HTTP {self._status} without a word that is understood"
        return f"HTTP {self._status}: {words}"

    def _sentence(self, problem: Problem) -> str:
        return self._clip(problem.words, _SENTENCE)

    def _api_code(self, problem: Problem | None = None) -> str | None:
        code = (problem or self._envelope.problem).code
        return self._clip(code or "", 64) or None

    def _whole_raw(self) -> str:
        if self._raw is None:
            self._raw = self._clip(self._envelope.text)
        return self._raw

    def _clip(self, text: str, limit: int = 500) -> str:
        return clip(text, self._scrub, limit)


def _joined(problems: Sequence[Problem]) -> Problem:
    if len(problems) == 1:
        return problems[0]
    codes = dict.fromkeys(code for problem in problems for code in problem.codes)
    texts = dict.fromkeys(text for problem in problems for text in problem.texts)
    return Problem(tuple(codes), tuple(texts))
