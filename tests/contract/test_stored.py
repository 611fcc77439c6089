"""The API over the real acceptance of requests, on both engines: what a caller was told is what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection, sql
from sqlalchemy import func, select, text

from adapters.base import Lane
from notify.requests import Requests
from storage import installations, tables
from storage.engine import Database
from storage.installations import Installation
from tests.contract import samples
from tests.contract.face import BOT, SLACK_ONLY, Face, body, running


@pytest.fixture(name="woken")
def _woken() -> list[Lane]:
    return []


@pytest.fixture(name="face")
async def _face(database: Database, woken: list[Lane]) -> AsyncIterator[Face]:
    requests = Requests(database, wake=woken.append, deadline_hours=24)
    async with running(requests=requests) as opened:
        yield opened


async def count(database: Database, table: str) -> int:
    async with database.read() as tx:
        return (await tx.execute(select(func.count()).select_from(tables.metadata.tables[table]))).scalar_one()


@asynccontextmanager
async def gone(database: Database) -> AsyncIterator[None]:
    """No database, for a while: PostgreSQL throws everybody out, a SQLite file has lost its table."""
    url = database.engine.url
    if database.is_sqlite:
        async with database.write() as tx:
            await tx.execute(text("ALTER TABLE deliveries RENAME TO taken_away"))
        yield
        async with database.write() as tx:
            await tx.execute(text("ALTER TABLE taken_away RENAME TO deliveries"))
        return
    admin = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    async with await AsyncConnection.connect(admin, autocommit=True) as server:
        name = sql.Identifier(str(url.database))
        await server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        await server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (url.database,)
        )
        yield
        await server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


class TestStored:
    async def test_accepted(self, face: Face, database: Database, woken: list[Lane]) -> None:
        """C-01: an accepted request is stored before it is answered, and its lane is woken."""
        sent = await face.send(raw=samples.THREE)
        asked = await face.status(sent.json["_id"])

        assert await count(database, "deliveries") == 3
        assert [lane.bot for lane in woken] == [BOT]
        assert {name: asked.json[name] for name in sent.json if name != "details"} == sent.json
        assert (asked.json["count"], asked.json["details"]) == (0, {"pending": 3})

    async def test_c11_refused(self, face: Face, database: Database, woken: list[Lane]) -> None:
        """C-11: nothing is stored for a call that is refused."""
        for raw in (b"{", b"\xff", samples.TEXT.replace(b"text", b"card"), samples.TEXT[:-2] + b',"\\u0000"]}'):
            assert (await face.send(raw=raw)).status == 412
        assert (await face.send(raw=samples.TEXT, Content_Type="text/plain")).status == 415

        assert (await count(database, "requests"), await count(database, "deliveries"), woken) == (0, 0, [])

    async def test_c08_tenant(self, face: Face, database: Database, woken: list[Lane]) -> None:
        """C-08: a tenant without the app is refused by name and nothing is stored; with the app it is taken."""
        pinned = body(channel="slack", options={"tenant": "T0SIM0001"})
        refused = await face.send(pinned, Idempotency_Key="once")
        kept = await count(database, "requests"), await count(database, "idempotency")
        async with database.write() as tx:
            for tenant in ("T0SIM0000", "T0SIM0001"):
                await installations.save(tx, Installation(BOT, "slack", tenant, installed_at=1.0), 1.0)
        taken = await face.send(pinned, Idempotency_Key="once")

        assert refused.status == 412
        assert refused.messages == [
            "Validation errors/ Invalid arguments",
            "options.tenant: the app is not installed there: install it, name another tenant, or leave the option out",
        ]
        assert kept == (0, 0)
        assert (taken.status, [lane.tenant for lane in woken]) == (200, ["T0SIM0001"])

    async def test_c06_many(self, face: Face, database: Database) -> None:
        """C-06: 1000 identities are stored in one go, strange ones byte for byte."""
        people = [f"person{number}@example.com" for number in range(996)]
        strange = ["\u202ea@example.com", "漢字😀", "'; DROP TABLE deliveries; --", "x" * 100_000]

        sent = await face.send(body(identities=[*people, *strange]))

        assert sent.status == 200
        async with database.read() as tx:
            kept = (await tx.execute(select(tables.deliveries.c.original_id))).scalars().all()
        assert set(kept) == {*people, *strange}

    async def test_c23_foreign(self, face: Face) -> None:
        """C-23: a request is bound to its bot."""
        sent = await face.send()

        foreign = await face.status(sent.json["_id"], bot=SLACK_ONLY)

        assert foreign.refusal == (400, 400, "Invalid request ID")

    async def test_storage_gone(self, face: Face, database: Database) -> None:
        """C-80: a database that is gone is 503 and nothing is stored; the caller may try again, and then it works."""
        async with gone(database):
            answer = await face.send()

        assert answer.refusal[:2] == (503, 503)
        assert await count(database, "requests") == 0
        assert (await face.send()).status == 200
