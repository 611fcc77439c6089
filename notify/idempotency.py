"""`Idempotency-Key`: the same key and body get the first answer again, whatever happened to the first one.

After draft-ietf-httpapi-idempotency-key-header: 400 for a malformed key, 422 for another body, 409 for a repeat
that waited too long for the first. The record is written in the transaction of the request it stands for.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from notify.digest import keyed
from notify.records import IdempotencyKey

HEADER: Final = "Idempotency-Key"
LONGEST: Final = 255
WAIT_SECONDS: Final = 5.0


class MalformedKey(ValueError):
    """The header is empty, too long, given twice, or holds what is not printable ASCII."""


class KeyReused(Exception):
    """The key was used with another body."""


class KeyBusy(Exception):
    """The first call with this key is still being accepted."""


def read(values: Sequence[str]) -> str | None:
    """The caller's key; None without the header. Raises MalformedKey."""
    if not values:
        return None
    if len(values) > 1:
        raise MalformedKey("give the header once")
    key = values[0].strip()
    if not 1 <= len(key) <= LONGEST:
        raise MalformedKey(f"between 1 and {LONGEST} characters are needed, {len(key)} given")
    if not (key.isascii() and key.isprintable()):
        raise MalformedKey("only printable ASCII characters can be used")
    return key


def bind(key: str, body: bytes, secret: bytes) -> IdempotencyKey:
    """The key with the body it came with, as hashes: a key may name a person, and a body could be guessed."""
    return IdempotencyKey(
        keyed(secret, "idempotency_key", key.encode()),
        keyed(secret, "idempotent_body", body),
        former=(key, hashlib.sha256(body).hexdigest()),
    )


class Turnstile:
    """Repeats of one key within this process wait for the first; across processes the database makes them wait."""

    def __init__(self, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait = wait_seconds
        self._locks: dict[tuple[str, ...], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def one_at_a_time(self, *scope: str) -> AsyncIterator[None]:
        """Hold the key's place. Raises KeyBusy when the one before does not come to an end."""
        lock, users = self._locks.get(scope, (asyncio.Lock(), 0))
        self._locks[scope] = (lock, users + 1)
        try:
            try:
                async with asyncio.timeout(self._wait):
                    await lock.acquire()
            except TimeoutError:
                raise KeyBusy from None
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, users = self._locks[scope]
            if users == 1:
                del self._locks[scope]
            else:
                self._locks[scope] = (lock, users - 1)
