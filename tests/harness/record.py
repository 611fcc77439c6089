"""The audit record as a test looks at it: written, read back, chained, and the commands that prove it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web
from click.testing import CliRunner, Result

import cli
from console.commands.tools import Tools
from notify.chaining import Chaining
from settings import Settings, load
from storage import audit_events, sealed_keys
from storage.audit_events import Entry
from storage.engine import Database
from storage.vault import Vault

KEY = "an encryption key of the record, long enough to be one"


def _no_app(_settings: Settings) -> web.Application:
    raise AssertionError("this command must not build the application")


async def run(folder: Path, url: str, *arguments: str, keys: tuple[str, ...] = (KEY,)) -> Result:
    """Run a command on a database while this loop goes on."""
    config = folder / "herald.toml"
    config.write_text(f"[storage]\nurl = {json.dumps(url)}\nencryption_key = {json.dumps(keys)}\n", encoding="utf-8")
    command = [*arguments, "--config", str(config)]
    tools = Tools(_no_app, load)
    return await asyncio.to_thread(CliRunner().invoke, cli.group(), command, obj=tools, env={"COLUMNS": "200"})


async def entries(database: Database) -> list[Entry]:
    """Every row, in the order of writing."""
    async with database.read() as tx:
        return await audit_events.written(tx, after=-1, since=0.0, limit=10_000)


async def told(database: Database) -> list[tuple[str, str, str]]:
    """Of every row: what happened, whose doing it was, what it was done to."""
    return [(each.kind, each.actor, each.subject) for each in await entries(database)]


async def write(database: Database, count: int, **more: Any) -> None:
    """Write so many rows."""
    async with database.write() as tx:
        for number in range(count):
            given: dict[str, Any] = {"kind": "test", "actor": "cs-1", "subject": f"ds-{number}", **more}
            await audit_events.append(tx, at=1e9 + number / 3, **given)


async def chaining(database: Database, **more: Any) -> Chaining:
    """What a server of this database chains with."""
    async with database.write() as tx:
        key = await sealed_keys.keep(tx, Vault([KEY]), sealed_keys.AUDIT, b"a" * 32, 0.0)
    return Chaining(database, key, **{"clock": lambda: 0.0, **more})
