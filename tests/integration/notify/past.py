"""Requests that were closed, as they stand in the database, and what is still legible in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import tables
from storage.engine import Database
from tests.integration.notify.kit import BOT, HOME, user_id

T = TypeVar("T")
DAY = 86_400.0
NOW = 1_795_000_000.0
KEY = b"k" * 32
TEXT = "Lunch is cancelled"


class Watched(Database):
    """A database that notes how many deliveries each piece of work changed or deleted, and goes after the last one."""

    pieces: list[int]
    last: int | None = None

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """The same, with a look before and after."""

        if self.last is not None and len(self.pieces) >= self.last:
            raise OSError("the database is gone")

        async def watched(tx: AsyncConnection) -> T:
            before = await _untouched(tx)
            done = await work(tx)
            self.pieces.append(before - await _untouched(tx))
            return done

        return await super().transact(watched)


async def _untouched(tx: AsyncConnection) -> int:
    table = tables.deliveries
    named = select(func.count()).select_from(table).where(table.c.identity.not_like("forgotten-%"))
    return int((await tx.execute(named)).scalar_one())


def watched(url: str) -> Watched:
    """Open a database that is watched."""
    database = Watched.open(url)
    assert isinstance(database, Watched)
    database.pieces = []
    return database


async def closed(
    database: Database, request: str, people: Sequence[str], *, closed_at: float = NOW, **changes: Any
) -> None:
    """A request of these people in which everybody got the message, and pressed a button."""
    final = changes.get("state", "sent") not in ("accepted", "sending")
    async with database.write() as tx:
        await tx.execute(
            insert(tables.requests).values(
                id=request,
                bot_id=BOT,
                channel="slack",
                client_id="cs-1",
                created_by="u-1",
                route="v1",
                identity_type="resolve",
                payload=f'{{"text":"{TEXT}"}}'.encode(),
                options="{}",
                total=len(people),
                done=len(people) if final else 0,
                succeeded=len(people) if final else 0,
                status="SUCCESS" if final else "IN_PROGRESS",
                created_at=closed_at,
                changed_at=closed_at,
                deadline_at=closed_at + DAY,
                closed_at=closed_at if final else None,
                times_closed=int(final),
            )
        )
        rows = [
            _row(request, place, email, closed_at if final else None) | changes for place, email in enumerate(people)
        ]
        await tx.execute(insert(tables.deliveries), rows)
        pressed = [
            {
                "delivery_id": row["id"],
                "event_key": "e1",
                "at": closed_at,
                "kind": "button",
                "user_id": row["user_id"],
                "detail": '{"label":"Fine by me"}',
            }
            for row in rows
            if row["user_id"] is not None
        ]
        if pressed:
            await tx.execute(insert(tables.responses), pressed)


def _row(request: str, place: int, email: str, final_at: float | None) -> dict[str, Any]:
    person = user_id(email)
    return {
        "id": f"nl-{request}-{place}",
        "request_id": request,
        "position": place,
        "bot_id": BOT,
        "channel": "slack",
        "tenant_id": HOME,
        "original_id": email.capitalize(),
        "identity": email,
        "state": "sent",
        "final_at": final_at,
        "next_at": None if final_at else NOW,
        "user_id": person,
        "channel_id": person,
        "conversation_id": f"D-{person}",
        "payload": f'{{"text":"{TEXT}, {email}"}}'.encode(),
        "parameters": f'{{"name":"{email}"}}',
        "notes": f'{{"log":["{email}"]}}',
        "trace": f'[{{"source":"{email}","result":"found"}}]',
        "message_id": f"{request}.{place}",
        "store_id": f"ms-{request}-{place}",
    }


async def legible(database: Database, url: str) -> str:
    """All that somebody could read who has the database: the bytes of its files, or a dump of its tables."""
    if database.is_sqlite:
        path = url.removeprefix("sqlite:///")
        files = [Path(path + ending) for ending in ("", "-wal")]
        return await asyncio.to_thread(lambda: "".join(each.read_bytes().decode("latin-1") for each in files))
    found = []
    async with database.read() as tx:
        for table in tables.metadata.sorted_tables:
            rows = await tx.execute(text(f'SELECT * FROM "{table.name}"'))  # noqa: S608 - our own names
            found += [str(tuple(row)) for row in rows.all()]
    return "\n".join(found)
