"""The process dies while it changes the schema, and while it deletes what is old."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.engine import Database
from storage.migrate import head, revision
from tests.crash.child import Servers
from tests.crash.judge import Scene, mixed_people, verdict
from tests.harness.platforms import MSTEAMS, Platforms

AGED = 100 * 86_400.0


class TestMigration:
    async def test_dies_there(
        self, platforms: Platforms, processes: Servers, tmp_path: Path, empty_database_url: str
    ) -> None:
        """X15: killed before a migration is committed, the database is as before, and the next start brings it up."""
        scene = Scene(MSTEAMS, platforms, processes, tmp_path, empty_database_url)
        dying = scene.start("migrate.before_commit")
        await dying.killed()
        between = Database.open(scene.database_url)
        before = await revision(between)
        await between.close()
        people = mixed_people(scene.platforms, stored=3, cold=3)

        await scene.prepare(people)

        record = await scene.finish(None, people.identities)
        after = Database.open(scene.database_url)
        reached = await revision(after)
        await after.close()
        assert before is None
        assert head() == reached
        assert [] == await verdict(scene, record, people.identities)


class TestPurge:
    @pytest.mark.parametrize("channel", [MSTEAMS], indirect=True)
    async def test_dies_there(self, scene: Scene) -> None:
        """X16: killed while old requests are emptied, each step is whole or undone, and the next start goes on."""
        people = mixed_people(scene.platforms, stored=5, cold=0)
        await scene.prepare(people)
        await scene.execute("UPDATE requests SET closed_at = closed_at - :aged", aged=AGED)
        steps = []
        for count in (1, 2):
            dying = scene.start(f"purge.before_commit:{count}")
            await dying.killed()
            steps.append(await _contents(scene))

        server = scene.start()
        await server.until("requests_purged")

        assert [("native", 5, None), ("removed", 5, None)] == [(kind, rows, left) for kind, rows, left in steps]
        kind, rows, left = await _contents(scene)
        assert ("removed", 0, {"sent": 5}) == (kind, rows, json.loads(left or "")["states"])


_LIMITS = (
    """SELECT current_setting('idle_in_transaction_session_timeout') || ' ' || current_setting('transaction_timeout')"""
)


class TestDurability:
    async def test_every_connection(self, database: Database) -> None:
        """X24: every connection of the pool waits for the disk, and none can hold a lock for ever when frozen."""
        wanted = ("PRAGMA synchronous", 2) if database.is_sqlite else (_LIMITS, "10s 20s")
        size: int = database.engine.pool.size()  # type: ignore[attr-defined]  # of every pool that we use
        connections = [await database.engine.connect() for _ in range(size)]

        found = [(await connection.exec_driver_sql(wanted[0])).scalar_one() for connection in connections]

        for connection in connections:
            await connection.close()
        alone = await database.transact(lambda tx: tx.execute(text(wanted[0])))
        assert [wanted[1]] * (size + 1) == [*found, alone.scalar_one()]

    async def test_disk_first(self, database: Database) -> None:
        """X24: a commit is on disk before it is answered, whatever the database's own default is."""
        question = "PRAGMA journal_mode" if database.is_sqlite else "SHOW synchronous_commit"
        async with database.read() as tx:
            found = (await tx.exec_driver_sql(question)).scalar_one()

        assert ("wal" if database.is_sqlite else "on") == found


async def _contents(scene: Scene) -> tuple[str, int, str | None]:
    """What the one request is, how many deliveries it has, and its digest."""
    (request,) = await scene.query("SELECT kind, digest FROM requests")
    (deliveries,) = await scene.query("SELECT count(*) AS found FROM deliveries")
    return request["kind"], deliveries["found"], request["digest"]
