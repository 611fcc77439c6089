"""The database as somebody else would use it: behind Herald's back, and in its way."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from sqlalchemy.engine import make_url

from storage import tables
from tests.harness.platforms import PATIENCE


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    """Another connection holds the whole database for the length of a block; on SQLite it can be read."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        names = ", ".join(sorted(tables.metadata.tables))
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE".encode())
            yield
            await connection.rollback()
        return
    lock = await asyncio.to_thread(_lock, str(parsed.database))  # whoever writes now needs the loop to finish
    try:
        yield
    finally:
        lock.close()


def _lock(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection
