"""What Teams' events store: a real route, real tokens, both databases (P29, P30, P32)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, web
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import Lane
from adapters.evidence import Evidence
from adapters.teams.capture import Capture
from adapters.teams.events import read_event
from adapters.teams.inbound import TeamsInbound
from adapters.teams.limits import ANSWER_SECONDS
from storage import chores, installations, references, tables
from storage.engine import Database
from storage.references import Reference
from tests.harness.databases import locked
from tests.integration.teams import kit
from tests.integration.teams.kit import BOT, CONVERSATION, PERSON, TEAMS_ID, TENANT, Cloud

PLATFORM_SECONDS = 15.0  # learn.microsoft.com azure/bot-service/bot-builder-basics: then it is a GatewayTimeout
CROWD = 20  # more than there are connections
ROUNDS, STEP = 60, 0.0005  # deadlines from at once to long after the commit
NOW = 1_769_200_000.0  # 2026-01-23T20:26:40Z, after the activities of the kit


@dataclass
class Route:
    """The bot's route, and everything it told the rest of the process."""

    cloud: Cloud
    session: ClientSession
    database: Database
    url: str = ""
    hurried: str = ""
    """The same route with a deadline that no test waits for."""
    evidence: list[Evidence] = field(default_factory=list)
    woken: list[Lane] = field(default_factory=list)
    broken: bool = False

    async def sink(self, tx: AsyncConnection, found: Evidence) -> None:
        """Take evidence; fail when told to."""
        if self.broken:
            raise OSError("the sink is broken")
        await tx.execute(select(1))
        self.evidence.append(found)

    async def post(self, kind: str, **changes: Any) -> tuple[int, bytes]:
        """Post one activity with a good token."""
        activity = {name: value for name, value in self.cloud.activity(kind, **changes).items() if value is not None}
        token = self.cloud.sign({"exp": int(NOW) + 3600, "nbf": int(NOW)})
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with self.session.post(self.url, data=orjson.dumps(activity), headers=headers) as answer:
            return answer.status, await answer.read()

    async def reference(self, person: str = PERSON) -> tuple[Reference, bool] | None:
        """What is stored about a person."""
        async with self.database.read() as tx:
            found = await references.find(tx, bot_id=BOT, channel="msteams", tenant_id=TENANT, persons=[person])
        return found.get(person)

    async def due(self) -> list[chores.ChoreRow]:
        """The lane's chores."""
        async with self.database.read() as tx:
            return await chores.due(tx, bot_id=BOT, channel="msteams", tenant_id=TENANT, now=NOW + 1, limit=10)

    async def count(self, table: Any) -> int:
        """How many rows a table has."""
        async with self.database.read() as tx:
            return int((await tx.execute(select(func.count()).select_from(table))).scalar_one())


@pytest.fixture(name="route")
async def _route(cloud: Cloud, session: ClientSession, database: Database) -> AsyncIterator[Route]:
    route = Route(cloud, session, database)
    bots = kit.bots(cloud, session, now=lambda: NOW)
    parts: dict[str, Any] = {"evidence": route.sink, "wake": route.woken.append, "now": lambda: NOW}
    app = web.Application()
    app.router.add_post("/teams/st-teams/messages", TeamsInbound(bots, database, **parts).handler(BOT))
    app.router.add_post("/hurried", TeamsInbound(bots, database, answer_seconds=0.2, **parts).handler(BOT))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served = f"http://127.0.0.1:{runner.addresses[0][1]}"
    route.url, route.hurried = f"{served}/teams/st-teams/messages", f"{served}/hurried"
    yield route
    await runner.cleanup()


class TestInstall:
    @pytest.mark.parametrize("action", ["add", "add-upgrade"])
    async def test_captures_everything(self, route: Route, action: str) -> None:
        """A personal install stores reference, installation and the chore for the e-mail, then wakes the lane."""
        status, _ = await route.post("installationUpdate", action=action)

        found = await route.reference()
        async with route.database.read() as tx:
            installed = await installations.get(tx, bot_id=BOT, channel="msteams", tenant_id=TENANT)
        due = await route.due()
        assert status == 200
        assert found is not None
        assert found[1]
        assert found[0] == Reference(
            BOT, "msteams", TENANT, PERSON, TEAMS_ID, CONVERSATION, route.cloud.service_url, 1769130123.456
        )
        assert installed is not None
        assert (installed.service_url, installed.app_id, installed.active) == (
            route.cloud.service_url,
            kit.APP_ID,
            True,
        )
        assert [(row.kind, row.key, row.detail["user_id"], row.detail["service_url"]) for row in due] == [
            ("teams.member", CONVERSATION, PERSON, route.cloud.service_url)
        ]
        assert [(lane.bot, lane.channel, lane.tenant) for lane in route.woken] == [(BOT, "msteams", TENANT)]

    async def test_bot_added(self, route: Route) -> None:
        """conversationUpdate with the bot among the added members captures too, and twice is once."""
        bot = {"id": f"28:{kit.APP_ID}"}
        await route.post("installationUpdate", action="add")
        await route.post("conversationUpdate", membersAdded=[bot, {"id": TEAMS_ID}])

        assert await route.reference() is not None
        assert len(await route.due()) == 1
        assert await route.count(tables.conversation_references) == 1

    async def test_without_object_id(self, route: Route) -> None:
        """Where Teams names no Entra id, the Teams id is the person's key."""
        await route.post("installationUpdate", action="add", **{"from": {"id": TEAMS_ID}})

        found = await route.reference(TEAMS_ID)
        assert found is not None
        assert found[0].user_id == TEAMS_ID

    @pytest.mark.parametrize("scope", ["channel", "groupChat"])
    async def test_teams_and_group_chats(self, route: Route, scope: str) -> None:
        """An install in a team or group chat makes the tenant known and nobody's reference."""
        conversation = {"id": "19:x@thread.tacv2", "conversationType": scope, "isGroup": True}
        status, _ = await route.post("installationUpdate", action="add", conversation=conversation)

        assert status == 200
        assert await route.count(tables.installations) == 1
        assert await route.count(tables.conversation_references) == 0
        assert await route.count(tables.chores) == 0

    async def test_tenant_from_the_conversation(self, route: Route) -> None:
        """Without channel data the conversation's own tenantId is taken; without any tenant nothing is stored."""
        status, _ = await route.post("installationUpdate", action="add", channelData=None)
        nameless, _ = await route.post(
            "installationUpdate",
            action="add",
            id="f:2",
            channelData=None,
            conversation={"id": CONVERSATION, "conversationType": "personal"},
        )

        assert (status, nameless) == (200, 400)
        assert await route.count(tables.installations) == 1


class TestRemoval:
    @pytest.mark.parametrize(
        ("kind", "changes"),
        [
            ("installationUpdate", {"action": "remove"}),
            ("installationUpdate", {"action": "remove-upgrade"}),
            ("conversationUpdate", {"membersRemoved": [{"id": f"28:{kit.APP_ID}"}]}),
        ],
    )
    async def test_deactivates(self, route: Route, kind: str, changes: dict[str, Any]) -> None:
        """An uninstall makes the reference unusable; the tenant stays known."""
        await route.post("installationUpdate", action="add")
        status, _ = await route.post(kind, id="f:later", timestamp="2026-01-23T02:00:00Z", **changes)

        found = await route.reference()
        assert status == 200
        assert found is not None
        assert not found[1]
        assert await route.count(tables.installations) == 1

    async def test_out_of_order(self, route: Route) -> None:
        """P30: an install that arrives after its own uninstall does not revive the reference."""
        await route.post("installationUpdate", action="remove", id="f:2", timestamp="2026-01-23T02:00:00Z")
        await route.post("installationUpdate", action="add", id="f:1", timestamp="2026-01-23T01:00:00Z")

        found = await route.reference()
        assert found is not None
        assert not found[1]
        assert route.woken == []

    async def test_late_removal(self, route: Route) -> None:
        """P30: an uninstall that arrives after the install that followed it does not end the new install."""
        await route.post("installationUpdate", action="add", id="f:2", timestamp="2026-01-23T02:00:00Z")
        await route.post("installationUpdate", action="remove", id="f:1", timestamp="2026-01-23T01:00:00Z")

        found = await route.reference()
        assert found is not None
        assert (found[1], len(route.woken)) == (True, 1)

    async def test_a_message_reactivates(self, route: Route) -> None:
        """Whoever writes can be written to again, at the service URL of the message."""
        await route.post("installationUpdate", action="add")
        await route.post("installationUpdate", action="remove", id="f:2", timestamp="2026-01-23T02:00:00Z")
        await route.post("message", id="17", timestamp="2026-01-23T03:00:00Z", text="hello again")

        found = await route.reference()
        assert found is not None
        assert found[1]


class TestMessages:
    async def test_first_sight_learns_the_person(self, route: Route) -> None:
        """A message of somebody unknown captures the reference and asks for the e-mail, once."""
        await route.post("message", id="17", text="hi")
        await route.post("message", id="18", text="hi", timestamp="2026-01-23T04:00:00Z")

        assert await route.reference() is not None
        assert len(await route.due()) == 1
        assert len(route.woken) == 1

    async def test_texts_are_nowhere(self, route: Route, caplog: pytest.LogCaptureFixture) -> None:
        """Neither the database nor a log line holds what a person wrote."""
        secret = "the-secret-sentence"
        await route.post("message", id="17", text=secret, value={"field": secret}, replyToId="16")

        async with route.database.read() as tx:
            for table in tables.metadata.sorted_tables:
                rows = (await tx.execute(select(table))).all()
                assert secret not in repr(rows)
        assert secret not in caplog.text

    async def test_repeats(self, route: Route) -> None:
        """P29: the same activity twice has one effect; the same id in another conversation is another activity."""
        other = {"conversationType": "personal", "id": "a:2"}
        for _ in range(2):
            await route.post("message", id="17", replyToId="16")
        await route.post("message", id="17", replyToId="16", conversation=other)

        assert len(route.evidence) == 2

    async def test_unknown_types(self, route: Route) -> None:
        """What Herald does not know is acknowledged."""
        status, body = await route.post("somethingNew", id="f:9", anything={"deep": [1]})

        assert (status, body) == (200, b"")


class TestEvidence:
    @pytest.mark.parametrize(
        ("kind", "changes", "expected"),
        [
            ("message", {"replyToId": "16"}, ("reply", "16")),
            ("message", {"replyToId": "16", "value": {"x": 1}}, ("button", "16")),
            ("messageReaction", {"replyToId": "16", "reactionsAdded": [{"type": "like"}]}, ("reaction", "16")),
            (
                "event",
                {"name": "application/vnd.microsoft.readReceipt", "value": {"lastReadMessageId": "16"}},
                ("read", "16"),
            ),
        ],
    )
    async def test_reaches_the_sink(
        self, route: Route, kind: str, changes: dict[str, Any], expected: tuple[str, str]
    ) -> None:
        """Replies, buttons, reactions and read receipts arrive inside the event's transaction."""
        status, _ = await route.post(kind, **changes)

        assert status == 200
        assert [(found.kind, found.message_id) for found in route.evidence] == [expected]
        assert (route.evidence[0].user_id, route.evidence[0].tenant) == (PERSON, TENANT)

    @pytest.mark.parametrize(
        ("kind", "changes"),
        [
            ("message", {"replyToId": "17"}),
            ("messageReaction", {"replyToId": "17", "reactionsAdded": [{"type": "like"}]}),
            ("event", {"name": "application/vnd.microsoft.readReceipt", "value": {"lastReadMessageId": "17"}}),
        ],
    )
    async def test_their_own_messages(self, route: Route, kind: str, changes: dict[str, Any]) -> None:
        """What a person does to a message of their own, or reads up to it, proves no message of ours."""
        await route.post("message", id="17", text="written by the person")

        status, _ = await route.post(kind, id="f:later", **changes)
        await route.post(kind, id="f:elsewhere", conversation={"id": "a:2", "conversationType": "personal"}, **changes)

        assert status == 200
        named = [found.conversation_id for found in route.evidence if found.message_id is not None]
        assert named == ["a:2"]

    async def test_a_button_is_always_ours(self, route: Route) -> None:
        """People cannot send cards: a pressed button stands on a message of the bot."""
        await route.post("message", id="17")
        await route.post("message", id="18", replyToId="17", value={"x": 1})

        assert [(found.kind, found.message_id) for found in route.evidence] == [("button", "17")]

    @pytest.mark.parametrize(
        ("name", "answer"),
        [
            (
                "adaptiveCard/action",
                {"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "OK"},
            ),
            ("task/fetch", {}),
            (None, {}),
        ],
    )
    async def test_invokes_are_answered(self, route: Route, name: str | None, answer: dict[str, Any]) -> None:
        """A button's invoke gets 200 with a body, so that Teams shows no error."""
        status, body = await route.post("invoke", name=name, replyToId="16", value={"action": {"data": {}}})

        assert (status, orjson.loads(body)) == (200, answer)
        assert [(found.kind, found.message_id) for found in route.evidence] == [("button", "16")]


class TestNotStored:
    async def test_nothing_is_acknowledged_that_is_not_stored(self, route: Route) -> None:
        """When the transaction fails Teams hears 503, nothing is half-written, and the repeat succeeds."""
        route.broken = True
        failed, _ = await route.post("message", id="17", replyToId="16")
        assert await route.count(tables.inbox) == 0
        assert await route.reference() is None
        route.broken = False
        again, _ = await route.post("message", id="17", replyToId="16")

        assert (failed, again) == (503, 200)
        assert len(route.evidence) == 1

    async def test_no_database(self, route: Route) -> None:
        """Without its tables the database answers an error, and Teams hears 503."""
        async with route.database.write() as tx:
            await tx.run_sync(tables.inbox.drop)

        status, _ = await route.post("installationUpdate", action="add")

        assert status == 503
        assert route.woken == []


class TestSlowDatabase:
    """P32: Teams is answered in time, and is not told that something was taken that was not."""

    @staticmethod
    async def write(route: Route) -> set[int]:
        """A crowd writes to the bot at once: every status that was answered."""
        chats = ({"conversationType": "personal", "tenantId": TENANT, "id": f"a:{each}"} for each in range(CROWD))
        answers = await asyncio.gather(*(route.post("message", conversation=chat) for chat in chats))
        return {status for status, _ in answers}

    async def test_late(self, route: Route, database_url: str) -> None:
        """P32: activities that cannot be stored get 503 in time and leave nothing; repeated, they are stored once."""
        async with locked(database_url):
            began = time.monotonic()
            late = await self.write(replace(route, url=route.hurried))
            took = time.monotonic() - began
        nothing = await route.count(tables.inbox)
        again = await self.write(route)
        twice = await self.write(route)

        assert (late, again, twice) == ({503}, {200}, {200})
        assert took < PLATFORM_SECONDS
        assert (nothing, await route.count(tables.inbox)) == (0, CROWD)

    async def test_what_is_stored_is_known(self, route: Route) -> None:
        """P32: a deadline that falls into the commit hides nothing: where a chore was stored the lane is woken."""
        capture = Capture(route.database, evidence=route.sink, wake=route.woken.append, now=lambda: NOW)
        install = read_event(route.cloud.activity("installationUpdate", action="add"), {}, NOW)
        for number in range(ROUNDS):
            event = replace(install, tenant=f"tenant-{number}", key=f"key-{number}")
            by = asyncio.get_running_loop().time() + number * STEP
            with suppress(TimeoutError):
                await route.database.in_time(capture.store(kit.app(), event), by)

        async with route.database.write() as tx:
            stored = set((await tx.execute(select(tables.chores.c.tenant_id))).scalars())
        assert stored <= {lane.tenant for lane in route.woken}

    async def test_is_told(self, route: Route, database_url: str, caplog: pytest.LogCaptureFixture) -> None:
        """P32: operators read in the log that the database was too slow."""
        async with locked(database_url):
            await replace(route, url=route.hurried).post("message", text="hi")

        assert "teams_event_late" in {getattr(record, "action", None) for record in caplog.records}

    def test_before_teams_gives_up(self) -> None:
        """P32: what is answered in time is answered well before the platform gives the bot up."""
        assert ANSWER_SECONDS + 2 <= PLATFORM_SECONDS
