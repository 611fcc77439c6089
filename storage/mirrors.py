"""How complete our mirror of a tenant's directory is, and what its listings showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.directory import LOOKUP_CHUNK
from storage.tables import emails, people
from storage.tables import mirrors as table
from storage.upsert import upsert


@dataclass(frozen=True, slots=True)
class Mirror:
    """How complete the mirror of a tenant is. `begun` and `completed` are numbers of listings, which count up."""

    completed_at: float | None
    started_at: float | None
    members: int
    page_size: int
    begun: int = 0
    completed: int = 0


async def get(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str) -> Mirror | None:
    """How complete the mirror of this tenant is; None if it was never listed."""
    row = (
        await tx.execute(
            select(
                table.c.completed_at,
                table.c.started_at,
                table.c.members,
                table.c.page_size,
                table.c.begun,
                table.c.completed,
            ).where(table.c.bot_id == bot_id, table.c.channel == channel, table.c.tenant_id == tenant_id)
        )
    ).first()
    return None if row is None else Mirror(*row)


async def begin_listing(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str) -> int:
    """The number of a listing that begins now: greater than that of every listing of the tenant before it."""
    insert = sqlite.insert(table) if tx.dialect.name == "sqlite" else postgresql.insert(table)
    begun = await tx.execute(
        insert.values(bot_id=bot_id, channel=channel, tenant_id=tenant_id, begun=1)
        .on_conflict_do_update(index_elements=["bot_id", "channel", "tenant_id"], set_={"begun": table.c.begun + 1})
        .returning(table.c.begun)
    )
    return int(begun.scalar_one())


async def note(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, state: Mirror) -> None:
    """Record how far a listing has come; `begun` is only written by `begin_listing`."""
    await upsert(
        tx,
        table,
        [
            {
                "bot_id": bot_id,
                "channel": channel,
                "tenant_id": tenant_id,
                "completed_at": state.completed_at,
                "started_at": state.started_at,
                "members": state.members,
                "page_size": state.page_size,
                "completed": state.completed,
            }
        ],
        update=("completed_at", "started_at", "members", "page_size", "completed"),
    )


async def listed(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, listing: int, user_ids: Sequence[str]
) -> None:
    """The listing of this number showed these people, whom `learn` has stored."""
    for start in range(0, len(user_ids), LOOKUP_CHUNK):
        await tx.execute(
            update(people)
            .where(
                people.c.bot_id == bot_id,
                people.c.channel == channel,
                people.c.tenant_id == tenant_id,
                people.c.user_id.in_(user_ids[start : start + LOOKUP_CHUNK]),
                people.c.listing < listing,
            )
            .values(listing=listing)
        )


async def disable_unseen(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, listing: int, source: str
) -> int:
    """After a full listing: whoever an earlier one showed, and neither this one nor a later, is gone.

    Listings are told apart by their numbers. Clocks are set back, and those of two processes differ.
    """
    unseen = and_(
        people.c.bot_id == bot_id,
        people.c.channel == channel,
        people.c.tenant_id == tenant_id,
        people.c.source == source,
        people.c.listing < listing,
        people.c.disabled.is_(False),
    )
    await tx.execute(  # they count for no domain any more
        update(emails)
        .where(
            emails.c.bot_id == bot_id,
            emails.c.channel == channel,
            emails.c.tenant_id == tenant_id,
            emails.c.user_id.in_(select(people.c.user_id).where(unseen)),
        )
        .values(domain=None)
    )
    result = await tx.execute(update(people).where(unseen).values(disabled=True))
    return result.rowcount
