"""What people pressed in messages, bounded for each delivery, and which delivery a message belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import case, insert, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.requests import REMOVED
from storage.tables import deliveries, requests
from storage.tables import responses as table

MOST = 20  # for one delivery; the first stay, so that nothing a caller has read disappears

Kept = Literal["recorded", "repeated", "full"]


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """One response to a delivery."""

    delivery_id: str
    at: float
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class SentRow:
    """A delivery whose message the platform has, with the payload that was sent."""

    id: str
    payload: bytes


async def record(
    tx: AsyncConnection, *, delivery_id: str, event_key: str, at: float, kind: str, user_id: str, detail: str
) -> Kept:
    """Store a response, unless it is stored already or the delivery has its fill."""
    # the lock makes two servers count one after the other; on SQLite whoever writes is alone
    await tx.execute(select(deliveries.c.seq).where(deliveries.c.id == delivery_id).with_for_update())
    known = (await tx.execute(select(table.c.event_key).where(table.c.delivery_id == delivery_id))).scalars().all()
    if event_key in known:
        return "repeated"
    if len(known) >= MOST:
        return "full"
    row = {"delivery_id": delivery_id, "event_key": event_key, "at": at, "kind": kind, "user_id": user_id}
    await tx.execute(insert(table).values(**row, detail=detail))
    return "recorded"


async def of_request(tx: AsyncConnection, request_id: str) -> list[ResponseRow]:
    """Every response to the deliveries of a request, in the order in which they came."""
    rows = await tx.execute(
        select(table.c.delivery_id, table.c.at, table.c.kind, table.c.detail)
        .join(deliveries, deliveries.c.id == table.c.delivery_id)
        .where(deliveries.c.request_id == request_id)
        .order_by(table.c.at, table.c.seq)
    )
    return [ResponseRow(*tuple(row)) for row in rows.all()]


_sent = (
    select(deliveries.c.id, case((deliveries.c.payload.is_(None), requests.c.payload), else_=deliveries.c.payload))
    .join(requests, requests.c.id == deliveries.c.request_id)
    .where(requests.c.kind != REMOVED)
)


async def sent_as(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    message_id: str,
    user_id: str,
    conversation_id: str,
) -> SentRow | None:
    """The delivery with this platform message id, if it went to this person or into this conversation."""
    row = (
        await tx.execute(
            _sent.where(
                deliveries.c.bot_id == bot_id,
                deliveries.c.channel == channel,
                deliveries.c.message_id == message_id,
                deliveries.c.tenant_id == tenant_id,
                deliveries.c.duplicate_of.is_(None),
                or_(deliveries.c.user_id == user_id, deliveries.c.conversation_id == conversation_id),
            )
            .order_by(deliveries.c.seq)
            .limit(1)
        )
    ).first()
    return None if row is None else SentRow(*tuple(row))


async def echoed_to(
    tx: AsyncConnection, *, bot_id: str, tenant_id: str, user_ids: Sequence[str], limit: int
) -> list[SentRow]:
    """A person's deliveries in the newest requests whose buttons speak for who presses them, the newest first."""
    newest = (
        select(requests.c.id)
        .where(requests.c.bot_id == bot_id, literal_column("requests.echoes"))  # as the index says it, for SQLite
        .order_by(requests.c.created_at.desc())
        .limit(limit)
    )
    rows = await tx.execute(
        _sent.where(
            deliveries.c.request_id.in_(newest),
            deliveries.c.user_id.in_(user_ids),
            deliveries.c.tenant_id == tenant_id,
            deliveries.c.message_id.is_not(None),
            deliveries.c.duplicate_of.is_(None),
        ).order_by(deliveries.c.seq.desc())
    )
    return [SentRow(*tuple(row)) for row in rows.all()]
