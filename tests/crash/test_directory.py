"""The process dies in the middle of listing a workspace's people."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from tests.crash.child import PATIENCE
from tests.crash.judge import Scene
from tests.harness.platforms import SLACK

PAGE = 10
EVERYBODY = 103  # the people, a bot, Slackbot and a stranger


@pytest.mark.parametrize("channel", [SLACK], indirect=True)
class TestMirror:
    @pytest.mark.parametrize("turn", [3, 5])
    async def test_it_goes_on(self, scene: Scene, turn: int) -> None:
        """Killed between two pages, a listing goes on from the stored cursor; at its end nobody is wrongly gone."""
        await scene.platforms.control("settings", {"slack_users_page": PAGE})
        await _listed(scene, 1)
        [left] = [each for each in await _slack_people(scene) if each["email"] == scene.platforms.emails(3)[2]]
        await scene.platforms.control(f"slack/people/{left['id']}", {"deleted": True, "silent": True}, "PATCH")
        known = await _states(scene)
        await scene.execute("UPDATE chores SET next_at = 0 WHERE kind = 'slack.directory'")
        dying = scene.start(f"chore.done:{turn}")
        await dying.killed()
        [chore] = await scene.query("SELECT detail FROM chores WHERE kind = 'slack.directory'")
        detail = json.loads(chore["detail"])
        before = await scene.platforms.calls("slack", "users.list")

        await _listed(scene, 2)

        [mirror] = await scene.query("SELECT begun, completed, members FROM mirrors")
        pages = await scene.platforms.calls("slack", "users.list") - before
        assert detail["cursor"]
        assert (mirror["begun"], mirror["completed"], mirror["members"]) == (2, 2, EVERYBODY)
        assert math.ceil((EVERYBODY - detail["entries"]) / PAGE) == pages
        assert {**known, left["id"]: True} == await _states(scene)


async def _listed(scene: Scene, number: int) -> None:
    """A life of the server until the listing of that number is complete, and its chore written off."""
    server = scene.start()
    complete = "SELECT 1 FROM mirrors, chores WHERE completed = :number AND kind = 'slack.directory' AND detail = '{}'"
    async with asyncio.timeout(PATIENCE):
        while not await scene.query(complete, number=number):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await server.kill()


async def _slack_people(scene: Scene) -> list[dict[str, str]]:
    found: list[dict[str, str]] = (await scene.platforms.control("slack/people?limit=200", method="GET"))["people"]
    return found


async def _states(scene: Scene) -> dict[str, bool]:
    """Who is stored, and whether they are disabled."""
    return {row["user_id"]: bool(row["disabled"]) for row in await scene.query("SELECT user_id, disabled FROM people")}
