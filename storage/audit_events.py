"""The audit record: who did what to what, and when. Rows are only added; `position` and `hash` chain them later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, bindparam, func, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.ready import Ready
from storage.tables import audit_events as table

MAX_TEXT: Final = 255
STARTED: Final = "started"
OPERATOR: Final = "operator"  # whoever has the settings and the command line
PLATFORM: Final = "platform"  # an event of the platform that names nobody


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the record."""

    seq: int
    at: float
    kind: str
    bot_id: str
    channel: str
    tenant_id: str
    actor: str
    subject: str
    detail: str
    position: int | None = None
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """The place of a row in the chain, and the hash there."""

    seq: int
    position: int
    hash: str


_COLUMNS = tuple(table.c[name] for name in Entry.__slots__)
_WRITTEN = ("at", "kind", "bot_id", "channel", "tenant_id", "actor", "subject", "detail")

_append = Ready(insert(table), _WRITTEN)
_chain = Ready(
    update(table)
    .where(table.c.seq == bindparam("row"), table.c.position.is_(None))
    .values(position=bindparam("place"), hash=bindparam("digest"))
)


async def append(
    tx: AsyncConnection,
    *,
    at: float,
    kind: str,
    actor: str,
    subject: str,
    bot_id: str = "",
    channel: str = "",
    tenant_id: str = "",
    detail: Mapping[str, object] | None = None,
) -> None:
    """Record what this transaction does; it stands there exactly when the transaction is committed.

    `actor` and `subject` are ids, never a name, an e-mail address or a text.
    """
    row = {
        "at": at,
        "kind": kind,
        "bot_id": bot_id,
        "channel": str(channel),
        "tenant_id": tenant_id,
        "actor": actor[:MAX_TEXT],
        "subject": subject[:MAX_TEXT],
        "detail": json.dumps(dict(detail or {}), sort_keys=True),
    }
    await _append.run(tx, [row])


async def chain(tx: AsyncConnection, links: Sequence[Link]) -> int:
    """Give loose rows their places; returns how many were still loose. A place that is taken is an IntegrityError."""
    return await _chain.run(tx, [{"row": each.seq, "place": each.position, "digest": each.hash} for each in links])


async def head(tx: AsyncConnection) -> Entry | None:
    """The last row of the chain."""
    return await _one(tx, select(*_COLUMNS).where(table.c.position.is_not(None)).order_by(table.c.position.desc()))


async def at_position(tx: AsyncConnection, position: int) -> Entry | None:
    """The row at a place of the chain."""
    return await _one(tx, select(*_COLUMNS).where(table.c.position == position))


async def loose(tx: AsyncConnection, limit: int) -> list[Entry]:
    """The oldest rows that are not in the chain yet."""
    found = select(*_COLUMNS).where(table.c.position.is_(None)).order_by(table.c.seq).limit(limit)
    return await _all(tx, found)


async def count_loose(tx: AsyncConnection) -> int:
    """How many rows are not in the chain yet."""
    return int((await tx.execute(select(func.count()).where(table.c.position.is_(None)))).scalar_one())


async def chained(tx: AsyncConnection, *, after: int | None, limit: int) -> list[Entry]:
    """The next rows of the chain after a place, from its very beginning with None."""
    found = select(*_COLUMNS).where(table.c.position.is_not(None)).order_by(table.c.position).limit(limit)
    return await _all(tx, found if after is None else found.where(table.c.position > after))


async def written(tx: AsyncConnection, *, after: int, since: float, limit: int) -> list[Entry]:
    """The next rows written after row `after`, of moments from `since` on, in the order of writing."""
    found = select(*_COLUMNS).where(table.c.seq > after, table.c.at >= since).order_by(table.c.seq).limit(limit)
    return await _all(tx, found)


async def last_start(tx: AsyncConnection) -> Entry | None:
    """The newest row that records a start, by the index of its own."""
    started = table.c.kind == literal_column("'started'")  # no parameter: it must be the index's own condition
    return await _one(tx, select(*_COLUMNS).where(started).order_by(table.c.seq.desc()))


async def _one(tx: AsyncConnection, found: Select[Any]) -> Entry | None:
    rows = await _all(tx, found.limit(1))
    return rows[0] if rows else None


async def _all(tx: AsyncConnection, found: Select[Any]) -> list[Entry]:
    return [Entry(*tuple(row)) for row in (await tx.execute(found)).all()]
