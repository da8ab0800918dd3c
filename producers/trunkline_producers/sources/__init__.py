"""Sources: who sends webhooks, how theirs are verified, what is in them."""

from trunkline_producers.sources.interpreting import interpret
from trunkline_producers.sources.reading import Source, presets, read_sources

__all__ = ["Source", "interpret", "presets", "read_sources"]
