"""E-mails that a tenant said belong to nobody, believed for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.directory import LOOKUP_CHUNK
from storage.tables import misses as table
from storage.upsert import upsert


@dataclass(frozen=True, slots=True)
class Miss:
    """An e-mail that a tenant said belongs to nobody."""

    tenant_id: str
    email: str
    reason: str
    seen_at: float


async def remember(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    reasons: Sequence[tuple[str, str]],
    now: float,
    until: float,
) -> None:
    """Remember (email, reason) pairs that a tenant does not know, until `until`."""
    rows = [
        {
            "bot_id": bot_id,
            "channel": channel,
            "tenant_id": tenant_id,
            "email": email,
            "reason": reason,
            "seen_at": now,
            "until": until,
        }
        for email, reason in reasons
    ]
    await upsert(tx, table, rows, update=("reason", "seen_at", "until"))


async def find(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, addresses: Sequence[str], now: float
) -> list[Miss]:
    """The still valid misses among these e-mails."""
    found: list[Miss] = []
    for start in range(0, len(addresses), LOOKUP_CHUNK):
        rows = await tx.execute(
            select(table.c.tenant_id, table.c.email, table.c.reason, table.c.seen_at).where(
                table.c.bot_id == bot_id,
                table.c.channel == channel,
                table.c.tenant_id == tenant_id,
                table.c.until > now,
                table.c.email.in_(addresses[start : start + LOOKUP_CHUNK]),
            )
        )
        found += [Miss(*row) for row in rows.all()]
    return found


async def forget(tx: AsyncConnection, now: float, *, limit: int) -> int:
    """Delete at most so many misses that are valid no longer; returns how many."""
    over = table.c.until <= now
    some = select(table.c.email).where(over).limit(limit)
    return (await tx.execute(delete(table).where(over, table.c.email.in_(some)))).rowcount
