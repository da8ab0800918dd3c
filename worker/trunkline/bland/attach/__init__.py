"""Attaching numbers, as far as it can be decided without I/O: the request, every answer to it, the read-back.

Facts: https://docs.bland.ai/api-v1/post/sip-attach and the pages around it. What they leave open (the shape of a failed
item, the status of a partial failure) is read in every shape, and what is not understood is never taken for success.
"""

from trunkline.bland.attach.answer import no_answer, read_answer
from trunkline.bland.attach.drift import has_unreadable_fields
from trunkline.bland.attach.listing import ListedNumber, Listing, ListingReader, ListingUnusable
from trunkline.bland.attach.outcomes import (
    AccountFailed,
    Answer,
    Attached,
    CallFailed,
    Dead,
    Outcome,
    Outcomes,
    Retry,
    SplitBatch,
    Verdict,
    Verify,
)
from trunkline.bland.attach.read_back_proof import (
    UNKNOWN,
    DirectionDetail,
    Listed,
    NumberDetail,
    Proof,
    by_api_clock,
    present,
    proof,
    read_detail,
)
from trunkline.bland.attach.request import request_body

__all__ = [
    "UNKNOWN",
    "AccountFailed",
    "Answer",
    "Attached",
    "CallFailed",
    "Dead",
    "DirectionDetail",
    "Listed",
    "ListedNumber",
    "Listing",
    "ListingReader",
    "ListingUnusable",
    "NumberDetail",
    "Outcome",
    "Outcomes",
    "Proof",
    "Retry",
    "SplitBatch",
    "Verdict",
    "Verify",
    "by_api_clock",
    "has_unreadable_fields",
    "no_answer",
    "present",
    "proof",
    "read_answer",
    "read_detail",
    "request_body",
]
