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


async def test_domains_are_filled_in(empty: Database) -> None:
    """A directory of an earlier version gets the domains of its members' e-mails, and of nobody else's."""
    await migrate(empty, to="0001")
    everybody = {
        "U1": ("ann@x.example", "member", False),
        "U2": ("odd@name@y.example", "member", False),
        "U3": ("nodomain", "member", False),
        "U4": ("guest@x.example", "guest", False),
        "U5": ("gone@x.example", "member", True),
    }
    key = {"bot": "st-1", "channel": "slack", "tenant": "T1"}
    async with empty.write() as tx:
        for user, (email, kind, disabled) in everybody.items():
            values = {**key, "user": user, "email": email, "kind": kind, "disabled": disabled}
            await tx.execute(_OLD_PERSON, values)
            await tx.execute(_OLD_EMAIL, values)

    await migrate(empty)

    async with empty.read() as tx:
        found = {row.user_id: row.domain for row in await tx.execute(text("SELECT user_id, domain FROM emails"))}
    assert dict.fromkeys(everybody) | {"U1": "x.example", "U2": "y.example"} == found


_OLD_PERSON = text(
    "INSERT INTO people (bot_id, channel, tenant_id, user_id, kind, disabled, source, seen_at)"
    " VALUES (:bot, :channel, :tenant, :user, :kind, :disabled, 'event', 1.0)"
)
_OLD_EMAIL = text(
    "INSERT INTO emails (bot_id, channel, tenant_id, email, user_id, seen_at)"
    " VALUES (:bot, :channel, :tenant, :email, :user, 1.0)"
)


async def test_newer_schema_is_refused(empty: Database) -> None:
    """A database that a newer Herald has written is left alone, with a sentence that says what to do."""
    await migrate(empty)
    async with empty.write() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(NewerSchema, match="run the Herald that wrote it"):
        await migrate(empty)
    assert await revision(empty) == "9999"
