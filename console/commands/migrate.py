"""`herald migrate`: brings the database to this version."""

import asyncio
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from console.commands.tools import Tools, Trouble, config_option
from settings import Settings
from storage.engine import Database, DatabaseInUse
from storage.migrate import NewerSchema, head, revision
from storage.migrate import migrate as apply


@click.command()
@config_option
@click.pass_obj
def migrate(tools: Tools, config: Path | None) -> None:
    """Bring the database to this version. Running it again changes nothing."""
    settings = tools.settings_or_fail(config)
    try:
        before = asyncio.run(_migrate(settings))
    except (DatabaseInUse, NewerSchema) as error:
        raise Trouble(str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        raise Trouble(f"The database cannot be used ({type(error).__name__}): {database_remedy(settings)}") from error
    now = head()
    click.echo(f"The database is at {now} already." if before == now else f"The database went from {before} to {now}.")


async def _migrate(settings: Settings) -> str:
    database = Database.open(settings.storage.url.get_secret_value(), exclusive=True)
    try:
        before = await revision(database)
        await apply(database)
    finally:
        await database.close()
    return before or "empty"


def database_remedy(settings: Settings) -> str:
    """What to look at when the database does not answer; never the URL, which may hold a password."""
    if settings.storage.url.get_secret_value().startswith("sqlite"):
        return "check that the folder in storage.url exists and may be written."
    return "check host, database, user and password in storage.url, and that PostgreSQL runs."
