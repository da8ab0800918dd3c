"""How many examples a property that asks for more than the default is tried with."""

from __future__ import annotations

from hypothesis import settings


def examples(many: int) -> int:
    """`many`, but under the profile `dev` no more than that profile has, so that `just test` stays quick."""
    return min(many, settings().max_examples) if settings.get_current_profile_name() == "dev" else many
