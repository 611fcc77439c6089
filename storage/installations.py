"""Installations: our app in one tenant or org. A removal leaves a tombstone that an older event cannot undo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import installations as table
from storage.upsert import Excluded, upsert


@dataclass(frozen=True, slots=True)
class Installation:
    """One row; `token` is sealed (storage.vault). An org row (`is_org`) holds the token for its workspaces' rows."""

    bot_id: str
    channel: str
    tenant_id: str
    installed_at: float
    enterprise_id: str | None = None
    is_org: bool = False
    name: str = ""
    app_id: str | None = None
    bot_user_id: str | None = None
    platform_bot_id: str | None = None
    token: bytes | None = None
    scopes: str = ""
    service_url: str | None = None
    removed_at: float | None = None
    dead_reason: str | None = None

    @property
    def active(self) -> bool:
        return self.removed_at is None


_FIELDS = (
    "bot_id",
    "channel",
    "tenant_id",
    "installed_at",
    "enterprise_id",
    "is_org",
    "name",
    "app_id",
    "bot_user_id",
    "platform_bot_id",
    "token",
    "scopes",
    "service_url",
    "removed_at",
    "dead_reason",
)


def _key(bot_id: str, channel: str, tenant_id: str) -> ColumnElement[bool]:
    return and_(table.c.bot_id == bot_id, table.c.channel == channel, table.c.tenant_id == tenant_id)


def _not_newer(new: Excluded) -> ColumnElement[bool]:
    gone_before = or_(table.c.removed_at.is_(None), table.c.removed_at <= new.installed_at)
    return and_(table.c.installed_at <= new.installed_at, gone_before)


async def save(tx: AsyncConnection, installation: Installation, now: float) -> bool:
    """Store an install or reinstall; False when the row is newer, or was removed after this install."""
    values = {name: getattr(installation, name) for name in _FIELDS}
    changed = await upsert(
        tx,
        table,
        [{**values, "changed_at": now}],
        update=(*_FIELDS[3:], "changed_at"),
        only_if=_not_newer,
    )
    return changed > 0


async def ensure(tx: AsyncConnection, installation: Installation, now: float) -> bool:
    """Store the installation unless a row is there and alive; refreshes the service URL of a living row."""
    if await save_new(tx, installation, now):
        return True
    await tx.execute(
        update(table)
        .where(
            _key(installation.bot_id, installation.channel, installation.tenant_id),
            or_(table.c.removed_at.is_(None), table.c.removed_at < installation.installed_at),
        )
        .values(
            service_url=installation.service_url or table.c.service_url,
            removed_at=None,
            changed_at=now,
        )
    )
    return False


async def save_new(tx: AsyncConnection, installation: Installation, now: float) -> bool:
    """Store the installation only if the tenant has no row yet."""
    values = {name: getattr(installation, name) for name in _FIELDS}
    return await upsert(tx, table, [{**values, "changed_at": now}], update=()) > 0


async def remove(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, event_at: float, now: float
) -> bool:
    """Leave a tombstone and delete the token, unless the installation is newer than the event."""
    result = await tx.execute(
        update(table)
        .where(_key(bot_id, channel, tenant_id), table.c.installed_at <= event_at, table.c.removed_at.is_(None))
        .values(removed_at=event_at, token=None, changed_at=now)
    )
    return result.rowcount > 0


async def mark_dead(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, reason: str | None, now: float
) -> None:
    """Note that the platform refuses this installation (or, with None, that it answers again)."""
    await tx.execute(update(table).where(_key(bot_id, channel, tenant_id)).values(dead_reason=reason, changed_at=now))


async def get(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str) -> Installation | None:
    """One installation, removed or not."""
    key = {"bot_id": bot_id, "channel": channel, "tenant_id": tenant_id}
    row = (await tx.execute(_ONE, key)).first()
    return None if row is None else Installation(*tuple(row))


async def active(tx: AsyncConnection, *, bot_id: str, channel: str) -> list[Installation]:
    """All living installations of a bot on a channel, org rows included, in order of tenant."""
    rows = await tx.execute(
        select(*_columns())
        .where(table.c.bot_id == bot_id, table.c.channel == channel, table.c.removed_at.is_(None))
        .order_by(table.c.tenant_id)
    )
    return [Installation(*tuple(row)) for row in rows.all()]


async def of_org(tx: AsyncConnection, *, bot_id: str, channel: str, enterprise_id: str) -> list[Installation]:
    """The workspaces of an org that are alive."""
    rows = await tx.execute(
        select(*_columns()).where(
            table.c.bot_id == bot_id,
            table.c.channel == channel,
            table.c.enterprise_id == enterprise_id,
            table.c.is_org.is_(False),
            table.c.removed_at.is_(None),
        )
    )
    return [Installation(*tuple(row)) for row in rows.all()]


@dataclass(frozen=True, slots=True)
class SealedToken:
    """Whose token it is (bot, channel, tenant), and its sealed bytes."""

    place: tuple[str, str, str]
    sealed: bytes


async def sealed_tokens(tx: AsyncConnection, *, after: tuple[str, str, str], limit: int) -> list[SealedToken]:
    """The tokens of the next installations after a place, in their order."""
    key = (table.c.bot_id, table.c.channel, table.c.tenant_id)
    rows = await tx.execute(
        select(*key, table.c.token).where(tuple_(*key) > after, table.c.token.is_not(None)).order_by(*key).limit(limit)
    )
    return [SealedToken((row.bot_id, row.channel, row.tenant_id), bytes(row.token)) for row in rows]


async def reseal(tx: AsyncConnection, token: SealedToken, sealed: bytes) -> bool:
    """Replace a token's seal; False when the token is another one by now, or gone."""
    result = await tx.execute(
        update(table).where(_key(*token.place), table.c.token == token.sealed).values(token=sealed)
    )
    return result.rowcount > 0


def _columns() -> list[ColumnElement[Any]]:
    return [table.c[name] for name in _FIELDS]


_ONE = select(*_columns()).where(*(table.c[name] == bindparam(name) for name in ("bot_id", "channel", "tenant_id")))
