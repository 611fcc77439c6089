"""The database as a command that looks into it opens it: at this version, and beside a server that runs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from console.commands.migrate import database_remedy
from console.commands.tools import Trouble
from settings import Settings
from storage.engine import Database
from storage.migrate import head, revision
from storage.vault import Vault, WrongKey

Result = TypeVar("Result")

SQLITE = "sqlite:///"


def vault(settings: Settings) -> Vault:
    """What opens the seals of these settings' database."""
    return Vault([key.get_secret_value() for key in settings.storage.encryption_key])


def with_database(settings: Settings, work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Do something with the database; whatever keeps it from being used is Trouble. A missing file is not made."""
    url = settings.storage.url.get_secret_value()
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists():
        raise Trouble("There is no database yet: correct storage.url, or run `herald migrate`.")
    try:
        return asyncio.run(_opened(url, work))
    except WrongKey as error:
        raise Trouble(f"{error}.") from error
    except (SQLAlchemyError, OSError) as error:
        raise Trouble(f"The database cannot be used ({type(error).__name__}): {database_remedy(settings)}") from error


async def _opened(url: str, work: Callable[[Database], Awaitable[Result]]) -> Result:
    database = Database.open(url)
    try:
        found = await revision(database)
        if found != head():
            raise Trouble(f"The database is at {found or 'no version'}, this one is {head()}: run `herald migrate`.")
        return await work(database)
    finally:
        await database.close()
