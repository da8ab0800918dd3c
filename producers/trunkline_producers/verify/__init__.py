"""Verification of webhooks: schemes as tables of the configuration, pure functions over the raw bytes."""

from trunkline_producers.verify.config import read_scheme
from trunkline_producers.verify.keys import KeyTable, read_keys
from trunkline_producers.verify.scheme import Key, KeyKind, Reason, Scheme, Unverified
from trunkline_producers.verify.standard_webhooks import StandardWebhooks
from trunkline_producers.verify.tokens import PathToken, QueryToken

__all__ = [
    "Key",
    "KeyKind",
    "KeyTable",
    "PathToken",
    "QueryToken",
    "Reason",
    "Scheme",
    "StandardWebhooks",
    "Unverified",
    "read_keys",
    "read_scheme",
]
