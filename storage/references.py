"""Conversation references: how a person is reached, as the platform's events and answers taught us.

Events may come late, doubled and out of order: every write carries the platform's time and never overwrites what
is newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import conversation_references as table
from storage.upsert import Excluded, upsert

FIND_CHUNK = 400


@dataclass(frozen=True, slots=True)
class Reference:
    """One row. `user_id` is the person's key in the tenant (Teams: Entra object id, else `29:…`)."""

    bot_id: str
    channel: str
    tenant_id: str
    user_id: str
    channel_id: str
    conversation_id: str | None
    service_url: str | None
    learned_at: float


def _not_newer(new: Excluded) -> ColumnElement[bool]:
    newest: ColumnElement[bool] = table.c.learned_at <= new.learned_at
    return newest


def _not_from_an_event(_new: Excluded) -> ColumnElement[bool]:
    return or_(table.c.conversation_id.is_(None), table.c.learned_at == 0.0)


async def capture(tx: AsyncConnection, reference: Reference, now: float) -> bool:
    """Store or refresh a reference and make it active; False if something newer was known already."""
    changed = await upsert(
        tx,
        table,
        [
            {
                "bot_id": reference.bot_id,
                "channel": reference.channel,
                "tenant_id": reference.tenant_id,
                "user_id": reference.user_id,
                "channel_id": reference.channel_id,
                "conversation_id": reference.conversation_id,
                "service_url": reference.service_url,
                "active": True,
                "inactive_reason": None,
                "learned_at": reference.learned_at,
                "changed_at": now,
            }
        ],
        update=(
            "channel_id",
            "conversation_id",
            "service_url",
            "active",
            "inactive_reason",
            "learned_at",
            "changed_at",
        ),
        only_if=_not_newer,
    )
    return changed > 0


async def deactivate(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    person: str,
    reason: str,
    learned_at: float,
    now: float,
) -> bool:
    """Mark every reference of a person (user, channel or conversation id) as not usable, unless newer."""
    result = await tx.execute(
        update(table)
        .where(
            table.c.bot_id == bot_id,
            table.c.channel == channel,
            table.c.tenant_id == tenant_id,
            or_(table.c.user_id == person, table.c.channel_id == person, table.c.conversation_id == person),
            table.c.learned_at <= learned_at,
        )
        .values(active=False, inactive_reason=reason, learned_at=learned_at, changed_at=now)
    )
    return result.rowcount > 0


async def refused(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    person: str,
    reason: str,
    asked_at: float,
    now: float,
) -> bool:
    """A send that began at `asked_at` was refused: mark a person's references as not usable, unless changed since.

    The platform's time stays as it is. Were it ours, a clock that is ahead would make us deaf to the next install.
    """
    result = await tx.execute(
        update(table)
        .where(
            table.c.bot_id == bot_id,
            table.c.channel == channel,
            table.c.tenant_id == tenant_id,
            or_(table.c.user_id == person, table.c.channel_id == person),
            table.c.changed_at <= asked_at,
        )
        .values(active=False, inactive_reason=reason, changed_at=now)
    )
    return result.rowcount > 0


async def opened(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    user_id: str,
    channel_id: str,
    conversation_id: str,
    service_url: str | None,
    now: float,
) -> None:
    """Keep the conversation that a create call or a first message gave us; an event's own knowledge wins."""
    await upsert(
        tx,
        table,
        [
            {
                "bot_id": bot_id,
                "channel": channel,
                "tenant_id": tenant_id,
                "user_id": user_id,
                "channel_id": channel_id,
                "conversation_id": conversation_id,
                "service_url": service_url,
                "active": True,
                "inactive_reason": None,
                "learned_at": 0.0,
                "changed_at": now,
            }
        ],
        update=("conversation_id", "service_url", "active", "inactive_reason", "changed_at"),
        only_if=_not_from_an_event,
    )


async def forget_conversation(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, user_id: str, conversation_id: str | None
) -> None:
    """Drop a conversation id that the platform no longer knows; the person stays known."""
    await tx.execute(
        update(table)
        .where(
            table.c.bot_id == bot_id,
            table.c.channel == channel,
            table.c.tenant_id == tenant_id,
            table.c.user_id == user_id,
            or_(table.c.conversation_id == conversation_id, table.c.conversation_id.is_(None)),
        )
        .values(conversation_id=None)
    )


async def find(
    tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str | None, persons: Sequence[str]
) -> dict[str, tuple[Reference, bool]]:
    """The newest reference of each user or channel id, with whether it is active; None: in any tenant."""
    found: dict[str, tuple[Reference, bool]] = {}
    for start in range(0, len(persons), FIND_CHUNK):
        chunk = persons[start : start + FIND_CHUNK]
        condition = and_(
            table.c.bot_id == bot_id,
            table.c.channel == channel,
            or_(table.c.user_id.in_(chunk), table.c.channel_id.in_(chunk)),
        )
        if tenant_id is not None:
            condition = and_(condition, table.c.tenant_id == tenant_id)
        rows = (await tx.execute(select(table).where(condition).order_by(table.c.learned_at))).mappings()
        for row in rows:
            reference = Reference(
                bot_id=row["bot_id"],
                channel=row["channel"],
                tenant_id=row["tenant_id"],
                user_id=row["user_id"],
                channel_id=row["channel_id"],
                conversation_id=row["conversation_id"],
                service_url=row["service_url"],
                learned_at=row["learned_at"],
            )
            found[row["user_id"]] = found[row["channel_id"]] = (reference, bool(row["active"]))
    return found
