"""How the stand-in behaves: the knobs of the sandbox, checked and frozen."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from trunkline.errors import TrunklineError

FailedShape = Literal["object", "string", "number_error", "nested", "list"]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class SandboxError(TrunklineError):
    """The sandbox can't do what it was asked; the sentence says why."""


class RulesError(SandboxError):
    """Rules or a script that make no sense. `mistakes` has a sentence for each, with its place in front."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(self.mistakes))


class SandboxRules(BaseModel):
    """What the sandbox does, by flag and by seed. Shares are of 0..1, times in seconds.

    Every random choice is drawn from the seed, the number and how often the number was sent before, so it
    doesn't depend on the timing of threads; one that concerns a whole call is drawn for the call's first number.
    Building one by hand raises pydantic's ValidationError; `from_mapping` raises RulesError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    api_key: str | None = Field(default="sandbox-key", min_length=1, repr=False)  # None: any key that isn't empty
    seed: int = 1
    latency_s: Seconds = 0.2
    # of the numbers
    fail_rate: Share = 0.05  # fails at this attempt; the next may succeed
    dead_rate: Share = 0.0  # fails always: "not owned"
    failed_shape: FailedShape = "object"
    malformed: Literal["failed", "refuse"] = "failed"  # a malformed number: among `failed`, or a 400 for the call
    partial_status: int = Field(default=200, ge=200, le=599)  # where some numbers failed
    # of the calls; together at most 1
    rate_429: Share = 0.0
    rate_500: Share = 0.0
    rate_500_after_commit: Share = 0.0
    rate_503: Share = 0.0
    rate_cut: Share = 0.0  # nothing done, the connection cut
    rate_cut_after: Share = 0.0  # all done, the connection cut
    rate_hang: Share = 0.0  # nothing done, silent for hang_s, then cut
    rate_hang_after: Share = 0.0  # all done, silent for hang_s, then answered
    hang_s: Seconds = 60.0
    burst_429: int = Field(default=1, ge=1)  # a 429 is followed by this many less one, whoever calls
    retry_after_s: int | None = Field(default=1, ge=0)  # in 429 and 503; None: no such header
    # a call that has one of these is refused whole
    poison: frozenset[str] = frozenset()
    poison_every: int = Field(default=0, ge=0)  # numbers whose digits this divides; 0: none
    echo_400: bool = False  # a 400 says the whole request again, key and passwords too
    # of the account
    sip_enabled: bool = True
    suspended: bool = False  # 403 for everything, in prose
    trunks: frozenset[str] | None = None  # those that it has; None: any
    unknown_trunk: Literal["failed", "refuse"] = "failed"  # another trunk: every number fails, or a 422 for the call
    unknown_trunk_says: str = "There is no such trunk."
    # what the documentation leaves open
    unknown_number: Literal["nulls", "404"] = "nulls"  # GET /v1/sip of a number never seen
    pbx_login: Literal["derived", "fresh"] = "derived"  # register_password_for_pbx: the same for a login, or always new

    @model_validator(mode="after")
    def _rates_leave_room(self) -> Self:
        if sum(share for _, share in self.call_faults()) > 1 + 1e-9:
            raise ValueError("the rates of the calls (rate_...) add up to more than 1")
        return self

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """The rules that a mapping of field names describes; raises RulesError with every mistake in it."""
        try:
            return cls.model_validate(dict(raw))
        except ValidationError as error:
            raise RulesError(told(error, known=cls.model_fields)) from error

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """These rules with some fields replaced; raises RulesError."""
        return self.from_mapping({**self.model_dump(), **changes})

    def as_json(self) -> dict[str, Any]:
        """Every field but the key."""
        return self.model_dump(mode="json", exclude={"api_key"})

    def call_faults(self) -> tuple[tuple[str, float], ...]:
        """The faults that befall a whole call, each with its share of the calls."""
        return (
            ("http_429", self.rate_429),
            ("http_500", self.rate_500),
            ("http_500_after", self.rate_500_after_commit),
            ("http_503", self.rate_503),
            ("cut_before", self.rate_cut),
            ("cut_after", self.rate_cut_after),
            ("hang_before", self.rate_hang),
            ("hang_after", self.rate_hang_after),
        )

    def poisonous(self, number: str) -> bool:
        """Whether a call with this number is refused whole."""
        if number in self.poison:
            return True
        digits = number.lstrip("+")
        return self.poison_every > 0 and digits.isdecimal() and int(digits) % self.poison_every == 0


def told(error: ValidationError, *, known: Iterable[str]) -> list[str]:
    """pydantic's errors as sentences with their place in front, never with the value that was given."""
    names = list(known)
    return [_sentence(each, names) for each in error.errors(include_url=False, include_input=False)]


def _sentence(detail: ErrorDetails, known: list[str]) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] != "extra_forbidden":
        return f"{place}: {detail['msg']}" if place else detail["msg"].removeprefix("Value error, ")
    near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
    return f"{place}: there is no such field" + (f"; did you mean {near[0]}?" if near else "")
