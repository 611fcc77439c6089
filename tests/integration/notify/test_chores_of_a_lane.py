"""Chores: done beside the deliveries, after them where both need the same calls, and not given up lightly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from adapters.base import Chore, ChoreDone, ChoreLater, ChoreOutcome, Gate, MethodPace
from storage import chores as store
from storage.engine import Database
from storage.tables import chores as table
from tests.integration.notify.kit import BOT, HOME, UNREACHABLE, Platform, crowd, serving, soon, until


class Worker:
    """A chore handler that keeps when it was called and answers as it is told."""

    def __init__(self, answer: Callable[[Chore], ChoreOutcome] | None = None, bucket: str | None = None) -> None:
        self.at: list[float] = []
        self.details: list[object] = []
        self.called = asyncio.Event()
        self._answer = answer or (lambda _chore: ChoreDone())
        self._bucket = bucket

    async def __call__(self, chore: Chore, gate: Gate) -> ChoreOutcome:
        """Do one chore."""
        if self._bucket is not None:
            await gate.enter(self._bucket)
        self.at.append(time.monotonic())
        self.details.append(chore.detail)
        self.called.set()
        return self._answer(chore)


async def ask(database: Database, kind: str, *keys: str, at: float | None = None) -> None:
    """An event asks for chores."""
    async with database.write() as tx:
        for key in keys:
            await store.add(
                tx,
                bot_id=BOT,
                channel="slack",
                tenant_id=HOME,
                kind=kind,
                key=key,
                detail={"page": 1},
                at=time.time() if at is None else at,
            )


async def left(database: Database) -> int:
    """How many chores wait."""
    async with database.read() as tx:
        return (await tx.execute(select(func.count()).select_from(table))).scalar_one()


async def _none_left(database: Database) -> bool:
    return await left(database) == 0


class TestChores:
    async def test_done_and_gone(self, database: Database) -> None:
        """A chore that is asked for is done once, and its lane then rests."""
        worker = Worker()
        async with serving(database, chores={"sync": worker}) as server:
            await ask(database, "sync", "a", "b")
            server.runner.wake(server.lane())
            await until(lambda: _none_left(database), "both are done")
            await server.idle()

        assert len(worker.at) == 2

    async def test_of_an_unknown_kind(self, database: Database) -> None:
        """What this version does not know is dropped."""
        async with serving(database) as server:
            await ask(database, "from the future", "a")
            server.runner.wake(server.lane())
            await until(lambda: _none_left(database), "it is gone")

    async def test_begins_when_it_is_due(self, database: Database) -> None:
        """A chore for later is done then, by the timer, though nobody wakes its lane."""
        worker = Worker()
        async with serving(database, chores={"sync": worker}) as server:
            due = time.time() + 1.5
            await ask(database, "sync", "a", at=due)
            server.runner.wake(server.lane())
            await soon(worker.called, "the chore was done", within=5.0)

            assert time.time() >= due

    async def test_goes_on_where_it_was(self, database: Database) -> None:
        """A chore in several steps is given back what it kept."""
        worker = Worker(
            lambda chore: (
                ChoreDone() if chore.detail["page"] == 3 else ChoreLater(0.0, detail={"page": chore.detail["page"] + 1})
            )
        )
        async with serving(database, chores={"sync": worker}) as server:
            await ask(database, "sync", "a")
            server.runner.wake(server.lane())
            await until(lambda: _none_left(database), "it is done")

        assert worker.details == [{"page": 1}, {"page": 2}, {"page": 3}]

    async def test_is_given_up_at_last(self, database: Database) -> None:
        """A chore that fails thirteen times is given up."""
        worker = Worker(lambda _chore: ChoreLater(0.0, UNREACHABLE))
        async with serving(database, chores={"sync": worker}) as server:
            await ask(database, "sync", "a")
            server.runner.wake(server.lane())
            await until(lambda: _none_left(database), "it is given up")

        assert len(worker.at) == 13

    async def test_a_broken_handler_waits_longer_each_time(self, database: Database) -> None:
        """A handler that raises is tried again after 1 s, 2 s, …, and disturbs neither chores nor deliveries."""

        async def broken(_chore: Chore, _gate: Gate) -> ChoreOutcome:
            raise ValueError("a bug in an adapter")

        worker = Worker()
        async with serving(database, chores={"broken": broken, "sync": worker}) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            await ask(database, "broken", "a")
            await ask(database, "sync", "b")
            server.runner.wake(server.lane())
            (record,) = await server.closed(await server.accept(["ann@x.example"]))
            await until(lambda: _attempts(database, 2), "it was tried twice")

        assert (record.status, len(worker.at)) == ("SUCCESS", 1)

    @pytest.mark.parametrize(("waiting", "other"), [("look", "sync"), ("sync", "look")])
    async def test_neither_sort_holds_the_other_up(self, database: Database, waiting: str, other: str) -> None:
        """However many chores stand still, one that somebody waits for is done, and the other way round."""
        still = asyncio.Event()

        async def stands(_chore: Chore, _gate: Gate) -> ChoreOutcome:
            await still.wait()
            return ChoreDone()

        worker = Worker()
        chores = {waiting: stands, other: worker}
        async with serving(database, chores=chores, awaited=frozenset({"look"})) as server:
            await ask(
                database, waiting, *(f"chore {number}" for number in range(100)), at=0.0 if waiting == "look" else 1.0
            )
            await ask(database, other, "a", at=0.0 if other == "look" else 1.0)
            server.runner.wake(server.lane())
            await soon(worker.called, "the other sort was done", within=5.0)
            still.set()
            await until(lambda: _none_left(database), "all are done")

    async def test_step_back_for_deliveries(self, database: Database) -> None:
        """While deliveries wait for the same calls, chores get one a second; however many there are."""
        platform, worker = Platform(pace=MethodPace(50.0, 1.0)), Worker(bucket="post")
        async with serving(database, platform, chores={"sync": worker}) as server:
            await server.install(HOME)
            await server.know(crowd(150))
            request = await server.accept(crowd(150))
            await platform.called(5)
            await ask(database, "sync", *(f"chore {number}" for number in range(20)))
            server.runner.wake(server.lane())
            await server.closed(request)
            ended = platform.calls[-1].at
            await until(lambda: _none_left(database), "all chores are done")

        during = [at for at in worker.at if at < ended]
        assert len(worker.at) == 20
        assert 1 <= len(during) <= ended - platform.calls[5].at + 1


async def _attempts(database: Database, count: int) -> bool:
    async with database.read() as tx:
        found = (await tx.execute(select(table.c.attempts).where(table.c.kind == "broken"))).scalar_one()
    return bool(found >= count)
