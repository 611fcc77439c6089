"""Requests: accepted in one transaction with all their deliveries; counted and closed with their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, and_, bindparam, case, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.ready import Ready
from storage.tables import deliveries, idempotency
from storage.tables import requests as table
from storage.upsert import upsert

OPEN = "IN_PROGRESS"
REMOVED = "removed"  # the kind of a message that is gone (storage.removal)
IDS_CHUNK = 500


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request without its message."""

    id: str
    bot_id: str
    channel: str
    client_id: str
    created_by: str
    route: str
    identity_type: str
    total: int
    done: int
    succeeded: int
    status: str
    created_at: float
    changed_at: float
    deadline_at: float


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What an idempotency key was answered with, and the body it belongs to."""

    body_hash: str
    answer: bytes
    expires_at: float


_COLUMNS = (
    table.c.id,
    table.c.bot_id,
    table.c.channel,
    table.c.client_id,
    table.c.created_by,
    table.c.route,
    table.c.identity_type,
    table.c.total,
    table.c.done,
    table.c.succeeded,
    table.c.status,
    table.c.created_at,
    table.c.changed_at,
    table.c.deadline_at,
)


async def store(tx: AsyncConnection, request: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert a request and all its deliveries. All rows have the same keys."""
    await tx.execute(insert(table).values(**request))
    await tx.execute(insert(deliveries), list(rows))


async def get(tx: AsyncConnection, *, bot_id: str, request_id: str) -> RequestRow | None:
    """One request of this bot; None for an unknown id, for another bot's, and when its contents are gone."""
    here = (table.c.id == request_id, table.c.bot_id == bot_id, table.c.kind != REMOVED)
    row = (await tx.execute(select(*_COLUMNS).where(*here))).first()
    return None if row is None else RequestRow(*tuple(row))


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A request's message: what it is (`notify.message.Kind`), and its body as JSON."""

    kind: str
    body: bytes


async def messages(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, StoredMessage]:
    """The messages of requests, by id."""
    found: dict[str, StoredMessage] = {}
    for start in range(0, len(ids), IDS_CHUNK):
        chunk = ids[start : start + IDS_CHUNK]
        rows = await tx.execute(select(table.c.id, table.c.kind, table.c.payload).where(table.c.id.in_(chunk)))
        found |= {row.id: StoredMessage(row.kind, bytes(row.payload)) for row in rows}
    return found


def _verdict() -> Any:  # SQLAlchemy types a CASE over literals as Any
    return case(
        (table.c.succeeded == table.c.total, "SUCCESS"), (table.c.succeeded == 0, "FAILURE"), else_="PARTIAL_SUCCESS"
    )


_count = Ready(
    update(table)
    .where(table.c.id == bindparam("rid"))
    .values(
        done=table.c.done + bindparam("final"),
        succeeded=table.c.succeeded + bindparam("ok"),
        changed_at=bindparam("now"),
    )
)

_close = Ready(
    update(table)
    .where(table.c.id == bindparam("rid"), table.c.done == table.c.total, table.c.status == OPEN)
    .values(status=_verdict(), closed_at=bindparam("now"), times_closed=table.c.times_closed + 1)
)


async def count_results(tx: AsyncConnection, results: Mapping[str, tuple[int, int]], *, now: float) -> list[str]:
    """Add (final, succeeded) counts to requests and close those that are complete; returns the ids closed now.

    The counts are written in the transaction of the results they count, so they cannot disagree.
    """
    # in one order, so that two lanes which finish parts of the same requests do not wait for each other
    changes = [{"rid": key, "final": final, "ok": ok, "now": now} for key, (final, ok) in sorted(results.items())]
    if not changes:
        return []
    await _count.run(tx, changes)
    return [str(change["rid"]) for change in changes if await _close.run(tx, [change])]


async def recount(tx: AsyncConnection, request_id: str, *, now: float, succeeded: int) -> None:
    """Late evidence turned failures into successes: update counts and status; the request is not closed again.

    A request that is being emptied has told its counts already.
    """
    here = (table.c.id == request_id, table.c.kind != REMOVED)
    await tx.execute(update(table).where(*here).values(succeeded=table.c.succeeded + succeeded, changed_at=now))
    await tx.execute(update(table).where(*here, table.c.status != OPEN).values(status=_verdict()))


async def log(tx: AsyncConnection, request_id: str) -> Sequence[RowMapping]:
    """The final deliveries of a request in the order they became final, then by place."""
    columns = [
        deliveries.c[name]
        for name in (
            "id", "original_id", "state", "final_at", "position", "reason", "code", "remedy", "duplicate_of",
            "user_id", "channel_id", "tenant_id", "store_id", "attempts", "trace", "notes",
        )
    ]  # fmt: skip
    rows = await tx.execute(
        select(*columns)
        .where(deliveries.c.request_id == request_id, deliveries.c.final_at.is_not(None))
        .order_by(deliveries.c.final_at, deliveries.c.position)
    )
    return rows.mappings().all()


async def open_lanes(tx: AsyncConnection, request_id: str) -> list[tuple[str, int]]:
    """The tenants in which a request still has deliveries, with how many."""
    rows = await tx.execute(
        select(deliveries.c.tenant_id, func.count())
        .where(
            deliveries.c.request_id == request_id,
            deliveries.c.final_at.is_(None),
            deliveries.c.duplicate_of.is_(None),
        )
        .group_by(deliveries.c.tenant_id)
    )
    return [(row[0], row[1]) for row in rows.all()]


async def stored_answer(
    tx: AsyncConnection, *, bot_id: str, client_id: str, route: str, key: str, now: float
) -> StoredAnswer | None:
    """The answer an idempotency key was given, while it is kept."""
    row = (
        await tx.execute(
            select(idempotency.c.body_hash, idempotency.c.answer, idempotency.c.expires_at).where(
                idempotency.c.bot_id == bot_id,
                idempotency.c.client_id == client_id,
                idempotency.c.route == route,
                idempotency.c.key == key,
                idempotency.c.expires_at > now,
            )
        )
    ).first()
    return None if row is None else StoredAnswer(row.body_hash, bytes(row.answer), row.expires_at)


async def store_answer(
    tx: AsyncConnection,
    *,
    bot_id: str,
    client_id: str,
    route: str,
    key: str,
    body_hash: str,
    answer: bytes,
    expires_at: float,
    now: float,
) -> bool:
    """Bind a key to its answer; False when a concurrent repeat was faster.

    On PostgreSQL the insert waits for the other transaction, at most five seconds (then the database's own error).
    """
    if tx.dialect.name == "postgresql":
        await tx.execute(text("SET LOCAL lock_timeout = '5s'"))
    await tx.execute(
        idempotency.delete().where(
            idempotency.c.bot_id == bot_id,
            idempotency.c.client_id == client_id,
            idempotency.c.route == route,
            idempotency.c.key == key,
            idempotency.c.expires_at <= now,
        )
    )
    row = {
        "bot_id": bot_id,
        "client_id": client_id,
        "route": route,
        "key": key,
        "body_hash": body_hash,
        "answer": answer,
        "expires_at": expires_at,
    }
    return await upsert(tx, idempotency, [row], update=()) > 0


@dataclass(frozen=True, slots=True)
class Miscount:
    """A request whose own counts disagree with its rows."""

    request_id: str
    done: int
    rows_done: int
    succeeded: int
    rows_succeeded: int
    total: int
    rows: int
    times_closed: int


async def miscounts(tx: AsyncConnection, *, changed_since: float) -> list[Miscount]:
    """The open requests and those changed since a moment, whose counts or closings are wrong."""
    final = func.count(deliveries.c.final_at)
    sent = func.sum(case((deliveries.c.state == "sent", 1), else_=0))
    rows = await tx.execute(
        select(
            table.c.id, table.c.done, final, table.c.succeeded, sent, table.c.total, func.count(), table.c.times_closed
        )
        .join(deliveries, deliveries.c.request_id == table.c.id)
        .where(or_(table.c.status == OPEN, table.c.changed_at >= changed_since), table.c.kind != REMOVED)
        .group_by(table.c.id, table.c.done, table.c.succeeded, table.c.total, table.c.times_closed, table.c.status)
        .having(
            or_(
                table.c.done != final,
                table.c.succeeded != sent,
                table.c.total != func.count(),
                and_(table.c.done == table.c.total, table.c.times_closed != 1),
                and_(table.c.done < table.c.total, table.c.status != OPEN),
            )
        )
        .limit(100)
    )
    return [Miscount(*tuple(row)) for row in rows.all()]


async def purge_answers(tx: AsyncConnection, now: float, *, limit: int) -> int:
    """Delete at most so many idempotency records whose time is over; returns how many."""
    over = idempotency.c.expires_at <= now
    some = select(idempotency.c.key).where(over).limit(limit)
    return (await tx.execute(idempotency.delete().where(over, idempotency.c.key.in_(some)))).rowcount
