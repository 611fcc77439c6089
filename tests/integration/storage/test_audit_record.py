"""The audit record in real databases: what was done behind its back is found by the command that proves it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Executable, delete, func, insert, select, text, update

from adapters.base import BotId, ChannelName
from notify.chain import Head
from notify.disclosures import Disclosures
from notify.prospects import Question
from storage import sealed_keys
from storage.audit_events import Entry
from storage.engine import Database
from storage.tables import audit_events as table
from storage.vault import Vault
from tests.harness.record import KEY, chaining, entries, run, write


def move(old: int, new: int) -> Executable:
    return update(table).where(table.c.position == old).values(position=new)


CHANGE = (text("UPDATE audit_events SET actor = 'cs-2' WHERE position = 3"),)
MOMENT = (text("UPDATE audit_events SET at = at + 1 WHERE position = 3"),)
DELETE = (text("DELETE FROM audit_events WHERE position = 3"),)
HIDE = (*DELETE, move(4, 3), move(5, 4), move(6, 5))
INSERT = (
    *(move(6, 7), move(5, 6), move(4, 5), move(3, 4)),
    text(
        "INSERT INTO audit_events (at, kind, bot_id, channel, tenant_id, actor, subject, detail, position, hash)"
        " SELECT at, kind, bot_id, channel, tenant_id, actor, 'ds-9', detail, 3, hash FROM audit_events"
        " WHERE position = 4"
    ),
)
SWAP = (move(3, -3), move(5, 3), move(-3, 5))
TAMPERS = {"change": CHANGE, "moment": MOMENT, "delete": DELETE, "hide": HIDE, "insert": INSERT, "swap": SWAP}
CUT = (text("DELETE FROM audit_events WHERE position >= 5"),)


async def tamper(database: Database, statements: Sequence[Executable]) -> None:
    async with database.write() as tx:
        for statement in statements:
            await tx.execute(statement)


async def restore(database: Database, rows: Sequence[Entry]) -> None:
    async with database.write() as tx:
        await tx.execute(delete(table))
        await tx.execute(insert(table), [{name: getattr(row, name) for name in Entry.__slots__} for row in rows])


class TestVerify:
    async def test_tampering(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """A changed, deleted, hidden, inserted or moved row is found, with its place; the untouched record holds."""
        await write(database, 6)
        chain = await chaining(database)
        await chain.round()
        whole = await entries(database)
        await write(database, 1)
        good = await run(tmp_path, database_url, "audit", "verify", "--head", str(chain.head))
        untouched = await entries(database)

        assert (0, f"6 rows hold. Not in the chain yet: 1.\nHead: {chain.head}\n") == (good.exit_code, good.stdout)
        assert untouched[:6] == whole
        for name, statements in TAMPERS.items():
            await tamper(database, statements)
            found = await run(tmp_path, database_url, "audit", "verify")
            await restore(database, whole)
            assert found.exit_code == 1, name
            assert "does not hold at position 3: " in found.stdout, name

    async def test_cut_off(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """An end that was cut off is found by a head that was noted before, and by nothing else."""
        await write(database, 6)
        chain = await chaining(database)
        await chain.round()
        await tamper(database, CUT)

        without = await run(tmp_path, database_url, "audit", "verify")
        noted = await run(tmp_path, database_url, "audit", "verify", "--head", str(chain.head))

        assert without.exit_code == 0
        assert noted.exit_code == 1
        assert "position 6: no row stands at the noted head" in noted.stdout

    async def test_keys(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """Nothing is proved with a key that is not the record's, and the command says which one to put back."""
        empty = await run(tmp_path, database_url, "audit", "verify")
        await write(database, 1)
        await (await chaining(database)).round()
        other = await run(
            tmp_path, database_url, "audit", "verify", keys=("another encryption key, of another database",)
        )
        await tamper(
            database, [text("CREATE TABLE aside AS SELECT * FROM audit_events"), text("DELETE FROM audit_events")]
        )
        emptied = await run(tmp_path, database_url, "audit", "verify")
        back = "INSERT INTO audit_events SELECT * FROM aside"
        await tamper(database, [text(back), text("DROP TABLE aside"), text("DELETE FROM sealed_keys")])
        gone = await run(tmp_path, database_url, "audit", "verify")

        assert 0 == empty.exit_code
        assert empty.stdout.startswith("0 rows hold. Not in the chain yet: 0.\n")
        assert (4, 4, 4) == (other.exit_code, gone.exit_code, emptied.exit_code)
        assert "The audit record is empty" in emptied.stderr
        assert "Put the former encryption key back" in other.stderr
        assert "is gone" in gone.stderr

    async def test_malformed_head(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """A head that is none is refused with how one is written."""
        for head in ("5", "0:" + "a" * 64, "5:xyz"):
            result = await run(tmp_path, database_url, "audit", "verify", "--head", head)
            assert result.exit_code == 2
            assert "audit_head" in result.stderr


class TestShow:
    async def test_lines(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """Other programs read one JSON object a line, from a moment on; people read one row a line."""
        await write(database, 5, bot_id="b", channel="slack", tenant_id="T1", detail={"people": 3})
        await (await chaining(database)).round()
        await tamper(database, [text("UPDATE audit_events SET at = 1e300, detail = 'no JSON' WHERE position = 5")])
        lines = await run(tmp_path, database_url, "audit", "show", "--json", "--since", "2001-09-09T01:46:41")
        people = await run(tmp_path, database_url, "audit", "show")

        first, last = (json.loads(line) for line in lines.stdout.splitlines())
        assert ("2001-09-09T01:46:41.000Z", "ds-3", {"people": 3}, 4) == (
            *(first[name] for name in ("time", "subject", "detail", "position")),
        )
        assert ("1e+300", "no JSON") == (last["time"], last["detail"])
        assert 5 == len(people.stdout.splitlines())
        assert people.stdout.startswith('1 2001-09-09T01:46:40.000Z test cs-1 ds-0 b slack T1 {"people": 3}\n')

    async def test_one_person(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """Who asked about one person is shown to whoever has the keys and the address."""
        async with database.write() as tx:
            key = await sealed_keys.keep(tx, Vault([KEY]), sealed_keys.AUDIT, b"a" * 32, 0.0)
        book = Disclosures(database, key, clock=lambda: 1e9)
        for client, person in (("cs-1", "ann@x.example"), ("cs-2", "bob@x.example")):
            await book.record(Question(BotId("b"), ChannelName.SLACK, "resolve", [person]), client, look_up=False)
        await write(database, 1)
        found = await run(tmp_path, database_url, "audit", "show", "--identity", "Ann@x.example")

        [line] = found.stdout.splitlines()
        assert line.startswith("- 2001-09-09T01:46:40.000Z person_explained cs-1 ")


class TestChaining:
    async def test_two_servers(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """Two servers that chain at once make one chain of all rows, each in one place."""
        neighbour = Database.open(database_url)
        one, two = await chaining(database), await chaining(neighbour)
        for count in (210, 3, 90):
            await write(database, count)
            await asyncio.gather(one.round(), two.round())
        await one.round()
        async with database.read() as tx:
            places = (await tx.execute(select(func.count(table.c.position), func.max(table.c.position)))).one()
        verified = await run(tmp_path, database_url, "audit", "verify")

        await neighbour.close()
        assert (303, 303) == tuple(places)
        assert verified.exit_code == 0, verified.stdout
        assert (None, None) == (one.broken, two.broken)

    async def test_findings(self, database: Database, caplog: pytest.LogCaptureFixture) -> None:
        """A head that was changed, and one that this process saw and is gone, is a finding; the chain goes on."""
        for statements, broken in (
            ((text("UPDATE audit_events SET subject = 'ds-9' WHERE position = 6"),), 6),
            (CUT, 6),
        ):
            await write(database, 6)
            chain = await chaining(database)
            await chain.round()
            await tamper(database, statements)
            await write(database, 1)
            await chain.round()
            async with database.write() as tx:
                loose = (await tx.execute(select(func.count()).where(table.c.position.is_(None)))).scalar_one()
                await tx.execute(delete(table))

            assert broken == chain.broken
            assert 0 == loose
        assert 2 == sum(getattr(each, "action", "") == "audit_chain_broken" for each in caplog.records)

    async def test_anchors(self, database: Database, caplog: pytest.LogCaptureFixture) -> None:
        """The head is told to the log when it moved, at most once an hour."""
        caplog.set_level("INFO")
        now = 0.0
        chain = await chaining(database, clock=lambda: now)
        heads = []
        for now, count in ((10.0, 0), (20.0, 2), (30.0, 1), (3700.0, 0), (9000.0, 0), (9100.0, 1)):  # noqa: B007 - read by the clock
            await write(database, count)
            await chain.round()
            heads.append(chain.head)
        fields = [vars(each) for each in caplog.records if getattr(each, "action", "") == "audit_head"]
        told = [Head(each["position"], each["hash"]) for each in fields]

        assert [heads[1], heads[3], heads[5]] == told
        assert [0, 2, 3, 3, 3, 4] == [each.position for each in heads]


async def test_key_is_kept(database: Database) -> None:
    """Nothing of the record's key stands in the database in the clear."""
    await (await chaining(database)).round()
    async with database.read() as tx:
        sealed = (await tx.execute(text("SELECT sealed FROM sealed_keys"))).scalar_one()

    assert b"a" * 32 not in bytes(sealed)
    assert (b"a" * 32).hex().encode() not in bytes(sealed)
    assert KEY.encode() not in bytes(sealed)
