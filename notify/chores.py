"""Chores of a lane: what an install or an event asked for, done at low priority through the lane's gate.

Chores that somebody waits for have hands of their own: neither kind can keep the other from being done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from adapters.base import Chore, ChoreDone, ChoreHandler, ChoreLater, ChoreOutcome, Fault, FaultClass, Gate, Lane
from storage import chores as store
from storage import failpoints
from storage.engine import UNAVAILABLE, Database, describe

log = logging.getLogger("herald.chores")

AT_ONCE = 8
AWAITED_AT_ONCE = 8  # of the chores that somebody waits for
LOOK_SECONDS = 1.0  # while all hands are full, so often somebody looks whether more urgent work has come
GIVE_UP_AFTER = 12  # failed tries; the last waits are an hour long
BACKOFF_MOST_SECONDS = 3600.0
DATABASE_RETRY_SECONDS = 5.0
_BROKEN = Fault(FaultClass.NOT_SENT, "chore_failed", "", "internal_error")


@dataclass(frozen=True, slots=True)
class _Running:
    task: asyncio.Task[None]
    awaited: bool


class ChoreBook:
    """Knows who does which kind of chore; `awaited` are the kinds that somebody waits for."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, ChoreHandler],
        *,
        clock: Callable[[], float],
        awaited: frozenset[str] = frozenset(),
    ) -> None:
        self._database = database
        self._handlers = handlers
        self._now = clock
        self._awaited = awaited

    async def run(
        self, lane: Lane, gate: Gate, wanted: asyncio.Event, rested: Callable[[], None] = lambda: None
    ) -> None:
        """Do the lane's chores as they fall due.

        `wanted` is set while some may be due, cleared when none is; `rested` is called then.
        """
        wanted.set()
        running: dict[int, _Running] = {}
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
                    tasks = [each.task for each in running.values()]
                    await asyncio.wait(tasks, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    continue
                rested()
                await _wait(wanted, None if next_due is None else next_due - self._now())
        finally:
            for each in running.values():
                each.task.cancel()
            await asyncio.gather(*(each.task for each in running.values()), return_exceptions=True)

    async def _begin_due(self, lane: Lane, gate: Gate, running: dict[int, _Running]) -> bool:
        """Begin what is due, the oldest first, as far as there are hands; False if there is nothing to do.

        One that could not be written off stops no other, and is told when those that ended with it are counted out.
        """
        ended = {number: each for number, each in running.items() if each.task.done()}
        for number in ended:
            del running[number]
        for each in ended.values():
            each.task.result()
        awaited = sum(each.awaited for each in running.values())
        free = {True: AWAITED_AT_ONCE - awaited, False: AT_ONCE - (len(running) - awaited)}
        for row in await self._to_begin(lane, free, running) if any(free.values()) else ():
            chore = Chore(row.id, lane, row.kind, row.key, row.detail, row.attempts)
            task = asyncio.create_task(self._do(chore, gate))
            running[row.id] = _Running(task, row.kind in self._awaited)
        return bool(running)

    async def _to_begin(
        self, lane: Lane, free: Mapping[bool, int], running: Mapping[int, _Running]
    ) -> list[store.ChoreRow]:
        """The oldest for the free hands of either sort. Who is waited for is due before all others, so that only the
        others may stand so far behind that they are looked for further down."""
        limit = AT_ONCE + AWAITED_AT_ONCE + len(running)
        while True:
            async with self._database.read() as tx:
                rows = await store.due(tx, **_key(lane), now=self._now(), limit=limit)
            waiting = [row for row in rows if row.id not in running]
            awaited = [row for row in waiting if row.kind in self._awaited]
            others = [row for row in waiting if row.kind not in self._awaited]
            if len(rows) < limit or len(others) >= free[False]:
                return awaited[: free[True]] + others[: free[False]]
            limit *= 4

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
