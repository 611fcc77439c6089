"""What is sealed in the database, and how it is brought to a new encryption key, on both engines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from storage import installations, sealed_keys, sealing
from storage.engine import Database
from storage.installations import Installation
from storage.vault import Seal, Vault, WrongKey
from tests.harness.record import entries, run

OLD, NEW, LOST = "the old key " * 4, "the new key " * 4, "the lost key " * 4
PLACES = 120  # more than one batch


async def install(database: Database, vault: Vault, *tenants: str, at: float = 1.0) -> None:
    async with database.write() as tx:
        for tenant in tenants:
            token = vault.seal(f"xoxb-{tenant}-{at:g}")
            await installations.save(tx, Installation("b", "slack", tenant, installed_at=at, token=token), at)


async def token(database: Database, vault: Vault, tenant: str) -> str:
    async with database.read() as tx:
        row = await installations.get(tx, bot_id="b", channel="slack", tenant_id=tenant)
    assert row is not None
    return vault.open(row.token or b"")


async def ids_key(database: Database, vault: Vault, value: bytes = b"v" * 32) -> bytes:
    async with database.write() as tx:
        return await sealed_keys.keep(tx, vault, sealed_keys.IDS, value, 1.0)


class TestKeys:
    async def test_first_starts(self, database: Database, database_url: str) -> None:
        """Servers that start for the first time at the same moment agree on one key."""
        neighbour = Database.open(database_url)
        made = await asyncio.gather(
            *(ids_key(each, Vault([OLD]), bytes([n]) * 32) for n, each in enumerate([database, neighbour] * 4))
        )
        later = await ids_key(database, Vault([OLD]), b"x" * 32)

        await neighbour.close()
        assert {later} == set(made)

    async def test_wrong_key(self, database: Database) -> None:
        """A key that does not open is named with what to do, and is not replaced."""
        kept = await ids_key(database, Vault([OLD]))

        with pytest.raises(WrongKey, match=r"its own key 'ids' does not open\. Put the former encryption key back"):
            await ids_key(database, Vault([NEW]))
        assert kept == await ids_key(database, Vault([NEW, OLD]))


class TestRotation:
    async def test_everything(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """Every key and token opens with the new key alone; a second time changes nothing; it is recorded."""
        kept = await ids_key(database, Vault([OLD]))
        await install(database, Vault([OLD]), *(f"T{n}" for n in range(PLACES)))
        await install(database, Vault([NEW]), "TNEW")

        before = await sealing.look(database, Vault([NEW, OLD]))
        first = await run(tmp_path, database_url, "rotate-keys", keys=(NEW, OLD))
        again = await run(tmp_path, database_url, "rotate-keys", keys=(NEW, OLD))

        assert (1, PLACES + 1, 0) == tuple(before.of(seal) for seal in (Seal.CURRENT, Seal.LATER, Seal.SHUT))
        assert (0, 0) == (first.exit_code, again.exit_code), first.output
        assert f"Sealed anew: {PLACES + 1}. With the first key now: {PLACES + 2}." in first.stdout
        assert "may then be removed" in first.stdout
        assert f"Sealed anew: 0. With the first key now: {PLACES + 2}." in again.stdout
        assert kept == await ids_key(database, Vault([NEW]))
        assert "xoxb-T7-1" == await token(database, Vault([NEW]), "T7")
        assert {"keys_rotated"} == {each.kind for each in await entries(database)}

    async def test_token_of_meanwhile(self, database: Database) -> None:
        """A token that a server stored after it was read stays what the server stored."""
        vault = Vault([NEW, OLD])
        await install(database, Vault([OLD]), "T1")
        async with database.read() as tx:
            [read] = await installations.sealed_tokens(tx, after=sealing.NOWHERE, limit=5)
        await install(database, vault, "T1", at=2.0)
        async with database.write() as tx:
            replaced = await installations.reseal(tx, read, vault.reseal(read.sealed))

        assert not replaced
        assert "xoxb-T1-2" == await token(database, vault, "T1")

    async def test_lost_key(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """What opens with no key is named and left as it is, and the rest is sealed anew."""
        await install(database, Vault([LOST]), "TLOST")
        await install(database, Vault([OLD]), "TOLD")

        result = await run(tmp_path, database_url, "rotate-keys", keys=(NEW, OLD))
        found = await sealing.look(database, Vault([NEW, LOST]))

        assert result.exit_code == 1
        assert "Sealed anew: 1." in result.stdout
        assert "Does not open with any key of the list: token of b, slack TLOST." in result.stdout
        assert "Put the former key back" in result.stdout
        assert (1, 1) == (found.of(Seal.CURRENT), found.of(Seal.LATER))


class TestCheck:
    async def test_seals(self, database: Database, database_url: str, tmp_path: Path) -> None:
        """`check` says whether former keys are still needed, and which key does not open."""
        await ids_key(database, Vault([OLD]))

        lines = {}
        for name, keys in {"needed": (NEW, OLD), "wrong": (NEW,), "alone": (OLD,), "more": (OLD, NEW)}.items():
            lines[name] = (await run(tmp_path, database_url, "check", "--offline", keys=keys)).stdout

        assert "warn storage.encryption_key: 1 of what is sealed" in lines["needed"]
        assert "run `herald rotate-keys`" in lines["needed"]
        assert "fail storage.encryption_key: the key ids does not open" in lines["wrong"]
        assert "ok   storage.encryption_key: everything" in lines["alone"]
        assert "the further keys of the list are not needed" in lines["more"]


async def test_beside_a_server(tmp_path: Path, sqlite_template: bytes) -> None:
    """The commands work beside a running server that holds its SQLite file; a missing file is not made."""
    path = tmp_path / "herald.db"
    missing = await run(tmp_path, f"sqlite:///{path}", "rotate-keys")
    path.write_bytes(sqlite_template)
    server = Database.open(f"sqlite:///{path}", exclusive=True)
    await ids_key(server, Vault([OLD]))
    beside = await run(tmp_path, f"sqlite:///{path}", "rotate-keys", keys=(NEW, OLD))
    verified = await run(tmp_path, f"sqlite:///{path}", "audit", "verify", keys=(NEW, OLD))
    await server.close()

    assert 4 == missing.exit_code
    assert "There is no database yet" in missing.stderr
    assert (0, 0) == (beside.exit_code, verified.exit_code), beside.output
