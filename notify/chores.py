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
BATCH = 64
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
        while True:
            try:
                await self._do_due(lane, gate)
                wanted.clear()
                next_due = await self._next_due(lane)  # asked after the clear: what comes now sets it again
            except UNAVAILABLE as error:
                log.error(
                    "chores not readable",
                    extra={"action": "database_unavailable", "lane": str(lane), "error": describe(error)},
                )
                await asyncio.sleep(DATABASE_RETRY_SECONDS)
                continue
            rested()
            await _wait(wanted, None if next_due is None else next_due - self._now())

    async def _do_due(self, lane: Lane, gate: Gate) -> None:
        """Do what is due now; one that could not be written off does not stop the others."""
        async with self._database.read() as tx:
            rows = await store.due(tx, **_key(lane), now=self._now(), limit=BATCH)
        slots = asyncio.Semaphore(AT_ONCE)
        chores = [Chore(row.id, lane, row.kind, row.key, row.detail, row.attempts) for row in rows]
        done = await asyncio.gather(*(self._do(chore, gate, slots) for chore in chores), return_exceptions=True)
        for error in done:
            if error is not None:
                raise error

    async def _next_due(self, lane: Lane) -> float | None:
        async with self._database.read() as tx:
            return await store.next_due(tx, **_key(lane))

    async def _do(self, chore: Chore, gate: Gate, slots: asyncio.Semaphore) -> None:
        async with slots:
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
