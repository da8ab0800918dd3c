"""What an attach call can mean: one outcome for each number sent, or a verdict on the whole call."""

from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from trunkline.lifecycle import DeadCode


@dataclass(frozen=True, slots=True)
class Attached:
    """The API says that the number is configured."""

    number: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The number is not attached; what stood in the way may pass.

    `code` is ours and short (`http_503`, `not_sent`, `api_failed`); `api_code` is the API's, if it gave one; `raw`
    holds the API's own words, at most 500 characters, secrets scrubbed; `retry_after_s` is what the API asked for.
    """

    number: str
    code: str
    message: str
    api_code: str | None = None
    raw: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verify:
    """Nobody knows whether the number is attached: read it back before it is sent again. Fields as in Retry."""

    number: str
    code: str
    message: str
    api_code: str | None = None
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Dead:
    """The API refuses this number for good; `code` says how we know, the rest is as in Retry."""

    number: str
    code: DeadCode
    api_code: str | None
    message: str
    raw: str = ""


Outcome = Attached | Retry | Verify | Dead


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Exactly one outcome for every number sent, by the number as it was sent.

    `alike`: the status with the words less their digits, where every number was told the same reason and none was
    configured; equal for calls that are alike, else empty.
    """

    by_number: dict[str, Outcome]
    alike: str = ""


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The call failed as a whole and nothing was said about a number, so it costs no number an attempt.

    `by_number`: for every number sent a Retry (the call was certainly not processed) or a Verify (it may have been).
    `retry_after_s`: seconds the API asked to wait.
    """

    by_number: dict[str, Retry | Verify]
    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class AccountFailed:
    """The account is in trouble, not the numbers: pause it and count no attempt.

    `reason` reads like `401 AUTH_FAILURE: bad key`. `explicit` is False where only a bare status says so (a 403 without
    a word on the account), which may yet be about the numbers. `retry_after_s`: seconds the API asked to wait.
    """

    kind: Literal["auth", "forbidden", "rate", "unreachable"]
    reason: str
    retry_after_s: float | None
    explicit: bool


@dataclass(frozen=True, slots=True)
class SplitBatch:
    """The call was refused as a whole and one number may be the culprit; a lone number sent is the culprit.

    `signature` is the status with the API's words less their digits: equal for refusals that are alike.
    """

    code: str
    message: str
    api_code: str | None
    raw: str
    signature: str


Verdict = Outcomes | CallFailed | AccountFailed | SplitBatch


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of an attach call. `register_password` is the derived `register_password_for_pbx`, a secret."""

    verdict: Verdict
    register_password: SecretStr | None = None
