"""Transactions end, whatever happens to the task that began them."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from itertools import count

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import inbox
from storage.engine import BUSY_TIMEOUT_MS, POSTGRES_CONNECTIONS, UNAVAILABLE, Database
from tests.harness.databases import locked
from tests.harness.platforms import PATIENCE

NUMBERS = Table("numbers", MetaData(), Column("id", Integer, primary_key=True))
ROUNDS = 60
VISITORS, VISITS = 60, 10


@pytest.fixture(name="numbers")
async def _numbers(database: Database) -> Database:
    """A database with a table of its own."""
    async with database.write() as tx:
        await tx.run_sync(NUMBERS.metadata.create_all)
    return database


@contextmanager
def no_collector() -> Iterator[None]:
    """What is dropped only by the garbage collector is not dropped: nothing may depend on its moment."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def add(tx: AsyncConnection) -> list[int]:
    """Two statements; the first one hands rows back, so that its cursor stays open until they are fetched."""
    rows = await tx.execute(insert(NUMBERS).returning(NUMBERS.c.id))
    more = await tx.execute(insert(NUMBERS).returning(NUMBERS.c.id))
    return [rows.scalar_one(), more.scalar_one()]


async def write(database: Database) -> None:
    """A writer that waits for each step."""
    async with database.write() as tx:
        await add(tx)


async def transact(database: Database) -> None:
    """A writer that runs as one piece."""
    await database.transact(add)


async def read(database: Database) -> None:
    """A reader."""
    async with database.read() as tx:
        await tx.execute(select(NUMBERS))


async def handle(database: Database) -> bool:
    """A writer that tells whether it is the first."""
    async with database.write() as tx:
        return await inbox.first_time(tx, bot_id="bot", channel="slack", event_id="Ev1", now=1.0)


async def interrupt(work: asyncio.Task[None], steps: int) -> None:
    """Cancel a task after some turns of the event loop, and wait until it has gone."""
    for _ in range(steps):
        await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_a_cancelled_transaction_holds_nothing(numbers: Database) -> None:
    """Wherever a reader or a writer is cancelled, the next writer gets the database at once."""
    chance = random.Random(7)
    with no_collector():
        for _ in range(ROUNDS):
            for work in (write, transact, read):
                await interrupt(asyncio.create_task(work(numbers)), chance.randrange(40))
                async with asyncio.timeout(5):
                    await write(numbers)


async def test_a_cancelled_transaction_is_whole(numbers: Database) -> None:
    """A cancelled writer has written both of its rows or none."""
    chance = random.Random(8)
    for _ in range(ROUNDS):
        await interrupt(asyncio.create_task(chance.choice((write, transact))(numbers)), chance.randrange(40))
        async with numbers.read() as tx:
            rows = len((await tx.execute(select(NUMBERS))).all())
        assert rows % 2 == 0


async def test_a_late_writer_is_not_waited_for(database_url: str) -> None:
    """Work that is late is cancelled and its caller goes on; what it began is over, and undone, once we have closed."""
    database = Database.open(database_url)
    loop = asyncio.get_running_loop()
    async with locked(database_url):
        began = loop.time()
        with pytest.raises(TimeoutError):
            await database.in_time(handle(database), by=began + 0.1)
        took = loop.time() - began
    await database.close()

    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert took < BUSY_TIMEOUT_MS / 1000 / 2
    again = Database.open(database_url)
    assert await again.in_time(handle(again), by=loop.time() + PATIENCE)
    await again.close()


@pytest.mark.parametrize("doing", [read, write])
async def test_first_come_first_served(numbers: Database, doing: Callable[[Database], Awaitable[None]]) -> None:
    """Nobody waits for a connection behind those who came later, however many there are."""
    tickets, places = count(), count()
    late: list[int] = []

    async def visit() -> None:
        for _ in range(VISITS):
            ticket = next(tickets)
            await doing(numbers)
            late.append(next(places) - ticket)

    await asyncio.gather(*(visit() for _ in range(VISITORS)))

    # so many are served at once, and a busy machine lets the database keep some of them for more than one turn
    assert sorted(late)[-POSTGRES_CONNECTIONS] <= 3 * POSTGRES_CONNECTIONS


async def test_nobody_waits_for_ever(database_url: str) -> None:
    """When every connection is taken by something that hangs, the next one hears that the database is unavailable."""
    database = Database.open(database_url, patience=0.1)
    async with AsyncExitStack() as taken:
        while True:
            try:
                await taken.enter_async_context(database.read())
            except UNAVAILABLE:
                break
    async with database.read() as tx:
        assert (await tx.execute(select(1))).scalar_one() == 1
    await database.close()
