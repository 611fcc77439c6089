"""Encryption at rest for platform tokens: Fernet keys derived from the settings' encryption keys.

The first key encrypts, every key decrypts, so a key is rotated by putting the new one in front.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class WrongKey(RuntimeError):
    """A stored secret was encrypted with a key that is not in storage.encryption_key."""


def derive(key: str, purpose: bytes, length: int = 32) -> bytes:
    """`length` bytes for one purpose out of a settings key (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=b"herald", info=purpose).derive(key.encode())


def ids_key(keys: Sequence[str]) -> bytes:
    """What the ids of people and callers, and the hashes of what was forgotten, are made with: of the oldest key."""
    return derive(keys[-1], b"ids")


class Vault:
    """Seals and opens small secrets."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("storage.encryption_key: at least one key is needed")
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(derive(key, b"tokens"))) for key in keys])

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
