"""What becomes of Slack's installations stands in the audit record, with who did it where Slack says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from adapters.slack.installations import Grant
from tests.harness.record import entries, told
from tests.integration.slack.kit import BOT, ORG, TEAM, SlackSide, serving_side

REVOKED = {"oauth": [], "bot": ["U0BOT"]}


@pytest.fixture(name="url")
async def served_url(side: SlackSide) -> AsyncIterator[str]:
    async with serving_side(side) as url:
        yield url


class TestWorkspaces:
    async def test_comes_and_goes(self, side: SlackSide, url: str) -> None:
        """An install names the person who agreed; a removal that Slack tells twice is recorded once."""
        await side.install(by="U9")
        await side.install(by="U8")
        at = int(side.clock()) + 60
        for event_id in ("Ev1", "Ev2", "Ev2"):
            await side.deliver(url, {"type": "app_uninstalled"}, event_id=event_id, event_time=at)

        assert [("installed", "U9", TEAM), ("installed", "U8", TEAM), ("uninstalled", "platform", TEAM)] == await told(
            side.database
        )
        [first, *_] = await entries(side.database)
        assert (BOT, "slack", TEAM) == (first.bot_id, first.channel, first.tenant_id)

    async def test_token_of_the_settings(self, side: SlackSide) -> None:
        """A bot token of the settings is recorded when its workspace is new, and what it replaces as gone."""
        await side.install("T0OLD", by="U9")
        for _ in range(2):
            await side.install()
            async with side.database.write() as tx:
                await side.installations.keep_only(tx, BOT, TEAM)

        assert [("installed", "operator", TEAM), ("uninstalled", "operator", "T0OLD")] == (await told(side.database))[
            1:
        ]

    async def test_revoked(self, side: SlackSide, url: str) -> None:
        """A revoked token is recorded as that; one of somebody else is not."""
        await side.install(by="U9")
        at = int(side.clock()) + 60
        for event_id, tokens in (("Ev1", {"oauth": ["U5"]}), ("Ev2", REVOKED)):
            event: dict[str, Any] = {"type": "tokens_revoked", "tokens": tokens}
            await side.deliver(url, event, event_id=event_id, event_time=at)

        assert [("tokens_revoked", "platform", TEAM)] == (await told(side.database))[1:]

    async def test_undone(self, side: SlackSide) -> None:
        """An install that was not committed is not recorded."""
        with suppress(ZeroDivisionError):
            async with side.database.write() as tx:
                await side.installations.install(tx, BOT, Grant("xoxb-1", TEAM, by="U9"))
                raise ZeroDivisionError

        assert [] == await told(side.database)


async def test_organisation(side: SlackSide, url: str) -> None:
    """The workspaces that an organisation grants and revokes are recorded, each once; its end is one row."""
    await side.install(None, "xoxb-org", ORG, by="U9")
    now = int(side.clock())
    for number, (kind, teams) in enumerate((("granted", ["T0A", "T0B"]), ("granted", ["T0A"]), ("revoked", ["T0A"]))):
        event = {"type": f"team_access_{kind}", "team_ids": teams}
        await side.deliver(url, event, team=None, enterprise=ORG, event_time=now + number, event_id=f"Ev{number}")
    await side.deliver(url, {"type": "app_uninstalled"}, team=None, enterprise=ORG, event_time=now + 60)

    assert [
        ("installed", "U9", ORG),
        ("installed", "platform", "T0A"),
        ("installed", "platform", "T0B"),
        ("uninstalled", "platform", "T0A"),
        ("uninstalled", "platform", ORG),
    ] == await told(side.database)
