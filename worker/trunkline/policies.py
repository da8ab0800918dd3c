"""The part of the settings that is published to the store, so that producers elsewhere need no file."""

from __future__ import annotations

from trunkline.config.settings import Settings
from trunkline.store.model import AccountRule, Policies, ProfilePolicy


def policies_of(settings: Settings) -> Policies:
    """What the scripts need of each account and profile."""
    keyed = settings.keyed_hash()
    return Policies(
        accounts={
            name: AccountRule(account.max_concurrency, round(1000 / account.requests_per_second, 3))
            for name, account in settings.accounts.items()
        },
        profiles={
            name: ProfilePolicy(
                account=profile.account,
                max_size=profile.batch.max_size,
                max_wait_ms=int(profile.batch.max_wait_s * 1000),
                fingerprint=profile.fingerprint(settings.accounts[profile.account].base_url, keyed),
                directions="".join(kind[0] for kind in profile.direction_types),
                trunk=profile.trunk_id is not None,
            )
            for name, profile in settings.profiles.items()
        },
    )
