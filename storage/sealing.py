"""Everything that is sealed in the database: which key it opens with, and how it is brought to the first one.

A server may run beside it and store new tokens: each seal is replaced only while it is the one that was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from storage import audit_events, installations, sealed_keys
from storage.engine import Database
from storage.installations import SealedToken
from storage.sealed_keys import SealedKey
from storage.vault import Seal, Vault

AT_ONCE: Final = 100
NOWHERE: Final = ("", "", "")


@dataclass(frozen=True, slots=True)
class Inventory:
    """How many seals open with which key, and the names of those that open with none."""

    counts: Mapping[Seal, int]
    shut: tuple[str, ...]

    def of(self, seal: Seal) -> int:
        return self.counts.get(seal, 0)


async def look(database: Database, vault: Vault) -> Inventory:
    """Judge every seal; changes nothing."""
    counts, shut = Counter[Seal](), list[str]()
    async for batch in _batches(database):
        for each in batch:
            verdict = vault.judge(each.sealed)
            counts[verdict] += 1
            if verdict is Seal.SHUT:
                shut.append(_name(each))
    return Inventory(counts, tuple(shut))


async def rotate(database: Database, vault: Vault, now: float) -> int:
    """Seal with the first key what opens with a later one; returns how many seals were made anew."""
    replaced = 0
    async for batch in _batches(database):
        later = [each for each in batch if vault.judge(each.sealed) is Seal.LATER]
        if later:
            async with database.write() as tx:
                replaced += await _reseal(tx, vault, later, now)
    return replaced


async def _reseal(tx: AsyncConnection, vault: Vault, batch: list[SealedKey | SealedToken], now: float) -> int:
    keys, tokens = list[str](), 0
    for each in batch:
        sealed = vault.reseal(each.sealed)
        if isinstance(each, SealedKey):
            if await sealed_keys.reseal(tx, each, sealed):
                keys.append(each.name)
        else:
            tokens += await installations.reseal(tx, each, sealed)
    count = len(keys) + tokens
    if count:
        detail = {"keys": keys, "tokens": tokens}
        await audit_events.append(
            tx, at=now, kind="keys_rotated", actor=audit_events.OPERATOR, subject="encryption_key", detail=detail
        )
    return count


async def _batches(database: Database) -> AsyncIterator[list[SealedKey | SealedToken]]:
    """All seals, a few at a time, each time in a view of the database of its own."""
    async with database.read() as tx:
        keys = await sealed_keys.every(tx)
    yield [*keys]
    after = NOWHERE
    while True:
        async with database.read() as tx:
            tokens = await installations.sealed_tokens(tx, after=after, limit=AT_ONCE)
        if not tokens:
            return
        yield [*tokens]
        after = tokens[-1].place


def _name(each: SealedKey | SealedToken) -> str:
    if isinstance(each, SealedKey):
        return f"key {each.name}"
    bot, channel, tenant = each.place
    return f"token of {bot}, {channel} {tenant}"
