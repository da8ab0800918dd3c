"""The sentences for everything that an audit may find and a repair may mend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

# The codes of judge.lua. `{0}`, `{1}` … are what a finding is about: of a number its profile and itself.
WRONG: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no_state": "{1} of {0} has no state that this program knows",
        "no_place": "{1} of {0} is queued and waits nowhere, so nobody would call it",
        "other_time": "{1} of {0} waits for another time than its entry says",
        "wrong_list": "{1} of {0} is queued and waits in a list where it does not belong",
        "many_places": "{1} of {0} is queued and waits in several places",
        "closed_place": "{1} of {0} is not queued, and a list has a place of it",
        "no_stale": "{1} of {0} is said to have a place in a list, and has none",
        "place_only": "{1} of {0} has a place in a list, and there is no such entry",
        "batch_only": "{1} of {0} is in a batch, and there is no such entry",
        "no_batch": "{1} of {0} is attaching, and no batch has it",
        "many_batches": "{1} of {0} is in several batches",
        "in_batch": "{1} of {0} is in a batch and not attaching",
        "twice": "{1} of {0} is in two calls of its account at once",
        "dead_missing": "{1} of {0} is dead and not among the dead letters",
        "dead_only": "{1} of {0} is among the dead letters and not dead",
        "no_claim": "{1} of {0} has an entry and no claim, so the order of events can't be kept",
        "claim_only": "{1} of {0} has a claim, and there is no such entry",
        "not_ended": "{1} of {0} has ended and is not in the log of ends",
        "lease_only": "the lease {0} has no batch",
        "no_lease": "the batch {0} has no lease, so nobody would take its numbers up",
        "batch_size": "the batch {0} has no numbers, or more than 100",
        "not_in_flight": "{1} of account {0} is in a batch and not in flight",
        "in_flight": "{1} of account {0} is in flight and in no batch, so nobody may call it",
        "run": "account {0} is said to have {2} batches under way, and has {1}",
        "not_due": "numbers of {0} wait, and it is not due",
        "due_idle": "{0} is due, and nothing of it may go",
        "due_late": "{0} is due later than its numbers",
        "account_not_due": "profiles of account {0} are due, and it is not",
        "account_idle": "account {0} is due, and nothing of it may go",
        "account_late": "account {0} is due later than its profiles",
        "book": "the books of {0} say {3:,} {1}, and there are {2:,}",
        "unbalanced": "the books of {0} do not balance: {1:,} accepted, {2:,} accounted for",
        "waiting": "{1:,} numbers are said to wait in all, and the profiles' books say {0:,}",
        "rejected_gone": "the rejection {0} is listed and not there",
        "rejected_lost": "the rejection {0} is there and not listed",
        "rejected_size": "the rejection {0} has another size than it says",
        "rejected_bytes": "{1:,} bytes of rejections are said to be kept, and there are {0:,}",
    }
)
# The rest can't be proved: who is right, or what the state was.
MENDED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no_place": "{1} of {0} waits again where its entry says",
        "other_time": "{1} of {0} waits for the time that its entry says",
        "wrong_list": "{1} of {0} was taken out of the list where it does not belong",
        "many_places": "{1} of {0} waits in one place",
        "closed_place": "{1} of {0} was taken out of the lists, as it is not queued",
        "no_stale": "{1} of {0} is not said to have a place any more",
        "place_only": "{1} of {0} was taken out of the lists, as there is no such entry",
        "batch_only": "{1} of {0} was taken out of its batch, as there is no such entry",
        "no_batch": "{1} of {0} is not attaching any more: it is in doubt, and read back before it is sent",
        "many_batches": "{1} of {0} is in the newest of its batches alone",
        "in_batch": "{1} of {0} was taken out of its batch",
        "dead_missing": "{1} of {0} is among the dead letters",
        "dead_only": "{1} of {0} is not among the dead letters any more",
        "no_claim": "{1} of {0} has a claim, as old as its entry",
        "claim_only": "{1} of {0} has no claim any more, as there is no such entry",
        "not_ended": "{1} of {0} is in the log of ends",
        "lease_only": "the lease {0} is gone",
        "no_lease": "the batch {0} has a lease that is over: its numbers are taken up",
        "batch_size": "the batch {0} without numbers is gone",
        "not_in_flight": "{1} of account {0} is in flight",
        "in_flight": "{1} of account {0} is not in flight any more",
        "run": "account {0} is said to have the batches under way that it has",
        "not_due": "{0} is due",
        "due_idle": "{0} is not due any more",
        "due_late": "{0} is due in time",
        "account_not_due": "account {0} is due",
        "account_idle": "account {0} is not due any more",
        "account_late": "account {0} is due in time",
        "book": "the books of {0} say of each state what was counted",
        "unbalanced": "the books of {0} balance: as many are said to be accepted as are accounted for",
        "waiting": "as many numbers are said to wait in all as the profiles' books say",
        "rejected_gone": "the rejection {0} is not listed any more",
        "rejected_lost": "the rejection {0} is listed",
        "rejected_size": "the rejection {0} says its size",
        "rejected_bytes": "as many bytes of rejections are said to be kept as there are",
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its code and what it is about."""

    code: str
    about: tuple[str | int, ...]

    def __str__(self) -> str:
        """A sentence."""
        return WRONG[self.code].format(*self.about)


@dataclass(frozen=True, slots=True)
class Audit:
    """Result of an audit. `undecided` are sentences on what moved all the while, or is too long to be looked through.

    `counted`: of each profile whose books differ, the books as they were and how many entries are in each state.
    """

    wrong: tuple[Finding, ...]
    undecided: tuple[str, ...] = ()
    counted: Mapping[str, tuple[str, Mapping[str, int]]] = field(default_factory=dict)
