"""The process dies at each of its named moments, is started again, and keeps every promise.

What each person has in the mailbox is compared with what the record says. The walk is over the registry itself: a
moment that is added there is visited here, and one that is never reached fails.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.teams.apps import DEFAULT_MULTI_TENANT_APP_ID
from simulator.teams.people import tenant_id
from storage.failpoints import POINTS
from tests.crash.child import Servers
from tests.crash.judge import (
    IN_FLIGHT,
    TEXT,
    Scene,
    blind_bot,
    hear_from_teams,
    mixed_people,
    one_bot,
    unconfirmed,
    verdict,
)
from tests.harness.herald import CATALOG_APP_ID, Herald, bot, slack_oauth, teams_side
from tests.harness.oracle import outcomes
from tests.harness.platforms import CHANNELS, MSTEAMS, SLACK, Platforms, simulated

ELSEWHERE = {
    (SLACK, "resolve.opened"): "chat.postMessage takes a person's id: Slack opens the conversation itself",
}
"""The moments that do not exist on a platform, and why."""

OWN_SCENES = {
    "lane.claimed": "TestAtStart",
    "lane.recovered": "TestAtStart",
    "lane.moved": "TestTwoTenants",
    "inbound.before_commit": "test_events.py",
    "inbound.committed": "test_events.py",
    "teams.installed": "TestInstalling",
    "chore.done": "test_events.py",
    "migrate.before_commit": "test_schema.py",
    "purge.before_commit": "test_schema.py",
}
"""The moments that need a set-up of their own, and where they have it."""

COUNTS = {
    "resolve.opened": 5,
    "intent.before_commit": 2,
    "intent.committed": 2,
    "wire.before": 6,
    "wire.answered": 6,
    "record.before_progress": 3,
    "record.before_commit": 3,
    "record.committed": 3,
}
"""Not the first time that they are reached but in the middle of the request."""

WALK = [
    (channel, name)
    for name in POINTS
    for channel in CHANNELS
    if name not in OWN_SCENES and (channel, name) not in ELSEWHERE
]


class TestWalk:
    @pytest.mark.parametrize(("channel", "name"), WALK, indirect=["channel"])
    async def test_dies_there(self, scene: Scene, name: str) -> None:
        """X01, X02, X03, X04, X05, X06, X10, X11: killed at this moment: one copy each, nobody is lost."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        dying = scene.start(f"{name}:{COUNTS.get(name, 1)}")
        request = await scene.post_while_alive(dying, people.identities)
        await dying.killed()
        doubtful = await scene.in_doubt()

        record = await scene.finish(request, people.identities)

        assert len(doubtful) <= IN_FLIGHT
        assert (doubtful if scene.channel == MSTEAMS else set()) == unconfirmed(record)
        assert [] == await verdict(scene, record, people.identities, doubtful=doubtful)

    @pytest.mark.parametrize("name", ["record.before_progress", "record.before_commit", "record.committed"])
    async def test_closing(self, scene: Scene, name: str) -> None:
        """X12: killed while the last result is written, the request is closed, and exactly once."""
        people = mixed_people(scene.platforms, stored=1, cold=0)
        await scene.prepare(people)
        dying = scene.start(name)
        request = await scene.post_while_alive(dying, people.stored)
        await dying.killed()
        doubtful = await scene.in_doubt()

        record = await scene.finish(request, people.stored)

        assert 1 == len(record["statusLogs"])
        assert [] == await verdict(scene, record, people.stored, doubtful=doubtful)

    def test_known(self) -> None:
        """Every moment with a scene of its own exists."""
        assert set() == {*OWN_SCENES, *COUNTS, *(name for _, name in ELSEWHERE)} - set(POINTS)


class TestAccepted:
    @pytest.mark.parametrize(("name", "stored"), [("accept.before_commit", 0), ("accept.committed", 1)])
    async def test_same_key(self, scene: Scene, name: str, stored: int) -> None:
        """X01, X02: the caller who got no answer posts again with the same key, and there is one request."""
        people = mixed_people(scene.platforms, stored=3, cold=3)
        await scene.prepare(people)
        dying = scene.start(name)
        request = await scene.post_while_alive(dying, people.identities)
        await dying.killed()
        before = await scene.query("SELECT id FROM requests WHERE total = :total", total=len(people.identities))

        record = await scene.finish(request, people.identities)

        after = await scene.query("SELECT id FROM requests WHERE total = :total", total=len(people.identities))
        assert request is None
        assert stored == len(before)
        assert [record["_id"]] == [row["id"] for row in after]
        assert before in ([], after)
        assert [] == await verdict(scene, record, people.identities)

    async def test_without_a_key(self, scene: Scene) -> None:
        """X02: without a key the repetition is a second request, as at Kore, and both are true."""
        people = mixed_people(scene.platforms, stored=3, cold=0)
        await scene.prepare(people)
        dying = scene.start("accept.committed")
        await scene.post_while_alive(dying, people.stored)
        await dying.killed()
        scene.key = "another"

        record = await scene.finish(None, people.stored)

        herald = await scene.servers.started[-1].listening()
        (first,) = await scene.query(
            "SELECT id FROM requests WHERE id <> :id ORDER BY created_at DESC LIMIT 1", id=record["_id"]
        )
        assert "SUCCESS" == (await herald.final(first["id"]))["status"]
        assert "SUCCESS" == record["status"]
        assert 2 * 3 == len(await scene.messages())


class TestAtStart:
    async def test_claimed(self, scene: Scene) -> None:
        """X05: killed when it has just claimed the lane, the next process claims it at once."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        accepting = scene.start(server={"drain": False})
        request = await scene.post_while_alive(accepting, people.identities)
        await accepting.kill()
        dying = scene.start("lane.claimed")
        await dying.killed()

        record = await scene.finish(request, people.identities)

        assert request is not None
        assert [] == await verdict(scene, record, people.identities)

    async def test_recovered(self, scene: Scene) -> None:
        """X05: killed again while it recovers, what was in doubt stays in doubt and is looked for."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        dying = scene.start("wire.answered:6")
        request = await scene.post_while_alive(dying, people.identities)
        await dying.killed()
        doubtful = await scene.in_doubt()
        again = scene.start("lane.recovered")
        await again.killed()

        record = await scene.finish(request, people.identities)

        assert doubtful
        assert [] == await verdict(scene, record, people.identities, doubtful=doubtful)


class TestTwoTenants:
    @pytest.mark.parametrize("moment", ["lane.moved", "lane.moved:2"])
    async def test_moved(
        self, channel: str, processes: Servers, tmp_path: Path, database_url: str, moment: str
    ) -> None:
        """X04: killed when deliveries were just handed to a tenant's lane, or to the next one, each is sent once."""
        async with simulated(tenants=2, workspaces=2, people=20) as platforms:
            multi = teams_side(app_id=DEFAULT_MULTI_TENANT_APP_ID, app_type="MultiTenant")
            del multi["tenant_id"]
            ours = one_bot(channel, multi, slack_oauth())
            scene = Scene(channel, platforms, processes, tmp_path, database_url, bots=[ours])
            server = scene.start()
            herald = await server.listening()
            await _install_in_both(scene, herald)
            await server.kill()
            people = [*platforms.emails(8, 0), *platforms.emails(8, 1)]
            identities = [*people, f"nobody@{people[0].rpartition('@')[2]}", people[0]]
            dying = scene.start(moment)
            request = await scene.post_while_alive(dying, identities)
            await dying.killed()
            doubtful = await scene.in_doubt()  # others of their lanes may have been on the wire

            record = await scene.finish(request, identities)

            assert 1 == outcomes(record)["refused"]
            assert [] == await verdict(scene, record, identities, doubtful=doubtful)


class TestInstalling:
    async def test_installed(self, processes: Servers, tmp_path: Path, database_url: str) -> None:
        """X19: killed when the app was installed and its conversation not stored, everybody gets the message once."""
        async with simulated(people=30) as platforms:
            installing = bot(msteams=teams_side(catalog_app_id=CATALOG_APP_ID))
            scene = Scene(MSTEAMS, platforms, processes, tmp_path, database_url, bots=[installing])
            people = platforms.emails(12)
            dying = scene.start("teams.installed:5")
            request = await scene.post_while_alive(dying, people)
            await dying.killed()
            doubtful = await scene.in_doubt()

            record = await scene.finish(request, people)

            assert doubtful == unconfirmed(record)
            assert [] == await verdict(scene, record, people, doubtful=doubtful)


class TestResend:
    async def test_second_copy_is_chosen(self, scene: Scene) -> None:
        """X10: with `onUncertain` set to resend everybody gets the message, and only who was in doubt may get two."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        dying = scene.start("wire.answered:6")
        request = await scene.post(await dying.listening(), people.identities, options={"onUncertain": "resend"})
        await dying.killed()
        doubtful = await scene.in_doubt()

        record = await scene.finish(request, people.identities)

        boxes = [message["email"].lower() for message in await scene.messages()]
        reachable = {*people.stored, *people.cold}
        assert set() == unconfirmed(record)
        assert reachable == set(boxes)
        assert {each for each in reachable if boxes.count(each) > 1} <= doubtful
        assert 2 >= max(boxes.count(each) for each in reachable)


class TestPersonal:
    async def test_scripts(self, scene: Scene) -> None:
        """X10: killed with scripts rendered and sent, everybody gets what was stored for them, and nobody two."""
        people = mixed_people(scene.platforms)
        await scene.prepare(people)
        script = {"type": "script", "val": f"koreDebugger.log(Math.random()); print('{TEXT}')"}
        dying = scene.start("wire.answered:6")
        request = await scene.post(await dying.listening(), people.identities, message=script)
        await dying.killed()
        doubtful = await scene.in_doubt()
        before = await scene.query("SELECT id, notes FROM deliveries WHERE payload IS NOT NULL")

        record = await scene.finish(request, people.identities)

        logged = {entry["_id"]: entry["details"].get("scriptLog") for entry in record["statusLogs"]}
        assert len(before) >= 6
        assert {row["id"]: json.loads(row["notes"])["log"] for row in before} == {
            row["id"]: logged[row["id"]] for row in before
        }
        assert [] == await verdict(scene, record, people.identities, doubtful=doubtful)


class TestWithoutScopes:
    async def test_unconfirmed(
        self, platforms: Platforms, processes: Servers, tmp_path: Path, database_url: str
    ) -> None:
        """X10: where Slack does not let us look, exactly what was on the wire ends unconfirmed, with the remedy."""
        blind = await blind_bot(platforms)
        scene = Scene(SLACK, platforms, processes, tmp_path, database_url, bots=[blind], may_look=False)
        people = mixed_people(platforms)
        await scene.prepare(people)
        dying = scene.start("wire.answered:6")
        request = await scene.post_while_alive(dying, people.identities)
        await dying.killed()
        doubtful = await scene.in_doubt()

        record = await scene.finish(request, people.identities)

        told = [e["details"] for e in record["statusLogs"] if e["details"]["outcome"] == "unconfirmed"]
        assert doubtful
        assert doubtful == unconfirmed(record)
        assert all("im:history" in details["remedy"] for details in told)
        assert [] == await verdict(scene, record, people.identities, doubtful=doubtful)


async def _install_in_both(scene: Scene, herald: Herald) -> None:
    """The app in two tenants or workspaces, as their administrators would install it."""
    if scene.channel == SLACK:
        workspaces = (await scene.platforms.control("state", method="GET"))["slack"]["workspaces"]
        for workspace in workspaces:
            await herald.install_slack(scene.platforms, team=workspace["id"])
        return
    await hear_from_teams(scene.platforms, herald, DEFAULT_MULTI_TENANT_APP_ID)
    for index in (0, 1):
        where = {"tenant": tenant_id(index), "app_id": DEFAULT_MULTI_TENANT_APP_ID}
        everybody = scene.platforms.emails(10, index)
        await scene.platforms.teams_install(everybody[:4], **where)
        await scene.platforms.teams_install(everybody[4:], notify=False, **where)
