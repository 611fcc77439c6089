"""The server as a process: killed, stopped and started again while it sends, and what it writes to its log."""

from __future__ import annotations

import asyncio
import signal

import pytest

from simulator.slack.apps import (
    DEFAULT_BOT_TOKEN,
    DEFAULT_CLIENT_ID,
    DEFAULT_CLIENT_SECRET,
    DEFAULT_SIGNING_SECRET,
)
from simulator.teams.apps import DEFAULT_PASSWORD
from tests.harness.herald import (
    ENCRYPTION_KEY,
    SECRET,
    Json,
    bot,
    caller_token,
    slack_oauth,
    slack_side,
    teams_side,
    text_body,
)
from tests.harness.oracle import lies, outcomes
from tests.harness.platforms import CHANNELS, MSTEAMS, SLACK, Platforms, workspace_id
from tests.scenario.conftest import StartingChildren

PEOPLE = 60
STEADY: Json = {
    "teams_requests_per_second": 30.0,
    "teams_in_flight": 4,
    "slack_posts_per_second": 30.0,
    "slack_burst": 4,
    "slack_in_flight": 4,
}
"""Slow enough that a request is still running when something happens to the process."""


class TestRestart:
    async def test_killed(self, platforms: Platforms, starting_children: StartingChildren, channel: str) -> None:
        """X02, X08, X10: killed right after its answer and again while it sends, it loses and doubles nothing."""
        people = platforms.emails(PEOPLE)
        await platforms.teams_setup_policy()
        async with starting_children(platforms, pace=STEADY) as child:
            process, herald = await child.start()
            request = await herald.notify(channel, people)
            await process.kill()
            process, _ = await child.start()
            await platforms.arrived(channel, 10)
            await process.kill()
            arrived = len(await platforms.messages(channel))
            _, herald = await child.start()
            record = await herald.final(request)

        assert 10 <= arrived < PEOPLE
        doubtful = outcomes(record)["unconfirmed"]
        assert outcomes(record)["sent"] == PEOPLE - doubtful
        assert doubtful <= (2 * STEADY["teams_in_flight"] if channel == MSTEAMS else 0)
        assert lies(record, await platforms.messages(channel)) == []

    async def test_terminated(self, platforms: Platforms, starting_children: StartingChildren, channel: str) -> None:
        """X23: SIGTERM under load lets the answers in flight be written: no delivery is left in doubt."""
        people = platforms.emails(PEOPLE)
        await platforms.teams_setup_policy()
        await platforms.control("settings", {"latency": 0.3})
        async with starting_children(platforms, pace=STEADY) as child:
            process, herald = await child.start()
            request = await herald.notify(channel, people)
            await platforms.arrived(channel, 6)
            process.signal(signal.SIGTERM)
            code = await process.ended()
            arrived = len(await platforms.messages(channel))
            await platforms.control("settings", {"latency": 0.0})
            _, herald = await child.start()
            record = await herald.final(request)

        assert code == 0
        assert 6 <= arrived < PEOPLE
        assert outcomes(record) == {"sent": PEOPLE}
        assert {entry["details"]["attempts"] for entry in record["statusLogs"]} == {1}
        assert lies(record, await platforms.messages(channel)) == []


TEXT = "The very confidential sentence of this notification"
PROBE = "probe.of.the.log@contoso.example"


@pytest.mark.parametrize(
    ("database_kind", "log_format"), [("sqlite", "json"), ("postgresql", "text")], indirect=["database_kind"]
)
class TestLog:
    async def test_s12(self, platforms: Platforms, starting_children: StartingChildren, log_format: str) -> None:
        """S12: no token, secret, message text or whole e-mail stands in anything that a busy server writes."""
        people = [*platforms.emails(12), *(each.email for each in platforms.people()[97:100]), PROBE]
        second = {
            "client_id": "3000000000003.3",
            "client_secret": "second client secret",
            "signing_secret": "second sign",
        }
        await platforms.control("slack/apps", {**second, "app_id": "A0SECOND"})
        bots = (
            bot(msteams=teams_side(), slack=slack_side()),
            bot(2, slack=slack_oauth(**second)),
        )
        async with starting_children(platforms, *bots) as child:
            process, herald = await child.start(log_format=log_format)
            await herald.connect(platforms)
            other = herald.as_bot(2)
            await other.connect(platforms, SLACK, slack_app="A0SECOND")
            await other.install_slack(platforms, team=workspace_id(0))
            await platforms.teams_install(people[:5])
            await platforms.teams_setup_policy()
            faults: list[Json] = [{"status": 500}, {"status": 429}, {"drop": "after"}]
            for each in CHANNELS:
                for person, fault in zip(people, faults, strict=False):
                    await platforms.send_fault(each, person=person, times=1, **fault)
            await platforms.send_fault(SLACK, person=people[4], status=200, body='{"ok":false,"error":"odd_code"}')
            await asyncio.gather(
                herald.deliver(MSTEAMS, people, TEXT),
                herald.deliver(SLACK, people, TEXT),
                other.deliver(SLACK, people, TEXT),
            )
            forged = caller_token(secret="another secret of at least thirty-two bytes")
            herald.token = forged
            refused = [
                await herald.post(text_body(SLACK, people, TEXT)),
                await herald.post(text_body(SLACK, people, TEXT), auth=f"{forged} junk"),
            ]
            herald.token = caller_token()
            refused += [
                await herald.post(b'{"message": "' + TEXT.encode() + b'", "identities": ["' + PROBE.encode()),
                await herald.post({"channel": SLACK, "identities": [PROBE], TEXT: TEXT}),
            ]
            await platforms.slack_event("message.im", text=TEXT, bad_signature=True, wait=False)
            await platforms.slack_event("message.im", text=TEXT)
            await platforms.slack_event("user_change", user=people[2])
            await platforms.control("teams/events", {"person": people[1], "kind": "message", "text": TEXT})
            forgery = {"person": people[1], "signature": "flipped", "activity": {"text": TEXT}}
            bearer = (await platforms.control("teams/activities", forgery))["authorization"]
            await platforms.control("slack/uninstall", {"app_id": "A0SECOND", "wait": True})
            request = await other.notify(SLACK, people[:2], TEXT)
            await other.paused(request, "installation_missing")
            process.signal(signal.SIGTERM)
            code = await process.ended()

        assert [status for status, _ in refused] == [401, 401, 412, 412]
        assert code == 0
        installs = (await platforms.control("state", method="GET"))["slack"]["installs"]
        secrets = {
            *(install["token"] for install in installs),
            *(DEFAULT_BOT_TOKEN, DEFAULT_SIGNING_SECRET, DEFAULT_CLIENT_SECRET, DEFAULT_PASSWORD),
            *(second["client_secret"], second["signing_secret"], SECRET, ENCRYPTION_KEY),
            *(caller_token(), forged, forged.rpartition(".")[2], caller_token().rpartition(".")[2]),
            *(bearer.removeprefix("Bearer "), TEXT, *people),
        }
        output = "".join(process.output).lower()
        assert DEFAULT_CLIENT_ID not in secrets
        assert len(process.output) > 20
        assert [secret for secret in secrets if secret.lower() in output] == []
        assert "@contoso.example" not in output
        assert "eyj" not in output  # how every JWT begins
        assert "traceback" not in output
