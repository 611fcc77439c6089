"""Requests whose time is over lose what they held, a few rows at a time; the row with its counts and a digest stay.

    kind       digest
    other      NULL     whole
    'removed'  NULL     being emptied: the digest waits in `options` until the last delivery is gone
    'removed'  set      empty

So the digest is made of everything, and whoever is killed in between finds what is left by the same index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.requests import REMOVED
from storage.tables import deliveries
from storage.tables import requests as table


@dataclass(frozen=True, slots=True)
class OldRequest:
    """A request whose contents are to go."""

    id: str
    closed_at: float
    is_begun: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What a digest is made of: the message, and each delivery's identity, state and reason in their order."""

    payload: bytes
    succeeded: int
    deliveries: Sequence[tuple[str, str, str | None]]


async def old(tx: AsyncConnection, *, closed_before: float, limit: int) -> list[OldRequest]:
    """Requests that were closed long ago and still hold something, the oldest first."""
    rows = await tx.execute(
        select(table.c.id, table.c.closed_at, table.c.kind == REMOVED)
        .where(table.c.closed_at < closed_before, table.c.digest.is_(None))
        .order_by(table.c.closed_at)
        .limit(limit)
    )
    return [OldRequest(row[0], row[1], bool(row[2])) for row in rows.all()]


async def contents(tx: AsyncConnection, request_id: str) -> Contents:
    """All that a request holds."""
    head = (await tx.execute(select(table.c.payload, table.c.succeeded).where(table.c.id == request_id))).one()
    rows = await tx.execute(
        select(deliveries.c.identity, deliveries.c.state, deliveries.c.reason)
        .where(deliveries.c.request_id == request_id)
        .order_by(deliveries.c.position)
    )
    return Contents(bytes(head.payload), head.succeeded, [(row[0], row[1], row[2]) for row in rows.all()])


async def begin(tx: AsyncConnection, request_id: str, *, succeeded: int, digest: str) -> bool:
    """Take the message out; False when somebody else did, or late evidence made the digest untrue."""
    result = await tx.execute(
        update(table)
        .where(
            table.c.id == request_id,
            table.c.digest.is_(None),
            table.c.kind != REMOVED,
            table.c.succeeded == succeeded,
        )
        .values(kind=REMOVED, payload=b"", options=digest, echoes=False)
    )
    return result.rowcount > 0


async def remove(tx: AsyncConnection, ids: Sequence[str], *, limit: int) -> int:
    """Delete at most so many deliveries of requests that are being emptied, with what was pressed in them."""
    begun = select(table.c.id).where(table.c.id.in_(ids), table.c.kind == REMOVED)
    found = await tx.execute(
        select(deliveries.c.seq)
        .where(deliveries.c.request_id.in_(begun))
        .limit(limit)
        .with_for_update(skip_locked=True)  # another server's are not waited for
    )
    seqs = found.scalars().all()
    if seqs:
        await tx.execute(delete(deliveries).where(deliveries.c.seq.in_(seqs)))
    return len(seqs)


async def finish(tx: AsyncConnection, ids: Sequence[str]) -> int:
    """Those of the requests that hold nothing any more are empty; returns how many."""
    result = await tx.execute(
        update(table)
        .where(
            table.c.id.in_(ids),
            table.c.kind == REMOVED,
            table.c.digest.is_(None),
            ~exists().where(deliveries.c.request_id == table.c.id),
        )
        .values(digest=table.c.options, options="{}")
    )
    return result.rowcount
