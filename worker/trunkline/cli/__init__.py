"""The commands of `trunkline`."""

from trunkline.cli.main import main

__all__ = ["main"]
