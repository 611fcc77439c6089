"""Lanes: who drains one, under which term, and whether a configuration fault holds it.

A claim is one row per lane. Every write of a drain first fences itself: it renews the claim under its own term in
the same transaction, so a drain that was replaced changes nothing. Claims are compared in database time only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, and_, bindparam, func, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.ready import Ready
from storage.tables import chores, deliveries
from storage.tables import lanes as table
from storage.upsert import upsert

Key = tuple[str, str, str]
"""(bot id, channel, tenant id)."""


class LaneLost(RuntimeError):
    """Another owner drains this lane under a newer term; nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the winner of a lane finds: its term, what pacing remembered, and a pause if there is one."""

    term: int
    learned: Mapping[str, Any]
    paused: Pause | None


@dataclass(frozen=True, slots=True)
class Pause:
    """A configuration fault holds the lane; at `probe_at` it tries one delivery."""

    reason: str
    code: str
    remedy: str
    paused_at: float
    probe_at: float
    probes: int


def _key(key: Key) -> ColumnElement[bool]:
    return and_(table.c.bot_id == key[0], table.c.channel == key[1], table.c.tenant_id == key[2])


_CLOCKS: Mapping[str, ColumnElement[float]] = {
    "sqlite": literal_column("((julianday('now') - 2440587.5) * 86400.0)"),
    "postgresql": literal_column("extract(epoch from clock_timestamp())::float8"),
}

_FENCES = {  # built once: every commit of a drain begins with one
    dialect: Ready(
        update(table)
        .where(
            table.c.bot_id == bindparam("bot"),
            table.c.channel == bindparam("of_channel"),
            table.c.tenant_id == bindparam("tenant"),
            table.c.term == bindparam("its_term"),
        )
        .values(expires_at=clock + bindparam("ttl"))
    )
    for dialect, clock in _CLOCKS.items()
}


def _clock(tx: AsyncConnection) -> ColumnElement[float]:
    """The database's own clock, epoch seconds."""
    return _CLOCKS[tx.dialect.name]


async def claim(tx: AsyncConnection, key: Key, *, owner: str, ttl: float) -> Claim | None:
    """Take the lane if nobody holds it or its holder let it expire; None while another holds it."""
    row = {"bot_id": key[0], "channel": key[1], "tenant_id": key[2]}
    await upsert(tx, table, [row], update=())
    clock = _clock(tx)
    result = await tx.execute(
        update(table)
        .where(_key(key), or_(table.c.owner.is_(None), table.c.owner == owner, table.c.expires_at < clock))
        .values(owner=owner, term=table.c.term + 1, expires_at=clock + ttl)
        .returning(table)
    )
    found = result.mappings().first()
    if found is None:
        return None
    return Claim(found["term"], json.loads(found["learned"] or "{}"), _pause(found))


async def fence(tx: AsyncConnection, key: Key, *, term: int, ttl: float) -> None:
    """Renew the claim inside a writing transaction. Raises LaneLost when the term is not ours any more."""
    owned = {"bot": key[0], "of_channel": key[1], "tenant": key[2], "its_term": term}
    if await _FENCES[tx.dialect.name].run(tx, [owned | {"ttl": ttl}]) != 1:
        raise LaneLost(f"lane {'/'.join(key)} was taken over; term {term} is over")


async def release(tx: AsyncConnection, key: Key, *, term: int) -> None:
    """Let the lane go, if it is still ours."""
    await tx.execute(update(table).where(_key(key), table.c.term == term).values(owner=None, expires_at=0.0))


async def release_all(tx: AsyncConnection) -> None:
    """Let every lane go: for the only process of a database, whose predecessor is certainly dead."""
    await tx.execute(update(table).values(owner=None, expires_at=0.0))


async def owners(tx: AsyncConnection) -> list[str]:
    """Everyone who holds a lane now."""
    rows = await tx.execute(select(table.c.owner).where(table.c.owner.is_not(None)).distinct())
    return [row.owner for row in rows]


async def release_of(tx: AsyncConnection, owner: str) -> list[Key]:
    """Let go of every lane of an owner that is known to be dead; returns them."""
    released = await tx.execute(
        update(table)
        .where(table.c.owner == owner)
        .values(owner=None, expires_at=0.0)
        .returning(table.c.bot_id, table.c.channel, table.c.tenant_id)
    )
    return [(row.bot_id, row.channel, row.tenant_id) for row in released]


async def remember(tx: AsyncConnection, key: Key, learned: Mapping[str, Any]) -> None:
    """Keep what pacing learnt, for the next owner."""
    await tx.execute(update(table).where(_key(key)).values(learned=json.dumps(dict(learned))))


async def pause(tx: AsyncConnection, key: Key, state: Pause) -> None:
    """Hold the lane with a reason that people can read."""
    await tx.execute(
        update(table)
        .where(_key(key))
        .values(
            paused_reason=state.reason,
            paused_code=state.code,
            paused_remedy=state.remedy,
            paused_at=state.paused_at,
            probe_at=state.probe_at,
            probes=state.probes,
        )
    )


async def resume(tx: AsyncConnection, key: Key) -> None:
    """The fault is healed (or something happened that may have healed it)."""
    row = {"bot_id": key[0], "channel": key[1], "tenant_id": key[2]}
    await upsert(tx, table, [row], update=())
    await tx.execute(
        update(table)
        .where(_key(key))
        .values(paused_reason=None, paused_code=None, paused_remedy=None, paused_at=None, probe_at=None, probes=0)
    )


async def resume_all(tx: AsyncConnection) -> None:
    """A restart may bring new credentials: every paused lane tries again at once."""
    await tx.execute(
        update(table)
        .where(table.c.paused_reason.is_not(None))
        .values(paused_reason=None, paused_code=None, paused_remedy=None, paused_at=None, probe_at=None, probes=0)
    )


async def paused(tx: AsyncConnection, *, bot_id: str, channel: str | None = None) -> dict[Key, Pause]:
    """The paused lanes of a bot."""
    condition = and_(table.c.bot_id == bot_id, table.c.paused_reason.is_not(None))
    if channel is not None:
        condition = and_(condition, table.c.channel == channel)
    found: dict[Key, Pause] = {}
    for row in (await tx.execute(select(table).where(condition))).mappings():
        state = _pause(row)
        if state is not None:
            found[row["bot_id"], row["channel"], row["tenant_id"]] = state
    return found


async def due(tx: AsyncConnection, now: float) -> Sequence[Key]:
    """Lanes with a delivery or a chore whose time has come."""
    columns = (deliveries.c.bot_id, deliveries.c.channel, deliveries.c.tenant_id)
    rows: Select[Any] = (
        select(*columns)
        .where(deliveries.c.final_at.is_(None), deliveries.c.duplicate_of.is_(None), deliveries.c.next_at <= now)
        .distinct()
    )
    work = select(chores.c.bot_id, chores.c.channel, chores.c.tenant_id).where(chores.c.next_at <= now).distinct()
    found = {(row[0], row[1], row[2]) for row in (await tx.execute(rows)).all()}
    return sorted(found | {(row[0], row[1], row[2]) for row in (await tx.execute(work)).all()})


async def next_due(tx: AsyncConnection, *, after: float) -> float | None:
    """When the next delivery or chore of any lane is due that is not due yet at `after`."""
    moments = [
        (
            await tx.execute(
                select(func.min(deliveries.c.next_at)).where(
                    deliveries.c.final_at.is_(None), deliveries.c.duplicate_of.is_(None), deliveries.c.next_at > after
                )
            )
        ).scalar_one_or_none(),
        (await tx.execute(select(func.min(chores.c.next_at)).where(chores.c.next_at > after))).scalar_one_or_none(),
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def _pause(row: RowMapping) -> Pause | None:
    if row["paused_reason"] is None:
        return None
    return Pause(
        reason=row["paused_reason"],
        code=row["paused_code"] or "",
        remedy=row["paused_remedy"] or "",
        paused_at=row["paused_at"] or 0.0,
        probe_at=row["probe_at"] or 0.0,
        probes=row["probes"],
    )


async def expired(tx: AsyncConnection, *, slack: float) -> int:
    """Claims that have outlived their time by more than `slack` seconds with nobody taking over."""
    statement = (
        select(func.count())
        .select_from(table)
        .where(table.c.owner.is_not(None), table.c.expires_at < _clock(tx) - slack)
    )
    return (await tx.execute(statement)).scalar_one()
