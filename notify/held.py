"""The lanes of a bot that a fault holds, as callers see them."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from notify.records import PausedLane
from storage import lanes


async def held_lanes(tx: AsyncConnection, bot_id: str, channel: str) -> list[PausedLane]:
    """Every paused lane of the bot on this channel."""
    return [
        PausedLane(tenant_id=key[2], reason=pause.reason, remedy=pause.remedy, since=pause.paused_at)
        for key, pause in (await lanes.paused(tx, bot_id=bot_id, channel=channel)).items()
    ]
