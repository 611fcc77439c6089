"""Chores of a lane: what an install or an event asked for, done at low priority through the lane's gate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import assert_never

from adapters.base import Chore, ChoreDone, ChoreHandler, ChoreLater, ChoreOutcome, Fault, FaultClass, Gate, Lane
from storage import chores as store
from storage import failpoints
from storage.engine import UNAVAILABLE, Database, describe

log = logging.getLogger("herald.chores")

AT_ONCE = 8
LOOK_SECONDS = 1.0  # while all hands are full, so often somebody looks whether more urgent work has come
GIVE_UP_AFTER = 12  # failed tries; the last waits are an hour long
BACKOFF_MOST_SECONDS = 3600.0
DATABASE_RETRY_SECONDS = 5.0
_BROKEN = Fault(FaultClass.NOT_SENT, "chore_failed", "", "internal_error")


class ChoreBook:
    """Knows who does which kind of chore."""

    def __init__(self, database: Database, handlers: Mapping[str, ChoreHandler], *, clock: Callable[[], float]) -> None:
        self._database = database
        self._handlers = handlers
        self._now = clock

    async def run(
        self, lane: Lane, gate: Gate, wanted: asyncio.Event, rested: Callable[[], None] = lambda: None
    ) -> None:
        """Do the lane's chores as they fall due.

        `wanted` is set while some may be due, cleared when none is; `rested` is called then.
        """
        wanted.set()
        running: dict[int, asyncio.Task[None]] = {}
        try:
            while True:
                try:
                    busy = await self._begin_due(lane, gate, running)
                    if not busy:
                        wanted.clear()
                        next_due = await self._next_due(lane)  # asked after the clear: what comes now sets it again
                except UNAVAILABLE as error:
                    log.error(
                        "chores not readable",
                        extra={"action": "database_unavailable", "lane": str(lane), "error": describe(error)},
                    )
                    await asyncio.sleep(DATABASE_RETRY_SECONDS)
                    continue
                if busy:
                    await asyncio.wait(running.values(), timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    continue
                rested()
                await _wait(wanted, None if next_due is None else next_due - self._now())
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    async def _begin_due(self, lane: Lane, gate: Gate, running: dict[int, asyncio.Task[None]]) -> bool:
        """Begin what is due, the oldest first, as far as there are hands; False if there is nothing to do.

        One that could not be written off stops no other, and is told when those that ended with it are counted out.
        """
        ended = {number: task for number, task in running.items() if task.done()}
        for number in ended:
            del running[number]
        for task in ended.values():
            task.result()
        free = AT_ONCE - len(running)
        if free > 0:
            async with self._database.read() as tx:
                rows = await store.due(tx, **_key(lane), now=self._now(), limit=AT_ONCE + len(running))
            for row in [row for row in rows if row.id not in running][:free]:
                chore = Chore(row.id, lane, row.kind, row.key, row.detail, row.attempts)
                running[row.id] = asyncio.create_task(self._do(chore, gate))
        return bool(running)

    async def _next_due(self, lane: Lane) -> float | None:
        async with self._database.read() as tx:
            return await store.next_due(tx, **_key(lane))

    async def _do(self, chore: Chore, gate: Gate) -> None:
        outcome = await self._ask(chore, gate)
        failpoints.reach("chore.done")
        async with self._database.write() as tx:
            match outcome:
                case ChoreDone():
                    await store.done(tx, chore.id)
                case ChoreLater(after, fault, detail):
                    if fault is not None and chore.attempts >= GIVE_UP_AFTER:
                        log.error(
                            "chore given up",
                            extra={"action": "chore_given_up", "lane": str(chore.lane), "kind": chore.kind},
                        )
                        await store.done(tx, chore.id)
                    else:
                        at = self._now() + max(after, 0.0)
                        await store.postpone(tx, chore.id, at=at, detail=detail, failed=fault is not None)
                case _:
                    assert_never(outcome)

    async def _ask(self, chore: Chore, gate: Gate) -> ChoreOutcome:
        handler = self._handlers.get(chore.kind)
        if handler is None:
            return ChoreDone("this version does not know the kind")
        try:
            return await handler(chore, gate)
        except Exception:
            log.exception("chore failed", extra={"action": "chore_failed", "lane": str(chore.lane), "kind": chore.kind})
            return ChoreLater(min(2.0**chore.attempts, BACKOFF_MOST_SECONDS), _BROKEN)


def _key(lane: Lane) -> dict[str, str]:
    return {"bot_id": lane.bot, "channel": str(lane.channel), "tenant_id": lane.tenant}


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        event.set()
