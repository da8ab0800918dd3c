"""What can go wrong with a carrier's API, cut by what can be done about it.

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
    """A carrier's API did not give what was asked for. The text is a sentence without secrets."""


class CarrierRefused(CarrierError):
    """The carrier will not answer this request, today or tomorrow; `status` None: it could not even be sent."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class CarrierUnavailable(CarrierError):
    """No answer, or none now; `retry_after_s` is what the carrier asks for, None where it does not say."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CarrierUnreadable(CarrierError):
    """An answer that can't be understood, is too large, or leads round in a circle."""
