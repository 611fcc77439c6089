"""What becomes of Teams' tenants stands in the audit record; people's own installs do not."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.evidence import Evidence
from adapters.teams.capture import Capture
from adapters.teams.events import read_event
from storage.engine import Database
from tests.harness.record import entries, told
from tests.integration.teams import kit
from tests.integration.teams.kit import BOT, PERSON, TENANT, Cloud

NOW = 1_769_200_000.0
TEAM = {"id": "19:x@thread.tacv2", "conversationType": "channel", "isGroup": True, "tenantId": TENANT}


async def unheard(_tx: AsyncConnection, _evidence: Evidence) -> None:
    """Evidence is another matter."""


async def arrive(database: Database, cloud: Cloud, *activities: tuple[str, dict[str, Any]]) -> None:
    capture = Capture(database, evidence=unheard, wake=lambda _: None, now=lambda: NOW)
    for number, (kind, more) in enumerate(activities):
        activity = cloud.activity(kind, **{"id": f"f:{number}", **more})
        await capture.store(kit.app(), read_event(activity, {}, NOW))


async def test_tenant(database: Database, cloud: Cloud) -> None:
    """A tenant is recorded once, with its first event and whose it was; what people do for themselves is not."""
    await arrive(
        database,
        cloud,
        ("installationUpdate", {"action": "add"}),
        ("installationUpdate", {"action": "add", "from": {"id": "29:2"}}),
        ("message", {"text": "hello"}),
        ("installationUpdate", {"action": "remove"}),
    )

    assert [("installed", PERSON, TENANT)] == await told(database)
    [row] = await entries(database)
    assert (BOT, "msteams", TENANT, "{}") == (row.bot_id, row.channel, row.tenant_id, row.detail)


async def test_team(database: Database, cloud: Cloud) -> None:
    """An install in a team and its end are recorded once each, though Teams tells both twice; the bot is nobody."""
    bot = {"id": f"28:{kit.APP_ID}"}
    await arrive(
        database,
        cloud,
        ("message", {"from": bot}),
        ("installationUpdate", {"action": "add", "conversation": TEAM}),
        ("conversationUpdate", {"membersAdded": [bot], "conversation": TEAM}),
        ("conversationUpdate", {"membersRemoved": [bot], "conversation": TEAM}),
        ("installationUpdate", {"action": "remove", "conversation": TEAM, "id": "f:1"}),
        ("installationUpdate", {"action": "remove", "conversation": TEAM, "id": "f:1"}),
    )

    assert [
        ("installed", "platform", TENANT),
        ("installed", PERSON, TEAM["id"]),
        ("uninstalled", PERSON, TEAM["id"]),
    ] == await told(database)
