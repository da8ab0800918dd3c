"""The error tree, and a mistake with its place."""

from dataclasses import dataclass


class TrunklineError(Exception):
    """The root of every error that is raised on purpose; what to catch is decided by what can be done about it.

    ::

        TrunklineError
        ├── InvalidEvent            the sender must change the event           .mistakes
        ├── NumberRefused           the sender must change the number          .reason .raw
        ├── EventRefused            the sender must change numbers of a dramatiq message
        ├── Unverified              the sender must sign the delivery          .reason
        ├── Unreadable              the sender must change the body
        ├── ExpressionFailed        an expression of the configuration does not fit a body
        ├── NotFetched              an order's numbers could not be had: the delivery comes again
        ├── BadFile                 the user must change the file
        ├── RowTooLong              the user must change the row
        ├── ConfigError             the operator must change the configuration .mistakes
        ├── SecretUnresolved        the operator must provide a secret
        ├── VaultLocked             the operator must provide the key of the register passwords
        ├── StoreUnavailable        the store is away: try again
        │   └── Overloaded          too much waits for the disk: try again
        ├── StoreError              the store answered, and refused
        │   ├── StoreUnfit          the operator must change the server's settings
        │   │   └── StoreNewer      this program must be upgraded
        │   ├── StillOld            a worker of an earlier release must be stopped
        │   └── RejectionsFull      the operator must make room; the sender tries again later
        ├── NotThere                the operator must name an account, a profile or a rejection that is there
        ├── WrongUse                the operator must ask in another way
        ├── EmbeddedError           the embedded server could not be had
        ├── SandboxTaken            a sandbox runs in the folder already
        ├── SandboxError            the stand-in API can't do what it was asked
        │   └── RulesError          its rules or its script must be changed    .mistakes
        ├── CarrierError            a carrier's API did not give what was asked for
        │   ├── CarrierRefused      it never will: the operator must change something .status
        │   ├── CarrierUnavailable  it may later                               .retry_after_s
        │   └── CarrierUnreadable   its answer can't be understood
        ├── BodyTooLarge            an API's answer is larger than is read
        ├── NotSent                 the API certainly did not process the request .code .message
        └── Unanswered              the API may have processed the request     .code .message
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
