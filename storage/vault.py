"""Encryption at rest for what must stay secret: Fernet keys derived from the settings' encryption keys.

The first key encrypts, every key decrypts, so a key is rotated by putting the new one in front; `reseal` then brings
what is stored to it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from enum import Enum

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class WrongKey(RuntimeError):
    """A stored secret was encrypted with a key that is not in storage.encryption_key."""


class Seal(Enum):
    """Which of the configured keys a stored secret opens with."""

    CURRENT = "current"  # the first: what is sealed now is sealed with it
    LATER = "later"  # another one of the list
    SHUT = "shut"  # none


def derive(key: str, purpose: bytes, length: int = 32) -> bytes:
    """`length` bytes for one purpose out of a settings key (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=b"herald", info=purpose).derive(key.encode())


class Vault:
    """Seals and opens small secrets."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("storage.encryption_key: at least one key is needed")
        each = [Fernet(base64.urlsafe_b64encode(derive(key, b"tokens"))) for key in keys]
        self._first = each[0]
        self._fernet = MultiFernet(each)

    def seal(self, secret: str) -> bytes:
        return self._fernet.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """Raises WrongKey when no configured key fits."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise WrongKey(
                "a stored token does not open: put the former key back as a further entry of storage.encryption_key"
            ) from error

    def judge(self, sealed: bytes) -> Seal:
        """Which key a stored secret opens with."""
        for fernet, verdict in ((self._first, Seal.CURRENT), (self._fernet, Seal.LATER)):
            try:
                fernet.decrypt(sealed)
            except InvalidToken:
                continue
            return verdict
        return Seal.SHUT

    def reseal(self, sealed: bytes) -> bytes:
        """The same secret sealed with the first key. Raises WrongKey when no configured key fits."""
        return self.seal(self.open(sealed))
