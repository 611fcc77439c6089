"""Chores: low-priority work of a lane that an install or an event asked for. One row per (lane, kind, key)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import chores as table


@dataclass(frozen=True, slots=True)
class ChoreRow:
    """One chore that is due."""

    id: int
    kind: str
    key: str
    detail: dict[str, Any]
    attempts: int


async def add(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    kind: str,
    key: str,
    detail: Mapping[str, Any],
    at: float,
) -> None:
    """Ask for a chore at `at`; asking again while it waits only brings it forward."""
    insert = sqlite.insert(table) if tx.dialect.name == "sqlite" else postgresql.insert(table)
    earlier = func.min if tx.dialect.name == "sqlite" else func.least
    await tx.execute(
        insert.values(
            bot_id=bot_id,
            channel=channel,
            tenant_id=tenant_id,
            kind=kind,
            key=key,
            detail=json.dumps(dict(detail)),
            next_at=at,
        ).on_conflict_do_update(
            index_elements=["bot_id", "channel", "tenant_id", "kind", "key"],
            set_={"next_at": earlier(table.c.next_at, insert.excluded.next_at)},
        )
    )


async def due(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, now: float, limit: int
) -> list[ChoreRow]:
    """The chores of a lane whose time has come, oldest first."""
    rows = await tx.execute(
        select(table.c.id, table.c.kind, table.c.key, table.c.detail, table.c.attempts)
        .where(
            table.c.bot_id == bot_id,
            table.c.channel == channel,
            table.c.tenant_id == tenant_id,
            table.c.next_at <= now,
        )
        .order_by(table.c.next_at, table.c.id)
        .limit(limit)
    )
    return [ChoreRow(row.id, row.kind, row.key, json.loads(row.detail), row.attempts) for row in rows]


async def next_due(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str) -> float | None:
    """When the lane's next chore is due."""
    statement = select(func.min(table.c.next_at)).where(
        table.c.bot_id == bot_id, table.c.channel == channel, table.c.tenant_id == tenant_id
    )
    found: float | None = (await tx.execute(statement)).scalar_one_or_none()
    return found


async def detail(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, kind: str, key: str
) -> dict[str, Any] | None:
    """What one chore holds; None if it is not there."""
    found = (await tx.execute(select(table.c.detail).where(_one(bot_id, channel, tenant_id, kind, key)))).scalar()
    return None if found is None else dict(json.loads(found))


async def withdraw(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, kind: str, key: str) -> None:
    """The chore is not wanted any more."""
    await tx.execute(delete(table).where(_one(bot_id, channel, tenant_id, kind, key)))


def _one(bot_id: str, channel: str, tenant_id: str, kind: str, key: str) -> ColumnElement[bool]:
    return and_(
        table.c.bot_id == bot_id,
        table.c.channel == channel,
        table.c.tenant_id == tenant_id,
        table.c.kind == kind,
        table.c.key == key,
    )


async def done(tx: AsyncConnection, chore_id: int) -> None:
    """The chore is finished."""
    await tx.execute(delete(table).where(table.c.id == chore_id))


async def postpone(
    tx: AsyncConnection, chore_id: int, *, at: float, detail: Mapping[str, Any] | None, failed: bool
) -> None:
    """Try the chore again at `at`, going on from `detail` where it is given."""
    values: dict[str, Any] = {"next_at": at}
    if detail is not None:
        values["detail"] = json.dumps(dict(detail))
    if failed:
        values["attempts"] = table.c.attempts + 1
    await tx.execute(update(table).where(table.c.id == chore_id).values(**values))
