"""The error tree, and a mistake with its place."""

from dataclasses import dataclass


class TrunklineError(Exception):
    """The root of every error that is raised on purpose; what to catch is decided by what can be done about it.

    ::

        TrunklineError
        ├── InvalidEvent        the sender must change the event           .mistakes
        ├── NumberRefused       the sender must change the number          .reason
        ├── Unverified          the sender must sign the delivery          .reason
        ├── Unreadable          the sender must change the body
        ├── BadFile             the user must change the file
        ├── ConfigError         the operator must change the configuration .mistakes
        ├── SecretUnresolved    the operator must provide a secret
        ├── EmbeddedError       the embedded server could not be had
        ├── NotThere            the operator must name an account, a profile or a rejection that is there
        ├── WrongUse            the operator must ask in another way
        ├── SandboxTaken        a sandbox runs in the folder already
        ├── CarrierError        a carrier's API did not give what was asked for
        ├── NotSent             the API certainly did not process the request
        └── Unanswered          the API may have processed the request
    """


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong, and where: `profiles.support.directions[1].sip_endpoint`; an empty place is the whole."""

    place: str
    message: str

    def under(self, place: str) -> "Mistake":
        """The same mistake seen from one level further out."""
        if not self.place or not place:
            return Mistake(place or self.place, self.message)
        return Mistake(f"{place}{'' if self.place.startswith('[') else '.'}{self.place}", self.message)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class InvalidEvent(TrunklineError):
    """An event that can't be understood. `mistakes` holds all of them, each with its place in the event."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes
