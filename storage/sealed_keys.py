"""Keys of our own: made once, sealed by the vault, read at each start.

They do not change when storage.encryption_key does: only their seal is made anew.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import sealed_keys as table
from storage.upsert import upsert
from storage.vault import Vault, WrongKey, derive

IDS = "ids"  # what the ids of people and callers are made with
AUDIT = "audit"  # what the audit record is chained with


@dataclass(frozen=True, slots=True)
class SealedKey:
    """One row."""

    name: str
    sealed: bytes


async def keep(tx: AsyncConnection, vault: Vault, name: str, value: bytes, now: float) -> bytes:
    """The key of this name; `value` becomes it if there is none. Servers that start at once agree on one.

    Raises WrongKey when the stored key does not open.
    """
    row = {"name": name, "sealed": vault.seal(value.hex()), "created_at": now}
    await upsert(tx, table, [row], update=())
    stored = await get(tx, vault, name)
    if stored is None:
        raise RuntimeError(f"the key {name} was stored and is not there")
    return stored


async def ids(tx: AsyncConnection, vault: Vault, oldest_key: str, now: float) -> bytes:
    """What the ids of people and callers, and the hashes of what was forgotten, are made with. Raises WrongKey.

    Before it was stored it was what the last encryption key derives: so the ids stay what they were.
    """
    return await keep(tx, vault, IDS, derive(oldest_key, b"ids"), now)


async def audit(tx: AsyncConnection, vault: Vault, now: float) -> bytes:
    """What the audit record is chained with, and calls people by. Raises WrongKey."""
    return await keep(tx, vault, AUDIT, secrets.token_bytes(32), now)


async def get(tx: AsyncConnection, vault: Vault, name: str) -> bytes | None:
    """The key of this name; None if it was never made. Raises WrongKey when it does not open."""
    row = (await tx.execute(select(table.c.sealed).where(table.c.name == name))).first()
    return None if row is None else opened(vault, SealedKey(name, bytes(row.sealed)))


def opened(vault: Vault, key: SealedKey) -> bytes:
    """What is in the seal. Raises WrongKey."""
    try:
        return bytes.fromhex(vault.open(key.sealed))
    except WrongKey as error:
        raise WrongKey(
            f"storage.encryption_key is not the key of this database: its own key {key.name!r} does not open. "
            "Put the former encryption key back as a further entry of storage.encryption_key"
        ) from error


async def every(tx: AsyncConnection) -> list[SealedKey]:
    """All keys, in order of name."""
    rows = await tx.execute(select(table.c.name, table.c.sealed).order_by(table.c.name))
    return [SealedKey(row.name, bytes(row.sealed)) for row in rows]


async def reseal(tx: AsyncConnection, key: SealedKey, sealed: bytes) -> bool:
    """Replace a seal; False when the row changed since it was read."""
    result = await tx.execute(
        update(table).where(table.c.name == key.name, table.c.sealed == key.sealed).values(sealed=sealed)
    )
    return result.rowcount > 0
