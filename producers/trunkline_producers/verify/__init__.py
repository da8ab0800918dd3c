"""Whether a webhook comes from its source: schemes as data, pure functions over the raw bytes."""

from trunkline_producers.verify.config import read_scheme
from trunkline_producers.verify.keys import KeyTable, read_keys
from trunkline_producers.verify.scheme import Key, KeyKind, Reason, Scheme, Unverified
from trunkline_producers.verify.standard_webhooks import StandardWebhooks
from trunkline_producers.verify.tokens import UrlToken, covers_query

__all__ = [
    "Key",
    "KeyKind",
    "KeyTable",
    "Reason",
    "Scheme",
    "StandardWebhooks",
    "Unverified",
    "UrlToken",
    "covers_query",
    "read_keys",
    "read_scheme",
]
