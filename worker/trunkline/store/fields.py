"""The alphabet of the store: what each field and value is called in the source, and the letters it has on disk.

Entries are many, so their fields are short on disk. Python says `EntryField.state`, a script says `E.state`; the loader
puts the letters in its place, so the server gets the same bytes as ever. Changing a letter is a change of schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from trunkline.lifecycle import State


class EntryField(StrEnum):
    """Fields of `entry:P:N`, one number under one profile. Times are milliseconds of the store's clock."""

    state = "s"  # a StateLetter
    queued_at = "q"
    updated_at = "u"
    next_at = "n"  # when it may go again; it is in `retry` if and only if it has this
    held = "h"  # waits until another batch is done with the number
    attempts = "k"  # attempts spent
    attempts_needed = "j"  # attempts that it took to attach
    crashes = "c"  # workers in a row that ended while they had it
    event_ids = "e"  # the last 16, a line each
    source = "o"
    metadata = "m"  # JSON
    verify = "v"  # a VerifyLetter: what has to be read back before it is sent
    sent_at = "t"  # when the request left that is in doubt
    known_absent = "b"  # the API did not have the number before that request
    met_403 = "y"  # a bare 403 met it
    forced = "f"  # send it, whatever a read-back says
    again = "g"  # an event came during the call: 1, or AgainLetter.forced
    attached_under = "p"  # fingerprint of the configuration it was attached with
    leased_under = "l"  # fingerprint of the configuration it was last sent with
    failed_whole_at = "tr"  # when its call last failed as a whole
    unread = "ur"  # read-backs in a row that did not work
    contended = "x"  # another profile sends a direction of it too, so a read-back proves nothing
    stale_place = "z"  # a place of it is still in `ready` or `split`, to be skipped
    wish = "w"  # superseded or dropped, as soon as its call is settled
    superseded_in = "ss"  # the state it was in when it was superseded
    error_code = "ec"
    api_code = "ea"
    message = "em"
    answer = "er"
    dead_code = "dc"
    dead_at = "da"


class StateLetter(StrEnum):
    """Values of EntryField.state, wish and superseded_in."""

    queued = "q"
    attaching = "f"
    attached = "a"
    dead = "d"
    superseded = "s"
    dropped = "x"


class VerifyLetter(StrEnum):
    """Values of EntryField.verify."""

    in_doubt = "d"  # its last request may have arrived
    check = "c"  # it is attached, and is to be looked at


class AgainLetter(StrEnum):
    """Values of EntryField.again, beside 1."""

    forced = "f"


class PolicyField(StrEnum):
    """Fields of `policy:P`."""

    account = "a"
    batch_size = "s"
    max_wait = "w"  # ms
    fingerprint = "fp"
    directions = "d"  # "i", "o" or "io"
    trunk = "tr"  # bound to a trunk
    configuration = "dg"  # digest of the configuration that it is of
    gone = "gone"  # written under schema 1
    moved_at = "mv"  # when directions or account last changed
    paused = "op"  # an operator's pause: its reason
    paused_at = "opt"
    refused = "au"  # the automatic pause: its reason
    refused_at = "aut"
    succeeded_under = "ok"  # fingerprint under which a number was attached
    last_attached = "ca"  # the number that was attached last
    alike_under = "rf"  # numbers were refused alike: under this fingerprint …
    alike_signature = "rs"  # … with these words
    canary = "cw"  # an attached number that is sent again, to see whether the profile or the numbers are to blame


class AccountField(StrEnum):
    """Fields of `account:A`. The breaker stops calls while the API is in trouble, a pause while an operator says so."""

    max_calls = "cap"
    interval = "iv"  # ms between requests
    calls = "run"  # batches under way
    next_slot = "tat"  # of the rate (GCRA: theoretical arrival time)
    paused = "op"  # an operator's pause: its reason
    paused_at = "opt"
    open_until = "gu"  # the breaker is open until then
    open_reason = "gr"
    open_since = "gt"
    trips = "gn"  # how often in a row the breaker opened
    probe_lease = "pl"  # until when somebody probes
    slot = "slot"  # of the probe's request
    half_open = "half"  # the breaker lets one batch through
    failures = "fw"  # calls in a row that failed as a whole
    healthy_at = "hk"  # when the call was sent that was answered last
    moved_at = "mv"  # when a profile last came, went, or changed its directions


class BatchField(StrEnum):
    """Fields of `batch:ID`."""

    profile = "p"
    account = "a"
    fingerprint = "fp"
    numbers = "n"  # a line each
    kind = "k"  # a KindLetter
    slot = "slot"  # of its next request
    sent_at = "sent"
    worker = "w"
    directions = "d"
    lease = "le"  # ms
    claimed_at = "at"
    absent = "b"  # numbers that the API did not have before the request, a line each


class KindLetter(StrEnum):
    """Values of BatchField.kind: the list that its numbers came from."""

    from_ready = "r"
    from_split = "s"


class RejectionField(StrEnum):
    """Fields of `rejected:ID`."""

    source = "s"
    code = "c"
    message = "m"
    request = "r"  # JSON: method, URL, headers
    body = "b"  # a character a byte
    body_length = "y"  # as it came
    size = "z"  # bytes of all that is kept
    first_at = "f"
    last_at = "l"
    times = "n"


SCRIPT_NAMES: Final[Mapping[str, type[StrEnum]]] = MappingProxyType(
    {
        "E": EntryField,
        "STATE": StateLetter,
        "VERIFY": VerifyLetter,
        "AGAIN": AgainLetter,
        "POLICY": PolicyField,
        "ACCOUNT": AccountField,
        "BATCH": BatchField,
        "KIND": KindLetter,
        "REJECTION": RejectionField,
    }
)
STATES: Final[Mapping[str, State]] = MappingProxyType({letter.value: State[letter.name] for letter in StateLetter})
