"""Deliveries: the queue itself. Every write carries its guard: the state it leaves, and the term of the lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.lanes import Key
from storage.ready import Ready
from storage.tables import deliveries as table
from storage.tables import requests


class GuardFailed(RuntimeError):
    """A guarded write met a row that is not in the expected state; the transaction must be rolled back."""


@dataclass(frozen=True, slots=True)
class QueuedRow:
    """An open delivery as the drain loads it."""

    seq: int
    id: str
    request_id: str
    original_id: str
    identity: str
    candidates: str | None
    copies: int
    state: str
    next_at: float
    attempts: int
    repairs: int
    user_id: str | None
    channel_id: str | None
    conversation_id: str | None
    service_url: str | None
    kind: str | None
    payload: bytes | None
    parameters: str | None
    notes: str | None
    wire_started_at: float | None
    reason: str | None
    code: str | None
    detail: str | None
    remedy: str | None
    trace: str | None


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request with open deliveries in a lane."""

    request_id: str
    client_id: str
    total: int
    identity_type: str
    deadline_at: float
    options: str
    first_seq: int
    last_seq: int
    remaining: int


_QUEUED = tuple(table.c[name] for name in QueuedRow.__slots__)


def _open(key: Key) -> ColumnElement[bool]:
    return and_(
        table.c.bot_id == key[0],
        table.c.channel == key[1],
        table.c.tenant_id == key[2],
        table.c.final_at.is_(None),
        table.c.duplicate_of.is_(None),
    )


async def open_requests(tx: AsyncConnection, key: Key, *, after_seq: int) -> list[OpenRequest]:
    """The requests with open deliveries in a lane that were accepted after `after_seq`, oldest first."""
    grouped = (
        select(
            table.c.request_id,
            func.min(table.c.seq).label("first_seq"),
            func.max(table.c.seq).label("last_seq"),
            func.count().label("remaining"),
        )
        .where(_open(key), table.c.seq > after_seq)
        .group_by(table.c.request_id)
        .subquery()
    )
    rows = await tx.execute(
        select(
            grouped.c.request_id,
            requests.c.client_id,
            requests.c.total,
            requests.c.identity_type,
            requests.c.deadline_at,
            requests.c.options,
            grouped.c.first_seq,
            grouped.c.last_seq,
            grouped.c.remaining,
        )
        .join(requests, requests.c.id == grouped.c.request_id)
        .order_by(grouped.c.first_seq)
    )
    return [OpenRequest(*tuple(row)) for row in rows.all()]


async def load(
    tx: AsyncConnection, key: Key, request_id: str, *, after_seq: int, now: float, limit: int
) -> list[QueuedRow]:
    """The next waiting deliveries of one request in a lane, in their order; those due later are passed over."""
    rows = await tx.execute(
        select(*_QUEUED)
        .where(
            _open(key),
            table.c.request_id == request_id,
            table.c.seq > after_seq,
            table.c.state.in_(("accepted", "ready")),
            table.c.next_at <= now,
        )
        .order_by(table.c.seq)
        .limit(limit)
    )
    return [QueuedRow(*tuple(row)) for row in rows.all()]


async def in_state(tx: AsyncConnection, key: Key, state: str, *, limit: int) -> list[QueuedRow]:
    """Open deliveries of a lane in one state, oldest first."""
    statement = select(*_QUEUED).where(_open(key), table.c.state == state).order_by(table.c.seq).limit(limit)
    return [QueuedRow(*tuple(row)) for row in (await tx.execute(statement)).all()]


async def next_due(tx: AsyncConnection, key: Key, *, after: float) -> float | None:
    """The first moment after `after` at which an open delivery of the lane is due."""
    found: float | None = (
        await tx.execute(select(func.min(table.c.next_at)).where(_open(key), table.c.next_at > after))
    ).scalar_one_or_none()
    return found


_HERE = table.c.tenant_id == bindparam("in_tenant")  # terms are counted per lane: a row of another lane is not ours

_WAITING = or_(table.c.state == "accepted", table.c.state == "ready")  # IN cannot be used with many rows at once

_OURS_ALREADY = and_(  # the commit whose answer was lost had succeeded
    table.c.state == "sending", table.c.term == bindparam("term"), table.c.attempts == bindparam("attempts")
)

_INTENT = (
    "term", "attempts", "user_id", "channel_id", "conversation_id", "service_url", "wire_started_at", "next_at",
    "trace",
)  # fmt: skip
_RENDERED = ("kind", "payload", "notes")


def _intention(*columns: str) -> Ready:
    return Ready(
        update(table)
        .where(table.c.id == bindparam("row"), _HERE, or_(_WAITING, _OURS_ALREADY))
        .values({name: bindparam(name) for name in columns} | {"state": "sending"})
    )


_intend = _intention(*_INTENT)
_intend_rendered = _intention(*_INTENT, *_RENDERED)

_RESULT = (
    "state", "next_at", "attempts", "repairs", "user_id", "channel_id", "conversation_id", "service_url",
    "final_at", "reason", "code", "detail", "remedy", "message_id", "store_id", "trace", "notes",
)  # fmt: skip

_record = Ready(
    update(table)
    .where(
        table.c.id == bindparam("row"),
        _HERE,
        table.c.state == bindparam("was"),
        table.c.term == bindparam("its_term"),
    )
    .values({name: bindparam(name) for name in _RESULT})
)

_settle = Ready(
    update(table)
    .where(table.c.id == bindparam("row"), _HERE, _WAITING)
    .values({name: bindparam(name) for name in _RESULT})
)

_mirror = Ready(
    update(table)
    .where(table.c.duplicate_of == bindparam("row"), table.c.final_at.is_(None))
    .values(
        {name: bindparam(name) for name in _RESULT if name not in ("attempts", "repairs", "next_at")}
        | {"next_at": None, "tenant_id": bindparam("in_tenant")}
    )
)

_move = Ready(
    update(table)
    .where(table.c.id == bindparam("row"), _HERE, table.c.state == "accepted")
    .values(
        tenant_id=bindparam("to"), candidates=bindparam("plan"), trace=bindparam("trace"), next_at=bindparam("next_at")
    )
)


async def _guarded(tx: AsyncConnection, statement: Ready, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run one guarded update for every row; all of them must hit."""
    if not rows:
        return
    hit = await statement.run(tx, rows)
    if hit != len(rows):
        raise GuardFailed(f"{len(rows) - hit} of {len(rows)} deliveries were not in the expected state")


async def intend(
    tx: AsyncConnection, rows: Sequence[Mapping[str, Any]], rendered: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Commit the intent to send: accepted or ready → sending; `rendered` rows store what was rendered with it.

    Raises GuardFailed if one is not waiting here. A row that is in flight already in the same term and attempt counts
    too: the commit whose answer was lost had succeeded.
    """
    await _guarded(tx, _intend, rows)
    await _guarded(tx, _intend_rendered, rendered)


async def record(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what became of deliveries that a state and a term own (`was`, `its_term`). Raises GuardFailed."""
    await _guarded(tx, _record, rows)


async def settle(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what became of deliveries that never left. Raises GuardFailed."""
    await _guarded(tx, _settle, rows)


async def mirror(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Give the duplicates of final deliveries the same result."""
    if rows:
        await _mirror.run(tx, rows)


async def move(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Hand accepted deliveries to another tenant's lane. Raises GuardFailed."""
    await _guarded(tx, _move, rows)


async def recover(tx: AsyncConnection, key: Key, *, term: int, now: float) -> int:
    """Deliveries that a former owner left in flight become uncertain, never ready. Returns how many."""
    result = await tx.execute(
        update(table)
        .where(_open(key), table.c.state == "sending", table.c.term < term)
        .values(
            state="uncertain",
            term=term,
            next_at=now,
            reason="no_clear_answer",
            code="process_died",
            detail=None,
            remedy=None,
        )
    )
    return result.rowcount


async def adopt(tx: AsyncConnection, key: Key, *, term: int) -> None:
    """Deliveries that are being looked for belong to the lane's present owner."""
    await tx.execute(
        update(table).where(_open(key), table.c.state == "uncertain", table.c.term < term).values(term=term)
    )


async def past_deadline(tx: AsyncConnection, key: Key, *, now: float, limit: int) -> list[QueuedRow]:
    """Waiting or uncertain deliveries whose request's deadline has passed."""
    rows = await tx.execute(
        select(*_QUEUED)
        .join(requests, requests.c.id == table.c.request_id)
        .where(_open(key), requests.c.deadline_at <= now, table.c.state.in_(("accepted", "ready", "uncertain")))
        .order_by(table.c.seq)
        .limit(limit)
    )
    return [QueuedRow(*tuple(row)) for row in rows.all()]


async def without_next_time(tx: AsyncConnection) -> int:
    """Open deliveries that nothing would ever take up again; always 0."""
    statement = (
        select(func.count())
        .select_from(table)
        .where(table.c.final_at.is_(None), table.c.duplicate_of.is_(None), table.c.next_at.is_(None))
    )
    return (await tx.execute(statement)).scalar_one()


@dataclass(frozen=True, slots=True)
class DoubtfulRow:
    """A delivery that may have arrived."""

    id: str
    request_id: str
    state: str
    copies: int


async def is_known_message(tx: AsyncConnection, *, bot_id: str, channel: str, tenant_id: str, message_id: str) -> bool:
    """Whether a delivery already carries this platform message id."""
    statement = select(table.c.seq).where(
        table.c.bot_id == bot_id,
        table.c.channel == channel,
        table.c.tenant_id == tenant_id,
        table.c.message_id == message_id,
    )
    return (await tx.execute(statement.limit(1))).first() is not None


async def in_doubt(
    tx: AsyncConnection,
    *,
    bot_id: str,
    channel: str,
    tenant_id: str,
    user_id: str,
    conversation_id: str,
    earliest: float,
    latest: float,
) -> list[DoubtfulRow]:
    """Uncertain and unconfirmed deliveries to a person whose call began between two moments; at most two."""
    rows = await tx.execute(
        select(table.c.id, table.c.request_id, table.c.state, table.c.copies)
        .where(
            table.c.bot_id == bot_id,
            table.c.channel == channel,
            table.c.tenant_id == tenant_id,
            table.c.duplicate_of.is_(None),
            or_(table.c.state == "uncertain", table.c.state == "unconfirmed"),
            or_(
                table.c.user_id == user_id,
                table.c.channel_id == user_id,
                table.c.conversation_id == conversation_id,
            ),
            table.c.wire_started_at >= earliest,
            table.c.wire_started_at <= latest,
        )
        .limit(2)
    )
    return [DoubtfulRow(*tuple(row)) for row in rows.all()]


async def prove(tx: AsyncConnection, delivery_id: str, *, was: str, message_id: str, store_id: str, now: float) -> bool:
    """Evidence turns a delivery in doubt, and its duplicates, into sent; a final moment that was told is kept."""
    values = {
        "state": "sent",
        "next_at": None,
        "final_at": func.coalesce(table.c.final_at, now),
        "message_id": message_id,
        "store_id": store_id,
        "reason": None,
        "code": None,
        "detail": None,
        "remedy": None,
    }
    changed = await tx.execute(update(table).where(table.c.id == delivery_id, table.c.state == was).values(**values))
    if changed.rowcount != 1:
        return False
    await tx.execute(update(table).where(table.c.duplicate_of == delivery_id).values(**values))
    return True
