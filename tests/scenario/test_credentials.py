"""Tokens and keys: what is wrong with them holds a lane or is mended, and no delivery fails for it."""

from __future__ import annotations

import pytest

from tests.harness.herald import Herald, Json
from tests.harness.oracle import lies, outcomes
from tests.harness.platforms import MSTEAMS, Platforms

PEOPLE = 20


class TestTokenEndpoint:
    @pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 401, "code": "invalid_client"},
            {"status": 500, "body": "down"},
            {"drop": "before"},
            {"status": 200, "body": "<html>"},
        ],
        ids=["invalid_client", "down", "closed", "html"],
    )
    async def test_no_token(self, herald: Herald, platforms: Platforms, fault: Json) -> None:
        """P20: without a token the lane is held with that reason, nobody fails, and it goes on once there is one."""
        people = platforms.emails(PEOPLE)
        await platforms.teams_install(people)
        await herald.idle()
        await platforms.control("teams/tokens/revoke")
        trouble = await platforms.fault(platform="entra", operation="token", **fault)
        request = await herald.notify(MSTEAMS, people)
        waiting = await herald.paused(request, "token_unavailable")
        await platforms.heal(trouble)

        record = await herald.final(request)

        assert waiting["statusLogs"] == []
        assert outcomes(record) == {"sent": PEOPLE}
        assert lies(record, await platforms.messages(MSTEAMS)) == []

    async def test_slow(self, herald: Herald, platforms: Platforms) -> None:
        """P20: a slow token endpoint is asked once for all who wait, and costs only its time."""
        people = platforms.emails(PEOPLE)
        await platforms.fault(platform="entra", operation="token", delay=1.0)

        record = await herald.deliver(MSTEAMS, people)

        assert outcomes(record) == {"sent": PEOPLE}
        assert await platforms.calls("entra", "token") == 2  # one for the connector, one for Graph


class TestTokens:
    async def test_revoked(self, herald: Herald, platforms: Platforms) -> None:
        """P21: a token that ends mid-request is replaced, and nobody fails or is written to twice."""
        people = platforms.emails(60)
        await platforms.teams_install(people)
        await herald.idle()
        storm = await platforms.send_fault(MSTEAMS, status=429, retry_after="0.3", skip=20)
        request = await herald.notify(MSTEAMS, people)
        await platforms.fired(storm)
        await platforms.control("teams/tokens/revoke")
        await platforms.heal(storm)

        record = await herald.final(request)

        assert outcomes(record) == {"sent": 60}
        assert {entry["details"]["attempts"] for entry in record["statusLogs"]} == {1}
        assert lies(record, await platforms.messages(MSTEAMS)) == []

    async def test_short_lived(self, herald: Herald, platforms: Platforms) -> None:
        """P21: tokens that live for seconds are renewed in time."""
        await platforms.control("settings", {"teams_token_lifetime": 2})
        people = platforms.emails(30)
        storm = await platforms.send_fault(MSTEAMS, status=429, retry_after="3", times=1)

        record = await herald.deliver(MSTEAMS, people)

        assert (await platforms.faults())[storm]["fired"] == 1
        assert await platforms.calls("entra", "token") >= 3
        assert outcomes(record) == {"sent": 30}
        assert lies(record, await platforms.messages(MSTEAMS)) == []


class TestKeys:
    async def test_down(self, herald: Herald, platforms: Platforms) -> None:
        """P22: while the key set cannot be read, known keys go on and an unknown one is refused."""
        people = platforms.emails(4)
        await platforms.teams_install(people[:1])
        trouble = await platforms.fault(platform="entra", operation="keys", status=500, body="down")
        await platforms.teams_install(people[1:2])
        await platforms.control("teams/keys/roll", {"keep_old": False})
        report = await platforms.control("teams/installs", {"emails": people[2:3]})
        await platforms.heal(trouble)

        assert report["accepted"] == 0
        assert {answer["status"] for failure in report["failures"] for answer in failure["answers"]} <= {401, 503}
