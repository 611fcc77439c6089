"""The process dies while it takes an event of a platform, and while it does the chores that events bring."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.crash.child import PATIENCE
from tests.crash.judge import Scene, hear_from_teams, mixed_people, verdict
from tests.harness.platforms import MSTEAMS, SLACK

MOMENTS = ["inbound.before_commit", "inbound.committed"]


class TestTeamsInstalls:
    @pytest.mark.parametrize("channel", [MSTEAMS], indirect=True)
    @pytest.mark.parametrize("name", [*MOMENTS, "chore.done"])
    async def test_dies_there(self, scene: Scene, name: str) -> None:
        """X19: killed while installs arrive: who is announced again is known once, and everybody is reached once."""
        people = mixed_people(scene.platforms, stored=2, cold=0)
        await scene.prepare(people)
        new = scene.platforms.emails(10)[4:]
        dying = scene.start(f"{name}:3")
        await hear_from_teams(scene.platforms, await dying.listening())
        await scene.platforms.control("teams/installs", {"emails": new, "concurrency": 2})
        await dying.killed()
        server = scene.start()
        herald = await server.listening()
        await hear_from_teams(scene.platforms, herald)
        await scene.platforms.teams_install(new)

        request = await scene.post(herald, [*people.stored, *new])

        assert request is not None
        record = await herald.final(request)
        references = await scene.query("SELECT conversation_id FROM conversation_references WHERE active")
        chats = [row["conversation_id"] for row in references]
        assert "SUCCESS" == record["status"]
        assert 2 + 6 == len(chats) == len(set(chats))
        assert [] == await verdict(scene, record, [*people.stored, *new])
        await _nothing_left_to_do(scene)


class TestSlackEvents:
    @pytest.mark.parametrize("channel", [SLACK], indirect=True)
    @pytest.mark.parametrize("name", MOMENTS)
    async def test_dies_there(self, scene: Scene, name: str) -> None:
        """P29: killed before the event was acknowledged, Slack's second delivery of it is taken, and taken once."""
        people = mixed_people(scene.platforms, stored=3, cold=0)
        await scene.prepare(people)
        await scene.platforms.control("settings", {"slack_event_retry_seconds": [0.0]})
        person = await scene.platforms.slack_person(people.stored[0], email="somebody@new.example", silent=True)
        dying = scene.start(name)
        await (await dying.listening()).connect(scene.platforms)
        await scene.platforms.slack_event("user_change", user=person["id"], event_id="Ev0CRASH")
        await dying.killed()
        server = scene.start()
        herald = await server.listening()
        await herald.connect(scene.platforms)
        await scene.platforms.slack_event("user_change", user=person["id"], event_id="Ev0CRASH", copies=2)

        record = await herald.deliver(SLACK, ["somebody@new.example"], "The lift is out of order")

        seen = await scene.query("SELECT event_id FROM inbox WHERE event_id = 'Ev0CRASH'")
        assert 1 == len(seen)
        assert "SUCCESS" == record["status"]
        assert 1 == len(await scene.messages())

    @pytest.mark.parametrize("channel", [SLACK], indirect=True)
    async def test_chore(self, scene: Scene) -> None:
        """X05: killed when the token's workspace was just learned, it is learned again and nothing is asked twice."""
        dying = scene.start("chore.done")
        await dying.killed()
        cold = mixed_people(scene.platforms, stored=0, cold=5).cold

        record = await scene.finish(None, cold)

        installed = await scene.query("SELECT tenant_id FROM installations")
        assert "SUCCESS" == record["status"]
        assert 1 == len(installed)
        assert [] == await verdict(scene, record, cold)


async def _nothing_left_to_do(scene: Scene) -> None:
    """Every chore is done at last, apart from those that come again in some days."""
    question = "SELECT kind, key, attempts FROM chores WHERE kind = 'teams.member' AND next_at < :soon"
    async with asyncio.timeout(PATIENCE):
        while await scene.query(question, soon=time.time() + 3600.0):  # noqa: ASYNC110 - the database is asked
            await asyncio.sleep(0.05)
