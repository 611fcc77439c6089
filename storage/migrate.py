"""Bring a database to this version with Alembic; refuse one that a newer Herald has written."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from storage import failpoints
from storage.engine import Database, without_limit

MIGRATIONS = Path(__file__).parent / "migrations"


class NewerSchema(RuntimeError):
    """The database was written by a newer Herald than this one."""


async def migrate(database: Database, to: str = "head") -> str:
    """Apply what is missing; returns the revision reached. Raises NewerSchema instead of going backwards."""
    async with database.write() as tx:
        await without_limit(tx)
        await tx.run_sync(_refuse_newer)
        await tx.run_sync(_upgrade, to)
        failpoints.reach("migrate.before_commit")
    return head() if to == "head" else to


async def revision(database: Database) -> str | None:
    """The database's revision; None if it is empty."""
    async with database.read() as tx:
        return await tx.run_sync(lambda connection: MigrationContext.configure(connection).get_current_revision())


def head() -> str:
    """The revision this version of Herald works with."""
    found = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if found is None:
        raise RuntimeError("storage/migrations holds no revision")
    return found


def _refuse_newer(connection: Connection) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if current is not None and current not in known:
        raise NewerSchema(
            f"the database is at revision {current}, which this version does not know: run the Herald that wrote it"
        )


def _upgrade(connection: Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
