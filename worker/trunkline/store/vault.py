"""Register passwords: sealed with a key from the environment, kept each with its time, shown on request only.

The API derives one for a profile that registers and says it once, in an attach answer (`register_password_for_pbx`,
https://docs.bland.ai/api-v1/post/sip-attach). The store has the sealed form only: it travels with the settlement of the
batch it was said to, so that one move of the store keeps both.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from pydantic import SecretStr

from trunkline.errors import TrunklineError
from trunkline.store.client import Store
from trunkline.store.connection import translated
from trunkline.store.model import SealedPassword

LOST: Final = "lost"  # the field that says when an answer with a password did not arrive


class VaultLocked(TrunklineError):
    """There is no key to seal or open with, or it is another one than the passwords were sealed with."""


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """One password the API gave for a profile, when (server time, ms), and in answer to which call of which numbers.

    `batch` and `numbers` are empty where they were not noted.
    """

    password: SecretStr
    at_ms: int
    batch: str = ""
    numbers: tuple[str, ...] = ()


class Vault:
    """Seals with `TRUNKLINE_SECRET_KEY` (32 bytes, base64), and opens what the store has of it."""

    def __init__(self, store: Store, key: SecretStr | None) -> None:
        self._store = store
        self._known: dict[str, frozenset[str]] = {}  # from the store, read once
        self._said: dict[str, frozenset[str]] = {}  # since then
        # Both alphabets, as the settings take them: - and _ in place of + and / must not be skipped over.
        self._key = base64.urlsafe_b64decode(key.get_secret_value()) if key else None

    def seal(self, profile: str, password: SecretStr) -> SealedPassword:
        """A password as it may be stored; the same one always has the same field. Raises VaultLocked without a key."""
        text = password.get_secret_value().encode()
        self._said[profile] = self._said.get(profile, frozenset()) | {password.get_secret_value()}
        field = hashlib.blake2b(text, key=self._need_key(), digest_size=16).hexdigest()
        sealed = base64.b64encode(SecretBox(self._need_key()).encrypt(text)).decode()
        return SealedPassword(field, sealed)

    def known(self, profile: str) -> frozenset[str]:
        """The values of a profile's passwords, for whoever scrubs texts of them; none without the key they need."""
        if profile not in self._known:
            try:
                kept = self.passwords(profile)[0]
            except VaultLocked:
                kept = ()
            self._known[profile] = frozenset(each.password.get_secret_value() for each in kept)
        return self._known[profile] | self._said.get(profile, frozenset())

    def passwords(self, profile: str) -> tuple[tuple[StoredPassword, ...], int | None]:
        """Every password kept for a profile, oldest first, and when one was last lost (ms) or None."""
        with translated():
            fields: dict[str, str] = self._store._client.hgetall(f"{self._store.prefix}secret:{profile}")  # type: ignore[assignment]  # decoded
        lost = fields.pop(LOST, None)
        opened = [self._open(json.loads(value)) for value in fields.values()]
        kept = [each for each in opened if each is not None]
        if opened and not kept:
            raise VaultLocked("TRUNKLINE_SECRET_KEY is not the key that these passwords were sealed with")
        return tuple(sorted(kept, key=lambda each: each.at_ms)), None if lost is None else int(lost)

    def _open(self, item: dict[str, Any]) -> StoredPassword | None:
        """None for one that was sealed with an earlier key."""
        try:
            text = SecretBox(self._need_key()).decrypt(base64.b64decode(item["sealed"]))
        except CryptoError:
            return None
        numbers = item.get("numbers") or ()  # an empty list may come back as an empty object
        return StoredPassword(SecretStr(text.decode()), int(item["at"]), item.get("batch", ""), tuple(numbers))

    def _need_key(self) -> bytes:
        if self._key is None:
            raise VaultLocked("set TRUNKLINE_SECRET_KEY (32 bytes in base64) to keep and show register passwords")
        return self._key
