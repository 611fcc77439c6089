"""The sign of life of a process that holds lanes on PostgreSQL: a session lock that dies with its process.

A claim outlives its owner by up to its whole term, and in that time nobody may tell a killed owner from a slow one by
looking at the clock. The database can: each process keeps one connection with an advisory lock under its own id for
as long as it lives. The kernel closes the connection of a killed process, the database drops the lock, and a successor
may take over at once instead of waiting for the claim to expire. A process that merely hangs keeps its connection, so
it keeps its claim until that runs out. A host that lost its power keeps its connection as well until TCP gives up;
there the claim's end decides too.

The lock is only looked for, never taken by others: behind a pooler that shares sessions it may outlive its process,
which costs the head start and nothing else. A database that has just started has forgotten everybody's locks, so
until those who live have had time to take theirs again, a missing one says nothing. And should the sign ever deceive,
the term still fences: whoever was declared dead writes nothing any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine import UNAVAILABLE, Database, describe

log = logging.getLogger("herald.lifesign")

CHECK_SECONDS = 2.0
FORGETFUL_SECONDS = 5.0  # after the database's own start: time to notice, and to take the lock again


def _lock_key(owner: str) -> int:
    """An owner's id (16 hexadecimal digits) as the signed number that names its lock."""
    return int.from_bytes(bytes.fromhex(owner), "big", signed=True)


class LifeSign:
    """Shows that this process lives; on SQLite the lock on the file says the same, so nothing is done."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._key = _lock_key(owner)
        self._connection: AsyncConnection | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def show(self) -> None:
        """Take the lock and keep it until `withdraw`. Raises the database's own errors."""
        if self._database.is_sqlite:
            return
        await self._take()
        self._keeping = asyncio.create_task(self._keep())

    async def withdraw(self) -> None:
        """Let the lock go; this process holds no lane any more."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self._drop()

    async def _take(self) -> None:
        connection = await self._database.engine.connect()
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
        except BaseException:
            await connection.invalidate()
            await connection.close()
            raise
        self._connection = connection

    async def _drop(self) -> None:
        """Close the connection for good, so that the pool does not hand the lock to somebody else."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await connection.invalidate()
            await connection.close()
        except UNAVAILABLE as error:
            log.info("sign of life was gone", extra={"action": "lifesign_gone", "error": describe(error)})

    async def _keep(self) -> None:
        """Notice a lost connection and take the lock again."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                if self._connection is None:
                    await self._take()
                else:
                    await self._connection.execute(text("SELECT 1"))
            except UNAVAILABLE as error:
                log.warning("sign of life lost", extra={"action": "lifesign_lost", "error": describe(error)})
                await self._drop()


async def dead(tx: AsyncConnection, owners: Iterable[str]) -> list[str]:
    """Those of these owners that certainly do not live any more. PostgreSQL only."""
    asked = list(owners)
    if not asked:
        return []
    rows = await tx.execute(
        text(
            "SELECT classid::bigint AS high, objid::bigint AS low FROM pg_locks"
            " WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    )
    living = {(row.high << 32) | row.low for row in rows}
    forgetful = await tx.execute(
        text("SELECT clock_timestamp() < pg_postmaster_start_time() + make_interval(secs => :seconds)"),
        {"seconds": FORGETFUL_SECONDS},
    )
    if forgetful.scalar_one():
        return []
    return [owner for owner in asked if _lock_key(owner) % 2**64 not in living]
