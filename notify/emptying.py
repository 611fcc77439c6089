"""Requests whose time is over are emptied: first the message goes and a digest is kept, then the deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from notify.digest import digest
from notify.piecemeal import AT_ONCE, piece
from storage import failpoints, removal
from storage.engine import Database

REQUESTS: Final = 20  # taken up together: most requests have few deliveries
BYTES: Final = 1024**2  # of messages in a transaction; what goes is overwritten


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request with the digest of what it still holds."""

    id: str
    succeeded: int
    digest: str
    size: int


async def empty_old(database: Database, *, closed_before: float, key: bytes, now: float) -> int:
    """Empty every request that was closed before; returns how many are empty now."""
    emptied = 0
    while True:
        async with database.read() as tx:
            group = await removal.old(tx, closed_before=closed_before, limit=REQUESTS)
        if not group:
            return emptied
        await _begin(database, [each.id for each in group if not each.is_begun], key, now)
        finished = await _remove(database, [each.id for each in group])
        emptied += finished
        if not finished:  # another server is at the same ones, or evidence came: the next round goes on
            return emptied


async def _begin(database: Database, ids: Sequence[str], key: bytes, now: float) -> None:
    """Take the messages out, a few at a time."""
    waiting: list[_Prepared] = []
    for request_id in ids:
        waiting.append(await _prepare(database, request_id, key, now))
        if sum(each.size for each in waiting) >= BYTES:
            await _take_out(database, waiting)
            waiting = []
    if waiting:
        await _take_out(database, waiting)


async def _prepare(database: Database, request_id: str, key: bytes, now: float) -> _Prepared:
    async with database.read() as tx:
        held = await removal.contents(tx, request_id)
    left = await asyncio.to_thread(digest, key, held.payload, held.deliveries, removed_at=now)
    return _Prepared(request_id, held.succeeded, left, len(held.payload))


async def _take_out(database: Database, prepared: Sequence[_Prepared]) -> None:
    async def work(tx: AsyncConnection) -> None:
        for each in prepared:
            await removal.begin(tx, each.id, succeeded=each.succeeded, digest=each.digest)
        failpoints.reach("purge.before_commit")

    await piece(database, work)


async def _remove(database: Database, ids: Sequence[str]) -> int:
    """Delete the deliveries of requests that were begun; returns how many requests are empty."""

    async def work(tx: AsyncConnection) -> tuple[int, int]:
        removed = await removal.remove(tx, ids, limit=AT_ONCE)
        finished = await removal.finish(tx, ids) if removed < AT_ONCE else 0
        failpoints.reach("purge.before_commit")
        return removed, finished

    while True:
        removed, finished = await piece(database, work)
        if removed < AT_ONCE:
            return finished
