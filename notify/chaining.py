"""Puts the loose rows of the audit record into the chain, some at a time, each minute and in transactions of its own.

Several servers may do it at once: a place can be taken only once, so one of them wins and the others find nothing
loose in their next round. A row that does not hold is told and gone on from, so that what is written later is
protected none the less; `herald audit verify` names it for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.chain import START, Head, extend, follows, head_at
from storage import audit_events
from storage.engine import Database

log = logging.getLogger("herald.record")

AT_ONCE: Final = 200
ANCHOR_SECONDS: Final = 3600.0


class _TakenMeanwhile(Exception):
    """Another server has chained some of the same rows."""


class Chaining:
    """The chain as this process knows it: its head, and the first place that it saw broken."""

    def __init__(self, database: Database, key: bytes, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._key = key
        self._now = clock
        self._anchored: Head | None = None
        self._anchored_at = float("-inf")
        self.head = START
        self.broken: int | None = None

    async def round(self) -> None:
        """Look at the head, chain what is loose, and tell the new head to the log once an hour."""
        async with self._database.read() as tx:
            await self._look(tx)
            waiting = bool(await audit_events.loose(tx, 1))
        while waiting:
            try:
                waiting = await self._database.transact(self._extend) == AT_ONCE
            except (IntegrityError, OperationalError, _TakenMeanwhile):  # PostgreSQL may see a deadlock between two
                break  # whoever was faster goes on; the rest is chained in the next round
        async with self._database.read() as tx:
            last = await audit_events.head(tx)
        self.head = START if last is None else head_at(last)
        self._anchor()

    async def _look(self, tx: AsyncConnection) -> None:
        """Whether the head holds, and whether the one that this process saw last still stands in its place."""
        last = await audit_events.head(tx)
        if last is not None and last.position is not None:
            before = await audit_events.at_position(tx, last.position - 1)
            if not follows(self._key, before, last):
                self._found(last.position)
        if self.head != START:
            seen = await audit_events.at_position(tx, self.head.position)
            if seen is None or head_at(seen) != self.head:
                self._found(self.head.position)

    async def _extend(self, tx: AsyncConnection) -> int:
        """One batch; returns its size."""
        rows = await audit_events.loose(tx, AT_ONCE)
        if not rows:
            return 0
        last = await audit_events.head(tx)
        links = list(extend(self._key, START if last is None else head_at(last), rows))
        if await audit_events.chain(tx, links) != len(links):
            raise _TakenMeanwhile
        return len(links)

    def _found(self, position: int) -> None:
        if self.broken is None or position < self.broken:
            self.broken = position
            log.error("the audit record does not hold", extra={"action": "audit_chain_broken", "position": position})

    def _anchor(self) -> None:
        """A head in a log that others keep proves later that nothing before it was changed."""
        if self.head in (START, self._anchored) or self._now() - self._anchored_at < ANCHOR_SECONDS:
            return
        self._anchored, self._anchored_at = self.head, self._now()
        log.info(
            "the head of the audit record",
            extra={"action": "audit_head", "position": self.head.position, "hash": self.head.hash},
        )
