"""One-time states of the Slack OAuth install.

A state is kept as a hash: who reads the database cannot finish the installation that somebody else began.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import oauth_states as table


async def issue(tx: AsyncConnection, *, state: str, bot_id: str, now: float, expires_at: float) -> None:
    """Remember a state that was handed to a browser, and forget those whose time is over: anybody may ask for one."""
    await tx.execute(delete(table).where(table.c.expires_at <= now))
    await tx.execute(insert(table).values(state=_hashed(state), bot_id=bot_id, expires_at=expires_at))


async def consume(tx: AsyncConnection, *, state: str, bot_id: str, now: float) -> bool:
    """Use a state up; True exactly once, before it expires, for the bot it was issued for."""
    result = await tx.execute(
        delete(table).where(table.c.state == _hashed(state), table.c.bot_id == bot_id, table.c.expires_at > now)
    )
    return result.rowcount > 0


def _hashed(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()
