"""Encrypted tokens of callers: a signed token inside five parts that only this server can open (RFC 7516).

    size ─▶ five parts ─▶ header: kid, alg, enc ─▶ RSA, in a thread ─▶ three parts, judged as any other token

Everything that can be wrong is answered in one way, so that nobody learns from the answers what was inside. `alg` is
RSA-OAEP alone: RSA1_5, which Kore's page lists as well, has been broken by its answers again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry, decrypt_compact, encrypt_compact
from joserfc.jwk import RSAKey

from notify import compact

ALGORITHM: Final = "RSA-OAEP"
ENCRYPTIONS: Final = ("A128CBC-HS256", "A128GCM", "A256GCM")
PARTS: Final = 5
_FORBIDDEN: Final = ("zip", "crit")  # a bomb, and what we do not know
# headers that name keys (`jku`, `jwk`, `x5u`) are ignored, as in a signed token
_REGISTRY: Final = JWERegistry(algorithms=(ALGORITHM, *ENCRYPTIONS), strict_check_header=False)


@dataclass(frozen=True, slots=True)
class DecryptionKey:
    """An RSA private key as PEM, and the `kid` by which callers say that they used its public half."""

    kid: str
    private_key: str = field(repr=False)


class Opener:
    """Opens encrypted tokens, two at a time: one for addresses of good repute, one for the others.

    An RSA decryption costs a millisecond of processor, so a flood of junk waits in a line of its own, where it keeps
    nobody else waiting.
    """

    def __init__(self, keys: Iterable[DecryptionKey] = ()) -> None:
        self._keys = {key.kid: RSAKey.import_key(key.private_key) for key in keys}
        self._turns = {suspect: asyncio.Semaphore(1) for suspect in (False, True)}

    async def open(self, token: str, *, suspect: bool = False) -> str | None:
        """What is inside, or None for whatever cannot be opened, for whatever reason."""
        key = self._key_of(token)
        if key is None:
            return None
        async with self._turns[suspect]:
            return await asyncio.to_thread(_decrypt, token, key)

    def _key_of(self, token: str) -> RSAKey | None:
        parts = token.split(".")
        if not self._keys or len(parts) != PARTS or any(compact.decode(part) is None for part in parts):
            return None
        header = compact.decode_object(parts[0])
        return None if header is None or not _permitted(header) else self._keys.get(header["kid"])


def encrypt(token: str, key: DecryptionKey) -> str:
    """A token as a caller would encrypt it with the public half of this key."""
    public = RSAKey.import_key(RSAKey.import_key(key.private_key).as_pem(private=False))
    header = {"alg": ALGORITHM, "enc": ENCRYPTIONS[-1], "kid": key.kid, "cty": "JWT"}
    return encrypt_compact(header, token, public, registry=_REGISTRY)


def _permitted(header: Mapping[str, Any]) -> bool:
    return (
        header.get("alg") == ALGORITHM
        and header.get("enc") in ENCRYPTIONS
        and isinstance(header.get("kid"), str)
        and not any(name in header for name in _FORBIDDEN)
    )


def _decrypt(token: str, key: RSAKey) -> str | None:
    """joserfc checks the tag in constant time before it decrypts, and OpenSSL's OAEP has one way to fail."""
    try:
        plain = decrypt_compact(token, key, registry=_REGISTRY).plaintext
        return None if plain is None else plain.decode("ascii")
    except (JoseError, ValueError, TypeError):  # UnicodeDecodeError is a ValueError
        return None
