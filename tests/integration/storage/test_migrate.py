"""Migrations bring any database to this version, and never backwards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from storage.engine import Database
from storage.migrate import NewerSchema, head, migrate, revision
from storage.tables import metadata


@pytest.fixture(name="empty")
async def _empty(empty_database_url: str) -> AsyncIterator[Database]:
    opened = Database.open(empty_database_url)
    yield opened
    await opened.close()


async def test_from_nothing(empty: Database) -> None:
    """An empty database reaches the newest revision, and migrating again changes nothing."""
    assert await revision(empty) is None

    assert await migrate(empty) == head()
    assert await migrate(empty) == head()
    assert await revision(empty) == head()


async def test_schema_is_the_sum_of_its_migrations(empty: Database) -> None:
    """What the migrations build is exactly what storage.tables says."""
    await migrate(empty)

    async with empty.read() as tx:
        different = await tx.run_sync(
            lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
        )

    assert different == []


async def test_newer_schema_is_refused(empty: Database) -> None:
    """A database that a newer Herald has written is left alone, with a sentence that says what to do."""
    await migrate(empty)
    async with empty.write() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(NewerSchema, match="run the Herald that wrote it"):
        await migrate(empty)
    assert await revision(empty) == "9999"
