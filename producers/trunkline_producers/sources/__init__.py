"""Sources: who sends webhooks, how theirs are verified, what is in them."""

from trunkline_producers.sources.interpret import interpret
from trunkline_producers.sources.presets import Source, only_polled, presets, read_sources

__all__ = ["Source", "interpret", "only_polled", "presets", "read_sources"]
