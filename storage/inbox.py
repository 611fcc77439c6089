"""Inbound events already handled: the id is stored in the same transaction as the event's effect."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import inbox as table
from storage.upsert import upsert


async def first_time(tx: AsyncConnection, *, bot_id: str, channel: str, event_id: str, now: float) -> bool:
    """Record the event; False if it was recorded before, then its effect must not be repeated."""
    row = {"bot_id": bot_id, "channel": channel, "event_id": event_id, "seen_at": now}
    return await upsert(tx, table, [row], update=()) > 0


async def forget_before(tx: AsyncConnection, moment: float) -> int:
    """Drop ids that the platform will not repeat any more (Slack drops events older than two hours)."""
    return (await tx.execute(delete(table).where(table.c.seen_at < moment))).rowcount
