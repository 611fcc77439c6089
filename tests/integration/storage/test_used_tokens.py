"""Tokens for one use, on both engines."""

from __future__ import annotations

import asyncio

import pytest

from storage.engine import Database
from storage.used_tokens import UsedTokens, forget_before

UNTIL = 1_800_000_000.0


@pytest.fixture(name="used")
def _used(database: Database) -> UsedTokens:
    return UsedTokens(database)


class TestUsedTokens:
    async def test_once(self, used: UsedTokens) -> None:
        """C-70: a token is new exactly once per client."""
        first = await used.first_use("cs-1", "jti", UNTIL)
        second = await used.first_use("cs-1", "jti", UNTIL)
        other = await used.first_use("cs-2", "jti", UNTIL)

        assert (first, second, other) == (True, False, True)

    async def test_two_processes(self, used: UsedTokens, database_url: str) -> None:
        """C-70: of many uses at the same moment, over two connections of a fleet, one wins."""
        neighbour = Database.open(database_url)
        doors = [used, UsedTokens(neighbour)]

        uses = await asyncio.gather(*(doors[turn % 2].first_use("cs-1", "same", UNTIL) for turn in range(20)))

        await neighbour.close()
        assert sorted(uses) == [False] * 19 + [True]

    async def test_any_text(self, used: UsedTokens) -> None:
        """A caller may put anything of any length into a `jti`."""
        odd = ["", "\x00", "x" * 100_000, "' OR 1=1 --", "漢"]

        assert all([await used.first_use("cs-1", jti, UNTIL) for jti in odd])
        assert not any([await used.first_use("cs-1", jti, UNTIL) for jti in odd])

    async def test_forgotten(self, used: UsedTokens, database: Database) -> None:
        """An expired token need not be remembered: it is refused for being expired."""
        await used.first_use("cs-1", "old", UNTIL)
        await used.first_use("cs-1", "young", UNTIL + 60)

        async with database.write() as tx:
            forgotten = await forget_before(tx, UNTIL + 1, limit=50)

        assert forgotten == 1
        assert not await used.first_use("cs-1", "young", UNTIL + 60)
