"""What the sandbox shall do on the next calls, said exactly: a queue of steps for each endpoint."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from trunkline.sandbox.rules import RulesError, Seconds, told

Endpoint = Literal["attach", "update", "detach", "number", "numbers", "me"]
Fault = Literal["cut_before", "cut_after", "cut_midway", "hang_before", "hang_after"]

_HEADER = Annotated[str, Field(pattern=r"^[^\r\n]*$")]


class Step(BaseModel):
    """What happens on one call.

    `status` 200 without a `body` is the documented behaviour, free of random faults of the call. Any other status,
    or a `body` (a string is sent as it is, anything else as JSON), is the answer, and the numbers are attached only
    with `commit`. `fault`: `cut_before` and `cut_after` close the connection without an answer before or after the
    numbers are attached, `cut_midway` in the middle of the answer; `hang_before` attaches nothing, is silent for
    `seconds` and then cuts; `hang_after` attaches, is silent for `seconds` and then answers. `failed` names numbers
    that fail on this call, with the reason; `omitted` names numbers that are attached and not mentioned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    on: Endpoint = "attach"
    status: int = Field(default=200, ge=200, le=599)
    headers: dict[_HEADER, _HEADER] = Field(default_factory=dict)
    body: Any = None
    commit: bool = False
    fault: Fault | None = None
    seconds: Seconds = 60.0
    failed: dict[str, str] = Field(default_factory=dict)
    omitted: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.fault is not None and self.answers:
            raise ValueError("a step has a fault or an answer (status, body), not both")
        if self.commit and not self.answers:
            raise ValueError("commit belongs to an answer (status, body); without one the rules decide")
        if self.on != "attach" and (self.commit or self.failed or self.omitted):
            raise ValueError("commit, failed and omitted are for attach")
        return self

    @property
    def answers(self) -> bool:
        """Whether the step is the answer itself, in place of the documented behaviour."""
        return self.status != 200 or "body" in self.model_fields_set


_STEPS = TypeAdapter(list[Step])


def read_steps(raw: Sequence[Mapping[str, Any]] | object) -> list[Step]:
    """The steps of a JSON list; raises RulesError with every mistake in it."""
    try:
        return _STEPS.validate_python(raw)
    except ValidationError as error:
        raise RulesError(told(error, known=Step.model_fields)) from error


class Script:
    """The steps still to come. Each call takes one from its endpoint's queue; an empty queue leaves it to the rules."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self._queues: dict[str, deque[Step]] = {}
        for step in steps:
            self._queues.setdefault(step.on, deque()).append(step)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def next(self, endpoint: str) -> Step | None:
        """The step for a call that has just arrived."""
        queue = self._queues.get(endpoint)
        return queue.popleft() if queue else None
