"""Inbound events already handled: the id is stored in the same transaction as the event's effect."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import inbox as table
from storage.upsert import upsert


async def first_time(tx: AsyncConnection, *, bot_id: str, channel: str, event_id: str, now: float) -> bool:
    """Record the event; False if it was recorded before, then its effect must not be repeated."""
    row = {"bot_id": bot_id, "channel": channel, "event_id": event_id, "seen_at": now}
    return await upsert(tx, table, [row], update=()) > 0


async def is_known(tx: AsyncConnection, *, bot_id: str, channel: str, event_id: str) -> bool:
    """Whether the event was recorded, by a transaction before or by this one."""
    where = (table.c.bot_id == bot_id, table.c.channel == channel, table.c.event_id == event_id)
    return (await tx.execute(select(table.c.event_id).where(*where))).first() is not None


async def forget_before(tx: AsyncConnection, moment: float, *, channel: str, limit: int) -> int:
    """Drop at most so many of a channel's ids that nobody will ask about any more."""
    over = (table.c.seen_at < moment, table.c.channel == channel)
    some = select(table.c.event_id).where(*over).limit(limit)
    return (await tx.execute(delete(table).where(*over, table.c.event_id.in_(some)))).rowcount
