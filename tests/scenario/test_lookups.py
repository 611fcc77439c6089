"""Look-ups meet bad luck: whatever a platform answers about people meanwhile, everybody is reached once it recovers."""

from __future__ import annotations

import json

import pytest

from tests.harness.herald import Json
from tests.harness.oracle import lies, outcomes
from tests.harness.platforms import MSTEAMS, SLACK, Platforms
from tests.scenario.conftest import Starting

PEOPLE = 40
LOOK_UPS = {
    SLACK: [{"platform": "slack", "operation": name} for name in ("users.list", "users.lookupByEmail")],
    MSTEAMS: [{"platform": "graph", "operation": "batch"}],
}
TROUBLE: dict[str, Json] = {
    "html": {"status": 200, "body": "<html>Please wait</html>", "content_type": "text/html"},
    "nothing": {"drop": "after"},
    "down": {"status": 500, "body": "<html>500</html>"},
}


async def trouble(platforms: Platforms, channel: str, **fault: object) -> list[str]:
    """Put the same fault on everything that tells of people."""
    return [await platforms.fault(**where, **fault) for where in LOOK_UPS[channel]]


class TestAnswersAboutPeople:
    @pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("name", TROUBLE)
    async def test_recovers(self, platforms: Platforms, starting: Starting, channel: str, name: str) -> None:
        """Nobody is refused for what a platform failed to say; all are reached when it speaks again."""
        await platforms.teams_setup_policy()
        faults = await trouble(platforms, channel, **TROUBLE[name])
        async with starting(platforms) as herald:
            people = platforms.emails(PEOPLE)
            request = await herald.notify(channel, people)
            for fault in faults:
                await platforms.fired(fault, 2)
            before = await herald.status(request)
            for fault in faults:
                await platforms.heal(fault)

            record = await herald.final(request)

        assert before["statusLogs"] == []
        assert outcomes(record) == {"sent": PEOPLE}
        assert lies(record, await platforms.messages(channel)) == []

    @pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
    async def test_slow(self, platforms: Platforms, starting: Starting) -> None:
        """A look-up and a page that are never answered are given up after their time, and asked for again."""
        await trouble(platforms, SLACK, hang=True, times=1)
        async with starting(platforms) as herald:
            record = await herald.deliver(SLACK, platforms.emails(PEOPLE))

        assert outcomes(record) == {"sent": PEOPLE}
        assert lies(record, await platforms.messages(SLACK)) == []


class TestEndlessLists:
    async def test_goes_round(self, platforms: Platforms, starting: Starting) -> None:
        """A list of people that begins again and again ends; whom it did not show is looked up."""
        page: Json = {"ok": True, "members": [], "response_metadata": {"next_cursor": "dXNlcjpVMDAwMDAwMA=="}}
        fault = await platforms.fault(platform="slack", operation="users.list", body=json.dumps(page))
        async with starting(platforms) as herald:
            record = await herald.deliver(SLACK, platforms.emails(PEOPLE))
            asked = (await platforms.faults())[fault]["fired"]

        assert outcomes(record) == {"sent": PEOPLE}
        assert await platforms.calls("slack", "users.lookupByEmail") == PEOPLE
        assert 2 <= asked <= 4  # the request's listing and the daily one
