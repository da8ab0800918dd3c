"""Sources of webhooks: their configuration, and the reading of their deliveries."""

from trunkline_producers.sources.interpret import interpret
from trunkline_producers.sources.presets import presets
from trunkline_producers.sources.source import Source, only_polled, read_sources

__all__ = ["Source", "interpret", "only_polled", "presets", "read_sources"]
