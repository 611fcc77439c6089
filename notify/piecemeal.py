"""Work on many rows, a few in each transaction, with pauses in which everybody else may write.

SQLite has one writer: while a transaction runs, no message leaves. So each is short, and most of the time none runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine import Database

AT_ONCE: Final = 25  # rows in a transaction; each may hold a message of its own
PAUSE_SECONDS: Final = 0.05
SHARE: Final = 4.0  # the pause is so many times as long as the transaction took
LONGEST_SECONDS: Final = 1.0

T = TypeVar("T")


async def piece(database: Database, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """One short transaction, and the pause after it."""
    started = time.monotonic()
    done = await database.transact(work)
    await _pause(time.monotonic() - started)
    return done


async def until_done(database: Database, work: Callable[[AsyncConnection], Awaitable[int]]) -> int:
    """Pieces until one finds fewer than `AT_ONCE` rows; returns how many rows there were in all."""
    total = 0
    while True:
        started = time.monotonic()
        count = await database.transact(work)
        total += count
        if count < AT_ONCE:
            return total
        await _pause(time.monotonic() - started)


async def _pause(took: float) -> None:
    await asyncio.sleep(min(max(PAUSE_SECONDS, SHARE * took), LONGEST_SECONDS))
