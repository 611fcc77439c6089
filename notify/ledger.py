"""Where a drain writes: what became of deliveries and the intents of the next ones, in one transaction.

    fence (our term) → results → duplicates → counts and closings → intents → commit → only then the wire

A write that meets a row in another state (late evidence was faster, or a commit whose answer was lost had in fact
succeeded) is repeated row by row, and only what really changed is counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import Lane, TenantId
from notify.delivery import FINAL, WAITING, State
from notify.item import Item, intent_columns, rendered_columns, result_columns, trace_text
from storage import deliveries, failpoints, lanes
from storage import requests as requests_store
from storage.engine import Database

CLAIM_SECONDS = 30.0
"""A lane whose owner has not written for this long may be taken over."""


@dataclass(frozen=True, slots=True)
class Move:
    """An accepted delivery goes to another tenant's lane."""

    item: Item
    to: TenantId
    plan: str | None  # the column `candidates`
    after: float = 0.0  # seconds until it is due there


@dataclass(slots=True)
class Batch:
    """What one commit writes."""

    results: list[Item] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    intents: list[Item] = field(default_factory=list)
    pause: lanes.Pause | None = None
    resume: bool = False
    learned: Mapping[str, Any] | None = None

    def __bool__(self) -> bool:
        return bool(self.results or self.moves or self.intents or self.pause or self.resume or self.learned)


@dataclass(frozen=True, slots=True)
class Written:
    """What a commit did: the requests it closed, and the deliveries that something else had finished before."""

    closed: Sequence[str]
    overtaken: frozenset[str] = frozenset()


class Ledger:
    """All writes of one drain, under one term."""

    def __init__(self, database: Database, lane: Lane, term: int, *, claim_seconds: float = CLAIM_SECONDS) -> None:
        self._database = database
        self._ttl = claim_seconds
        self.key: lanes.Key = (lane.bot, str(lane.channel), lane.tenant)
        self.term = term

    async def commit(self, batch: Batch, *, now: float) -> Written:
        """Write a batch. Raises LaneLost, GuardFailed for its intents or moves, and the database's own errors."""
        try:
            closed = await self._database.transact(lambda tx: self._write(tx, batch, now))
        except deliveries.GuardFailed:
            written = await self._database.transact(lambda tx: self._write_singly(tx, batch.results, now))
            rest = replace(batch, results=[])  # by itself: whatever stops it, the results are safe
            await self._database.transact(lambda tx: self._write(tx, rest, now))
            return written
        return Written(closed)

    async def renew(self) -> None:
        """Keep the claim of an idle lane. Raises LaneLost."""
        async with self._database.write() as tx:
            await lanes.fence(tx, self.key, term=self.term, ttl=self._ttl)

    async def release(self) -> None:
        """Let the lane go."""
        async with self._database.write() as tx:
            await lanes.release(tx, self.key, term=self.term)

    async def _write(self, tx: AsyncConnection, batch: Batch, now: float) -> list[str]:
        await lanes.fence(tx, self.key, term=self.term, ttl=self._ttl)
        await deliveries.record(tx, [self._columns(item) for item in batch.results if item.was not in WAITING])
        await deliveries.settle(tx, [self._columns(item) for item in batch.results if item.was in WAITING])
        closed = await self._count(tx, batch.results, now)
        await self._write_rest(tx, batch, now)
        if batch.results:
            failpoints.reach("record.before_commit")
        if batch.intents:
            failpoints.reach("intent.before_commit")
        return closed

    async def _write_singly(self, tx: AsyncConnection, results: Sequence[Item], now: float) -> Written:
        """The slow way: each result by itself, leaving out rows that something else has finished."""
        await lanes.fence(tx, self.key, term=self.term, ttl=self._ttl)
        written, overtaken = [], set()
        for item in results:
            write = deliveries.settle if item.was in WAITING else deliveries.record
            try:
                await write(tx, [self._columns(item)])
            except deliveries.GuardFailed:
                overtaken.add(item.id)
                continue
            written.append(item)
        return Written(await self._count(tx, written, now), frozenset(overtaken))

    def _columns(self, item: Item) -> dict[str, Any]:
        return result_columns(item) | {"in_tenant": self.key[2]}

    async def _count(self, tx: AsyncConnection, written: Sequence[Item], now: float) -> list[str]:
        """Duplicates and counts of what was written; returns the requests that this closed."""
        await deliveries.mirror(
            tx, [self._columns(item) for item in written if item.row.copies and item.delivery.state in FINAL]
        )
        if written:
            failpoints.reach("record.before_progress")
        return await requests_store.count_results(tx, _counts(written), now=now)

    async def _write_rest(self, tx: AsyncConnection, batch: Batch, now: float) -> None:
        here = {"in_tenant": self.key[2]}
        await deliveries.move(tx, [_move_columns(move, now) | here for move in batch.moves])
        intents, rendered = [], []
        for item in batch.intents:
            columns = intent_columns(item, term=self.term, now=now) | here
            if item.rendered is None:
                intents.append(columns)
            else:
                rendered.append(columns | rendered_columns(item))
        await deliveries.intend(tx, intents, rendered)
        if batch.pause is not None:
            await lanes.pause(tx, self.key, batch.pause)
        elif batch.resume:
            await lanes.resume(tx, self.key)
        if batch.learned is not None:
            await lanes.remember(tx, self.key, batch.learned)


def _counts(written: Sequence[Item]) -> dict[str, tuple[int, int]]:
    """(final, succeeded) for each request, duplicates included."""
    counts: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for item in written:
        if item.delivery.state in FINAL:
            final, succeeded = counts[item.request.id]
            weight = 1 + item.row.copies
            counts[item.request.id] = (final + weight, succeeded + weight * (item.delivery.state is State.SENT))
    return counts


def _move_columns(move: Move, now: float) -> dict[str, Any]:
    return {
        "row": move.item.id,
        "to": move.to,
        "plan": move.plan,
        "trace": trace_text(move.item.trace),
        "next_at": now + move.after,
    }
