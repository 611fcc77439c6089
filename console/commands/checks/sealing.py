"""The check of what is sealed in the database: whether it opens, and whether former keys are still needed."""

from collections.abc import Iterator

from console.commands.checks.findings import Finding, fail, ok, warn
from console.commands.store import vault
from settings import Settings
from storage import sealing
from storage.engine import Database
from storage.vault import Seal

SUBJECT = "storage.encryption_key"
FORMER = "put the former key back as a further entry of storage.encryption_key"


async def seals(settings: Settings, database: Database) -> list[Finding]:
    """What the keys of the settings are to the database."""
    return list(_findings(await sealing.look(database, vault(settings)), len(settings.storage.encryption_key)))


def _findings(found: sealing.Inventory, keys: int) -> Iterator[Finding]:
    for name in found.shut:
        yield fail(SUBJECT, f"the {name} does not open", FORMER)
    if found.of(Seal.LATER):
        text = f"{found.of(Seal.LATER)} of what is sealed in the database needs a later key of the list"
        yield warn(SUBJECT, text, "run `herald rotate-keys` before you remove it")
    elif not found.shut:
        further = ", the further keys of the list are not needed" if keys > 1 else ""
        yield ok(SUBJECT, f"everything sealed in the database opens with the first key{further}")
