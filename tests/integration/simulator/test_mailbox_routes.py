"""The mailbox page over HTTP: its policy, its refusals, and that a message keeps how its text is to be read."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from simulator.app import SimulatorConfig, running
from simulator.pages.routes import PICTURES
from simulator.slack.apps import DEFAULT_BOT_TOKEN


async def test_policy() -> None:
    """The browser may run nothing, and loads styles from the simulator alone."""
    async with (
        running(SimulatorConfig(people=3)) as simulator,
        ClientSession() as http,
        http.get(f"{simulator.url}/_sim/mailbox?platform=teams&email=nobody@a.example") as answer,
    ):
        assert 200 == answer.status
        policy = answer.headers["Content-Security-Policy"]
        assert "nosniff" == answer.headers["X-Content-Type-Options"]
        assert "No message has arrived here." in await answer.text()

    assert policy.startswith("default-src 'none'; style-src 'self'; ")
    assert "script-src" not in policy


@pytest.mark.parametrize(
    "query", ["?platform=slack", "?platform=irc&email=a@a.example", "?email=a@a.example", "?platform=%3Cscript%3E"]
)
async def test_refused(query: str) -> None:
    """An unknown platform and a missing e-mail are refused with what is wanted."""
    async with (
        running(SimulatorConfig(people=3)) as simulator,
        ClientSession() as http,
        http.get(f"{simulator.url}/_sim/mailbox{query}") as answer,
    ):
        assert 400 == answer.status
        assert "platform must be one of slack, teams, and email must be given" == await answer.text()


async def test_pictures() -> None:
    """The simulator has pictures of its own for samples, and no other files."""
    async with running(SimulatorConfig(people=3)) as simulator, ClientSession() as http:
        for name in (*PICTURES, "..%2Fmailbox.css", "none.png"):
            async with http.get(f"{simulator.url}/_sim/pictures/{name}") as answer:
                assert (200 if name in PICTURES else 404) == answer.status
                assert name not in PICTURES or (await answer.read()).startswith(b"\x89PNG")


async def test_how_to_read() -> None:
    """A message keeps that its markup is off, until a new text is given without that."""
    async with running(SimulatorConfig(people=3)) as simulator, ClientSession() as http:
        email = simulator.world.people_of(0)[0].email
        call = {"Authorization": f"Bearer {DEFAULT_BOT_TOKEN}"}
        page = f"{simulator.url}/_sim/mailbox?platform=slack&email={email}"
        async with http.get(f"{simulator.url}/api/users.lookupByEmail?email={email}", headers=call) as answer:
            user = (await answer.json())["user"]["id"]
        sent = {"channel": user, "text": "*a*", "mrkdwn": False}
        async with http.post(f"{simulator.url}/api/chat.postMessage", json=sent, headers=call) as answer:
            posted = await answer.json()
        async with http.get(page) as answer:
            assert '<div class="text">*a*</div>' in await answer.text()

        changed = {"channel": posted["channel"], "ts": posted["ts"], "text": "*b*"}
        async with http.post(f"{simulator.url}/api/chat.update", json=changed, headers=call) as answer:
            assert (await answer.json())["ok"]
        async with http.get(page) as answer:
            shown = await answer.text()
            assert '<div class="text"><b>b</b></div>' in shown
            assert "(edited)" in shown
