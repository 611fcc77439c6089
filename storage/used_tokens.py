"""Tokens that may be used once: the `jti` of a caller's token, kept until the token has expired.

The `jti` is kept as a hash: a caller may put anything of any length into it.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine import Database
from storage.tables import used_tokens as table
from storage.upsert import upsert


async def first_use(tx: AsyncConnection, *, client_id: str, jti: str, until: float) -> bool:
    """Use a token up; True exactly once per client and `jti`, over all processes."""
    row = {
        "client_id": client_id,
        "jti_hash": hashlib.sha256(jti.encode("utf-8", "surrogatepass")).hexdigest(),
        "expires_at": until,
    }
    return await upsert(tx, table, [row], update=()) > 0


async def forget_before(tx: AsyncConnection, moment: float, *, limit: int) -> int:
    """Drop at most so many tokens that have expired: they are refused for that already."""
    over = table.c.expires_at < moment
    some = select(table.c.jti_hash).where(over).limit(limit)
    return (await tx.execute(delete(table).where(over, table.c.jti_hash.in_(some)))).rowcount


class UsedTokens:
    """The memory of used tokens, one short transaction a question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def first_use(self, client_id: str, jti: str, until: float) -> bool:
        """True exactly once for a client's `jti`."""
        async with self._database.write() as tx:
            return await first_use(tx, client_id=client_id, jti=jti, until=until)
