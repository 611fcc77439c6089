"""A start of the whole server: whose ids it makes, what it records of its settings, and when it refuses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app import DATABASE, build_app
from console.commands.serve import run
from notify.ids import derived_id
from settings import load
from storage import sealed_keys
from storage.engine import Database
from storage.vault import Vault, WrongKey, derive
from tests.harness.herald import bot, served, slack_side, write_settings
from tests.harness.record import entries

OLD, NEW, OTHER = "the old key " * 4, "the new key " * 4, "another key " * 4
SECRET, NEXT = "the first secret of the client", "the second secret of the client"
UNREACHABLE = {"slack_api": "http://127.0.0.1:9/api", "dangerously_allow_http_endpoints": True}


@dataclass
class Place:
    """A settings file that the tests change between two starts."""

    folder: Path
    url: str
    keys: list[str] = field(default_factory=lambda: [OLD])
    sections: dict[str, Any] = field(default_factory=dict)
    secret: str = SECRET

    def file(self) -> Path:
        values: dict[str, Any] = {
            "server": {"port": 0},
            "storage": {"url": self.url, "encryption_key": self.keys},
            "bots": [bot(slack=slack_side(), clients=[{"client_id": "cs-1", "secret": self.secret}])],
            "endpoints": UNREACHABLE,
        }
        return write_settings(self.folder, {**values, **self.sections})

    async def start(self) -> bytes:
        """Start and stop a server; returns the key of its ids."""
        async with served(self.file()) as herald:
            assert herald.app is not None
            async with herald.app[DATABASE].read() as tx:
                return await sealed_keys.get(tx, Vault(self.keys), sealed_keys.IDS) or b""


async def test_ids_stay(database: Database, database_url: str, tmp_path: Path) -> None:
    """A new encryption key changes no id, and the first start of this version changes none either."""
    place = Place(tmp_path, database_url)
    before = derive(OLD, b"ids")
    first = await place.start()
    place.keys = [NEW, OLD]
    second = await place.start()

    assert before == first == second
    assert derived_id("u", before, "client", "cs-1") == derived_id("u", second, "client", "cs-1")
    assert {"started", "settings_changed"} <= {each.kind for each in await entries(database)}


async def test_settings(database: Database, database_url: str, tmp_path: Path) -> None:
    """What changed is recorded with old and new value, of secrets that they changed, and no secret stands anywhere."""
    place = Place(tmp_path, database_url)
    await place.start()
    place.sections, place.secret, place.keys = {"retention": {"days": 7}}, NEXT, [NEW, OLD]
    await place.start()

    rows = await entries(database)
    [changed] = [json.loads(row.detail) for row in rows if row.kind == "settings_changed"]
    changed = {key: value for key, value in changed.items() if not key.startswith("server.")}  # a free port each time
    assert {
        "retention.days": {"old": 90, "new": 7},
        "bots[st-00000000-0000-5000-8000-000000000001].clients[cs-1].secret": "changed",
        "storage.encryption_key[0]": "changed",
        "storage.encryption_key[1]": "added",
    } == changed
    assert ["started", "settings_changed", "started"] == [row.kind for row in rows if row.actor == "operator"]
    for secret in (OLD, NEW, SECRET, NEXT, database_url, "xoxb-"):
        assert secret not in str(rows)


async def test_wrong_key(database: Database, database_url: str, tmp_path: Path) -> None:
    """A server whose keys do not open the database's refuses to start, says which key to put back, changes nothing."""
    place = Place(tmp_path, database_url)
    await place.start()
    before = await entries(database)
    place.keys = [OTHER]
    with pytest.raises(WrongKey, match="Put the former encryption key back"):
        await run(load(place.file(), {}), build_app)

    assert before == await entries(database)
