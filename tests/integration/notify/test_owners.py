"""Who drains a lane: one owner at a time, fenced by its term; what a stop, a crash or a database's absence leaves."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import event, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import Pool

from adapters.base import LookLater, MethodPace, Outcome, Sent, Uncertain
from notify.delivery import NotReachable, OnUncertain, Policy, Verdict, step
from notify.item import OpenRequest, item_from_row
from notify.ledger import Batch, Ledger, Move
from notify.message import Kind, Message
from storage import deliveries as delivery_store
from storage import lanes
from storage.engine import Database
from storage.lifesign import LifeSign
from storage.tables import deliveries
from tests.integration.notify.kit import (
    ELSEWHERE,
    HOME,
    THROTTLED,
    UNCLEAR,
    Looking,
    People,
    Platform,
    Server,
    build,
    crowd,
    row,
    rows,
    serving,
    until,
    user_id,
)

KEY: lanes.Key = ("st-people", "slack", HOME)


class Held:
    """An answer that waits until the test lets it go."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self) -> Outcome:
        """The answer, when it may."""
        await self.release.wait()
        return Sent("m-held")


@asynccontextmanager
async def another_owner(database: Database) -> AsyncIterator[None]:
    """Another process that lives takes the lane, as after the claim's end."""
    owner = secrets.token_hex(8)
    life = LifeSign(database, owner)
    await life.show()
    async with database.write() as tx:
        await lanes.release_all(tx)
        assert await lanes.claim(tx, KEY, owner=owner, ttl=30.0) is not None
    yield
    await life.withdraw()


class TestTerm:
    async def test_a_replaced_drain_writes_nothing(self, database: Database) -> None:
        """The answer that a replaced drain still gets is not written; its successor finds the delivery in doubt."""
        platform, held = Platform(), Held()
        platform.will("UANN", held)
        async with serving(database, platform) as first:
            await first.install(HOME)
            await first.know(["ann@x.example"])
            request = await first.accept(["ann@x.example"])
            await platform.called(1)
            async with another_owner(database):
                held.release.set()
                await until(lambda: _none(first), "the replaced drain ended")

                assert (await row(database, request))["state"] == "sending"

            async with database.write() as tx:
                await lanes.release_all(tx)
            first.runner.wake(first.lane())
            await first.closed(request)
            found = await row(database, request)

        assert (found["state"], found["reason"], found["code"]) == ("unconfirmed", "no_clear_answer", "process_died")
        assert len(platform.calls) == 1

    async def test_every_write_is_fenced(self, database: Database) -> None:
        """Under an old term nothing at all is written: no result, no pause, no lesson, no renewal."""
        async with database.write() as tx:
            old = await lanes.claim(tx, KEY, owner="a" * 16, ttl=30.0)
        assert old is not None
        async with another_owner(database):
            ledger = Ledger(database, build(database, Platform(), People()).lane(), old.term)

            pause = lanes.Pause("installation_revoked", "", "", 1.0, 2.0, 0)
            for batch in (Batch(pause=pause), Batch(resume=True), Batch(learned={"rate": 1.0})):
                with pytest.raises(lanes.LaneLost):
                    await ledger.commit(batch, now=1.0)
            with pytest.raises(lanes.LaneLost):
                await ledger.renew()
            await ledger.release()
            async with database.read() as tx:
                assert await lanes.paused(tx, bot_id=KEY[0]) == {}
                assert len(await lanes.owners(tx)) == 1

    async def test_a_result_does_not_depend_on_a_move(self, database: Database) -> None:
        """A row that has gone on in another lane meanwhile costs none of the results written beside its move."""
        server = build(database, Platform(), People())
        await server.install(HOME)
        request = await server.accept(["ann@x.example", "bob@x.example"])
        async with database.write() as tx:
            claim = await lanes.claim(tx, KEY, owner="a" * 16, ttl=30.0)
            await tx.execute(
                update(deliveries).where(deliveries.c.position == 1).values(tenant_id="T2", state="sending")
            )
        assert claim is not None
        async with database.read() as tx:
            (opened,) = await delivery_store.open_requests(tx, KEY, after_seq=0)
            (ann,) = await delivery_store.load(tx, KEY, request, after_seq=0, now=time.time(), limit=9)
            (bob,) = await delivery_store.in_state(tx, (*KEY[:2], "T2"), "sending", limit=9)
        message = Message(Kind.NATIVE, {})
        whole = OpenRequest(
            request, opened.client_id, 2, "resolve", opened.deadline_at, OnUncertain.HOLD, message, None
        )
        refused, moved = (item_from_row(each, whole, server.lane(), None, term=claim.term) for each in (ann, bob))
        refused.delivery = step(
            refused.delivery, NotReachable(Verdict("person_not_found")), now=1.0, policy=Policy()
        ).delivery
        ledger = Ledger(database, server.lane(), claim.term)
        with pytest.raises(delivery_store.GuardFailed):
            await ledger.commit(Batch(results=[refused], moves=[Move(moved, ELSEWHERE, "[]")]), now=1.0)

        assert [each["state"] for each in await rows(database, request)] == ["refused", "sending"]
        assert (await server.record(request)).done == 1

    async def test_what_was_in_flight_is_looked_for(self, database: Database) -> None:
        """X06-X10: rows that an old term left `sending` are uncertain to the next owner, never ready."""
        platform, held = Platform(), Held()
        for email in crowd(8):
            platform.will(user_id(email), held)
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(20))
            request = await server.accept(crowd(20))
            await platform.called(20)
            await until(lambda: _final(database, request, 12), "twelve were answered")
            await server.runner.stop(grace=0.0)

            assert Counter(each["state"] for each in await rows(database, request)) == {"sent": 12, "sending": 8}

            async with serving(database, platform, looker=Looking()) as successor:
                (record,) = await successor.closed(request)
        found = await rows(database, request)

        assert Counter(each["state"] for each in found) == {"sent": 12, "unconfirmed": 8}
        assert (record.succeeded, len(platform.calls)) == (12, 20)

    async def test_a_new_owner_keeps_what_was_known(self, database: Database) -> None:
        """What the platform answered before a restart still stands in the result after it."""
        platform, looker = Platform(), Looking(deque([LookLater(60.0, THROTTLED)]))
        platform.will("UANN", Uncertain(UNCLEAR))
        async with serving(database, platform, looker=looker) as server:
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await until(lambda: _waits(database, request), "the look is postponed")
            await server.runner.stop(grace=1.0)
        async with database.write() as tx:
            await tx.execute(update(deliveries).values(next_at=1.0))
        async with serving(database, platform) as server:
            await server.closed(request)
            found = await row(database, request)

        assert (found["state"], found["code"], found["detail"]) == ("unconfirmed", "http_502", "Bad gateway")


async def _none(server: Server) -> bool:
    return server.drain() is None


async def _final(database: Database, request: str, count: int) -> bool:
    return sum(each["final_at"] is not None for each in await rows(database, request)) >= count


async def _waits(database: Database, request: str) -> bool:
    return bool((await row(database, request))["next_at"] > time.time() + 30.0)


class TestStop:
    async def test_keeps_the_answers(self, database: Database) -> None:
        """X23: a stop waits for what is on the wire, writes it, and begins nothing new."""
        platform, held = Platform(in_flight=4), Held()
        for email in crowd(20):
            platform.will(user_id(email), held)
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(20))
            request = await server.accept(crowd(20))
            await platform.called(4)
            stopping = asyncio.create_task(server.runner.stop(grace=10.0))
            await asyncio.sleep(0)
            held.release.set()
            await stopping
            found = await rows(database, request)

        assert Counter(each["state"] for each in found) == {"sent": 4, "accepted": 16}
        assert len(platform.calls) == 4

    async def test_before_a_drain_begins(self, database: Database) -> None:
        """A stop that comes while a lane is being claimed ends at once and sends nothing."""
        platform = Platform(pace=MethodPace(1.0, 1.0))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(100))
            await server.accept(crowd(100))
            begun = time.monotonic()
            await server.runner.stop(grace=0.5)

            assert time.monotonic() - begun < 5.0

        async with database.read() as tx:
            assert await lanes.owners(tx) == []

    async def test_goes_on_where_it_stopped(self, database: Database) -> None:
        """A restart sends what is left, within three seconds of its start, to nobody twice."""
        platform = Platform(pace=MethodPace(200.0, 1.0))
        async with serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(100))
            request = await server.accept(crowd(100))
            await platform.called(30)
        before = len(platform.calls)
        begun = time.monotonic()
        async with serving(database, platform) as server:
            await platform.called(before + 1)

            assert time.monotonic() - begun < 3.0

            (record,) = await server.closed(request)

        assert (record.succeeded, set(platform.mailbox.values())) == (100, {1})


class TestTwoServers:
    """PostgreSQL only: SQLite's file lock lets one process in."""

    @pytest.fixture
    def database_kind(self) -> str:
        """The engine that several servers may share."""
        return "postgresql"

    @pytest.fixture
    async def second(self, database: Database, database_url: str) -> AsyncIterator[Database]:
        """The same database, opened by another server."""
        opened = Database.open(database_url)
        yield opened
        await opened.close()

    async def test_nobody_gets_two(self, database: Database, second: Database) -> None:
        """Two servers that accept for the same lane send each message once."""
        platform = Platform(pace=MethodPace(300.0, 1.0))
        async with (
            serving(database, platform, claim_seconds=2.0) as one,
            serving(second, platform, claim_seconds=2.0) as two,
        ):
            await one.install(HOME)
            await one.know([*crowd(200, "one"), *crowd(200, "two")])
            requests = [await server.accept(crowd(200, name)) for server, name in ((one, "one"), (two, "two"))]
            await one.closed(*requests)

        assert len(platform.mailbox) == 400
        assert set(platform.mailbox.values()) == {1}

    async def test_the_other_one_goes_on(self, database: Database, second: Database) -> None:
        """When the owner of a lane stops, the other server finishes its work."""
        platform = Platform(pace=MethodPace(100.0, 1.0))
        async with serving(second, platform) as two:
            async with serving(database, platform) as one:
                await one.install(HOME)
                await one.know(crowd(100))
                request = await one.accept(crowd(100))
                await platform.called(20)
                two.runner.wake(two.lane())  # as an accept for this lane would
            (record,) = await two.closed(request)

        assert (record.succeeded, set(platform.mailbox.values())) == (100, {1})

    async def test_the_idle_one_is_quiet(self, database: Database, second: Database) -> None:
        """A server beside one that drains a lane asks for it now and then, not all the time."""
        platform = Platform(pace=MethodPace(10.0, 1.0))
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            statements.append(statement)

        async with serving(database, platform) as one, serving(second, platform) as two:
            await one.install(HOME)
            await one.know(crowd(60))
            request = await one.accept(crowd(60))
            await platform.called(5)
            two.runner.wake(two.lane())
            event.listen(second.engine.sync_engine, "before_cursor_execute", note)
            await platform.called(40)
            event.remove(second.engine.sync_engine, "before_cursor_execute", note)
            await one.closed(request)

        assert len(statements) < 40


class TestWithoutDatabase:
    async def test_nothing_is_lost_and_nothing_doubled(
        self, database: Database, database_kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """M03, M04: while the database cannot be written results wait; everybody gets exactly one message."""
        platform = Platform(pace=MethodPace(100.0, 1.0))
        async with impatient(), serving(database, platform) as server:
            await server.install(HOME)
            await server.know(crowd(100))
            request = await server.accept(crowd(100))
            for count in (10, 40, 70):
                await platform.called(count)
                if database_kind == "sqlite":
                    async with locked(database):
                        await met(caplog, times_met(caplog) + 1)
                else:
                    await disconnect(database)
            (record,) = await server.closed(request)
            found = await rows(database, request)

        assert Counter(each["state"] for each in found) == {"sent": 100}
        assert (record.succeeded, set(platform.mailbox.values())) == (100, {1})

    async def test_reads_that_fail_lose_nobody(self, database: Database, caplog: pytest.LogCaptureFixture) -> None:
        """A lane whose reads fail for a while (resolving, loading) takes everybody up afterwards."""
        people = People()
        people.add(HOME, *crowd(40))
        platform = Platform()
        failing = True

        def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            if failing and statement.startswith("SELECT"):
                raise OSError("the disk is away")

        async with serving(database, platform, people) as server:
            await server.install(HOME)
            event.listen(database.engine.sync_engine, "before_cursor_execute", fail)
            try:
                failing = False
                request = await server.accept(crowd(40))
                failing = True
                await met(caplog, times_met(caplog) + 2)
            finally:
                event.remove(database.engine.sync_engine, "before_cursor_execute", fail)
            (record,) = await server.closed(request)

        assert (record.succeeded, set(platform.mailbox.values())) == (40, {1})

    async def test_a_stop_ends(self, database: Database, database_kind: str, postgres_server: str) -> None:
        """A server whose database is gone stops all the same; what it could not write is in doubt."""
        platform, held = Platform(), Held()
        platform.will("UANN", held)
        async with impatient():
            server = build(database, platform, People())
            await server.runner.start({platform.name: server.shop})
            await server.install(HOME)
            await server.know(["ann@x.example"])
            request = await server.accept(["ann@x.example"])
            await platform.called(1)
            away = locked(database) if database_kind == "sqlite" else closed_to_all(database, postgres_server)
            async with away:
                held.release.set()
                async with asyncio.timeout(15.0):
                    await server.runner.stop(grace=1.0)
            async with serving(database, platform) as server:
                await server.closed(request)

        assert (await row(database, request))["state"] in {"unconfirmed", "sent"}
        assert len(platform.calls) == 1


@contextlib.asynccontextmanager
async def impatient() -> AsyncIterator[None]:
    """SQLite's busy timeout is short, so that a locked file is noticed within the test's time."""

    def shorten(connection: DBAPIConnection, *_rest: object) -> None:
        if "sqlite" in repr(connection).lower():
            cursor = connection.cursor()
            cursor.execute("PRAGMA busy_timeout=100")
            cursor.close()

    event.listen(Pool, "checkout", shorten)
    try:
        yield
    finally:
        event.remove(Pool, "checkout", shorten)


@contextlib.asynccontextmanager
async def locked(database: Database) -> AsyncIterator[None]:
    """Another program holds the write lock of the file."""
    outside = sqlite3.connect(str(database.engine.url.database), isolation_level=None)
    with contextlib.closing(outside):
        outside.execute("PRAGMA busy_timeout=10000")
        outside.execute("BEGIN IMMEDIATE")
        yield
        outside.execute("ROLLBACK")


def times_met(caplog: pytest.LogCaptureFixture) -> int:
    """How often a part of the server has found the database away."""
    return sum(getattr(entry, "action", "") == "database_unavailable" for entry in caplog.records)


async def met(caplog: pytest.LogCaptureFixture, times: int) -> None:
    """Wait until the server has found the database away so often."""

    async def enough() -> bool:
        return times_met(caplog) >= times

    await until(enough, f"the database found away {times} times")


@contextlib.asynccontextmanager
async def closed_to_all(database: Database, server: str) -> AsyncIterator[None]:
    """PostgreSQL has dropped every connection to the database and takes no new one."""
    name = database.engine.url.database
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as outside:
        await outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await outside.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        await outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


async def disconnect(database: Database) -> None:
    """PostgreSQL drops every connection, in the middle of whatever they do."""
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as outside:
        await outside.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
