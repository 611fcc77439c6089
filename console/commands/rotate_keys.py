"""`herald rotate-keys`: brings everything that is sealed in the database to the first encryption key."""

import time
from pathlib import Path

import click

from console.commands.store import vault, with_database
from console.commands.tools import Tools, config_option
from storage import sealing
from storage.engine import Database
from storage.vault import Seal, Vault

REMOVABLE = (
    "Everything is sealed with the first key of storage.encryption_key. Once every server was started with this list,\n"
    "run this command again; the other keys may then be removed from it. Keep them with the backups made until now."
)
REMAIN = "Something was sealed with a later key meanwhile: start every server with this list, then run this again."


@click.command(name="rotate-keys", epilog="Exit code: 0 everything is sealed with the first key, 1 something is not.")
@config_option
@click.pass_obj
def rotate_keys(tools: Tools, config: Path | None) -> None:
    """Seal everything in the database with the first key of storage.encryption_key.

    Servers may run meanwhile, if they were started with the new list. Running it again changes nothing.
    """
    settings = tools.settings_or_fail(config)
    locks = vault(settings)
    replaced, found = with_database(settings, lambda database: _rotate(database, locks))
    click.echo(f"Sealed anew: {replaced}. With the first key now: {found.of(Seal.CURRENT)}.")
    for name in found.shut:
        click.echo(f"Does not open with any key of the list: {name}.")
    if found.shut:
        click.echo("Put the former key back as a further entry of storage.encryption_key, then run this again.")
    elif found.of(Seal.LATER):
        click.echo(REMAIN)
    elif len(settings.storage.encryption_key) > 1:
        click.echo(REMOVABLE)
    click.get_current_context().exit(1 if found.shut or found.of(Seal.LATER) else 0)


async def _rotate(database: Database, locks: Vault) -> tuple[int, sealing.Inventory]:
    replaced = await sealing.rotate(database, locks, time.time())
    return replaced, await sealing.look(database, locks)
