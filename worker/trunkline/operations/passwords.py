"""Register passwords of a profile, as the API gave them, for the operator's PBX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.config.settings import Settings
from trunkline.store import Store
from trunkline.store.vault import StoredPassword, Vault
from trunkline.timestamps import rfc3339


@dataclass(frozen=True, slots=True)
class RegisterPasswords:
    """The passwords kept for a profile, the oldest first, and when an answer with one was last lost (ms) or None."""

    profile: str
    kept: tuple[StoredPassword, ...]
    lost_ms: int | None

    def document(self, *, every: bool) -> dict[str, Any]:
        """Return the document of `profile secret --json`: all passwords, or if not `every` the last."""
        kept = self.kept
        if not every:
            kept = kept[-1:]
        return {
            "profile": self.profile,
            "lost_at": rfc3339(self.lost_ms),
            "passwords": [
                {
                    "password": each.password.get_secret_value(),
                    "at": rfc3339(each.at_ms),
                    "numbers": list(each.numbers),
                }
                for each in kept
            ],
        }


def register_passwords(store: Store, settings: Settings, profile: str) -> RegisterPasswords:
    """Open the passwords of a profile. Raises VaultLocked without TRUNKLINE_SECRET_KEY or with another one."""
    kept, lost_ms = Vault(store, settings.secret_key).passwords(profile)
    return RegisterPasswords(profile, kept, lost_ms)
