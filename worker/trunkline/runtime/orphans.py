"""Detection of a parent process that is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

SUPERVISOR_PID: Final = "TRUNKLINE_SUPERVISOR_PID"  # the environment variable that the supervisor sets for its children


def orphan_check(env: Mapping[str, str]) -> Callable[[], bool]:
    """Return a check that is True once the process that started this one is gone, however it ended.

    `env` names that process under SUPERVISOR_PID, so that a supervisor which ended before this call is noticed as well;
    without the variable it is the present parent.
    """
    parent = env.get(SUPERVISOR_PID) or str(os.getppid())
    return lambda: str(os.getppid()) != parent
