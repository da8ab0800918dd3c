"""Errors of a carrier's API, by the remedy.

::

    TrunklineError
    └── CarrierError
        ├── CarrierRefused      the operator must change the key, the account or the address   .status
        ├── CarrierUnavailable  try again                                                        .retry_after_s
        └── CarrierUnreadable   the answer is not what the carrier's documentation says it is
"""

from __future__ import annotations

from trunkline.errors import TrunklineError


class CarrierError(TrunklineError):
    """A carrier's API did not answer as asked. The text is a sentence without secrets."""


class CarrierRefused(CarrierError):
    """The carrier refuses this request, and would tomorrow; `status` is None if it could not be sent."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class CarrierUnavailable(CarrierError):
    """No answer, or none yet; `retry_after_s` is the wait that the carrier asks for, None if it names none."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CarrierUnreadable(CarrierError):
    """An answer that can't be understood, is too large, or leads round in a circle."""
