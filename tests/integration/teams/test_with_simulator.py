"""The whole Teams side against the simulator over HTTP: install, capture, learn, send; cold, blocked, uninstalled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, web
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.base import (
    Address,
    BotId,
    ChannelName,
    Chore,
    ChoreLater,
    DeliveryId,
    Lane,
    NotSent,
    Outcome,
    Refused,
    Sent,
    TenantId,
    Uncertain,
)
from adapters.evidence import Evidence
from adapters.teams.bots import TeamsBots
from adapters.teams.config import TeamsApp, TeamsEndpoints
from adapters.teams.inbound import TeamsInbound
from adapters.teams.members import AGAIN_SECONDS, MemberChore
from adapters.teams.outbound import TeamsChannel
from identity.answers import NoPerson, PersonAnswer
from identity.email import normal_form
from identity.teams import GraphPeople
from simulator.app import Running, running
from simulator.teams.apps import DEFAULT_APP_ID, DEFAULT_PASSWORD
from simulator.teams.people import tenant_id
from simulator.world import SimulatorConfig
from storage import chores, directory, references
from storage.directory import Person
from storage.engine import Database
from storage.references import Reference
from tests.integration.teams import kit

BOT = BotId("st-simulated")
TENANT = TenantId(tenant_id(0))


@dataclass
class Side:
    """Herald's Teams side and the simulator it lives in."""

    simulator: Running
    http: ClientSession
    database: Database
    bots: TeamsBots
    channel: TeamsChannel
    members: MemberChore
    people: GraphPeople
    gate: kit.FakeGate = field(default_factory=kit.FakeGate)
    evidence: list[Evidence] = field(default_factory=list)

    async def control(self, path: str, body: dict[str, Any], method: str = "POST") -> dict[str, Any]:
        """One call of the simulator's control API."""
        async with self.http.request(method, f"{self.simulator.url}/_sim/{path}", json=body) as answer:
            found: dict[str, Any] = await answer.json()
            assert answer.status < 300, found
            return found

    async def person(self, index: int) -> dict[str, Any]:
        """One simulated person."""
        async with self.http.get(f"{self.simulator.url}/_sim/teams/people", params={"offset": index}) as answer:
            found: dict[str, Any] = (await answer.json())["people"][0]
            return found

    async def install(self, person: dict[str, Any], action: str = "add") -> None:
        """Install the app for a person; the bot hears of it."""
        report = await self.control("teams/installs", {"person": person["id"], "action": action})
        assert report["failed"] == 0, report

    async def reference(self, person: dict[str, Any]) -> tuple[Reference, bool]:
        """What Herald stored about a person."""
        async with self.database.read() as tx:
            found = await references.find(tx, bot_id=BOT, channel="msteams", tenant_id=TENANT, persons=[person["id"]])
        return found[person["id"]]

    async def address(self, person: dict[str, Any]) -> Address:
        """The address in a stored reference."""
        found, _ = await self.reference(person)
        return Address(TENANT, found.user_id, found.channel_id, found.conversation_id, found.service_url)

    async def send(self, to: Address, text: str = "Hello") -> Outcome:
        """One send."""
        prepared = self.channel.prepare({"type": "message", "text": text})
        return await self.channel.send(BOT, to, prepared, DeliveryId("nl-1"))

    def mailbox(self, person: dict[str, Any]) -> list[Any]:
        """What the person truly has."""
        return [each.body for each in self.simulator.world.mailboxes.of("teams", TENANT, person["id"])]


def endpoints(url: str) -> TeamsEndpoints:
    return TeamsEndpoints(
        entra_login=url,
        bot_openid=f"{url}/v1/.well-known/openidconfiguration",
        bot_issuer="https://api.botframework.com",
        multi_tenant_login="botframework.com",
        graph=url,
        graph_audience="https://graph.microsoft.com",
        service_urls=(f"{url}/teams",),
        default_service_url=f"{url}/teams/",
        allow_http=True,
    )


@pytest.fixture(name="side")
async def _side(database: Database, session: ClientSession) -> AsyncIterator[Side]:
    async with running(SimulatorConfig(people=200)) as simulator:
        app = TeamsApp(BOT, DEFAULT_APP_ID, tenant_id=TENANT, password=DEFAULT_PASSWORD)
        bots = TeamsBots([app], endpoints(simulator.url), session)
        channel = TeamsChannel(bots, database)
        members = MemberChore(bots, database, normal_form=normal_form)
        side = Side(simulator, session, database, bots, channel, members, GraphPeople(bots))

        async def sink(_tx: AsyncConnection, found: Evidence) -> None:
            side.evidence.append(found)

        inbound = TeamsInbound(bots, database, evidence=sink, wake=lambda _lane: None)
        server = web.Application()
        server.router.add_post("/api/messages", inbound.handler(BOT))
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/api/messages"
        await side.control(
            "teams/apps", {"app_id": DEFAULT_APP_ID, "password": DEFAULT_PASSWORD, "messaging_endpoint": endpoint}
        )
        try:
            yield side
        finally:
            await runner.cleanup()


class TestInstallAndSend:
    async def test_the_whole_way(self, side: Side) -> None:
        """Install → reference captured → e-mail learned by the members call → one message in the mailbox."""
        ada = await side.person(0)
        await side.install(ada)
        async with side.database.read() as tx:
            (due,) = await chores.due(tx, bot_id=BOT, channel="msteams", tenant_id=TENANT, now=4e9, limit=10)
        lane = Lane(BOT, ChannelName.MSTEAMS, TENANT)
        learned = await side.members(Chore(due.id, lane, due.kind, due.key, due.detail), side.gate)
        async with side.database.read() as tx:
            (known,) = await directory.lookup(
                tx, bot_id=BOT, channel="msteams", tenant_id=TENANT, addresses=[normal_form(ada["email"])]
            )
        outcome = await side.send(await side.address(ada), "Grüße 👋")

        assert learned == ChoreLater(AGAIN_SECONDS)
        assert (known.user_id, known.reference_active) == (ada["id"], True)
        assert isinstance(outcome, Sent)
        assert [body["text"] for body in side.mailbox(ada)] == ["Grüße 👋"]

    async def test_cold_create(self, side: Side) -> None:
        """Somebody whose install Herald never heard of is reached by object id through the default service URL."""
        ada = await side.person(1)
        await side.control("teams/installs", {"person": ada["id"], "notify": False})

        opened = await side.channel.open(BOT, Address(TENANT, ada["id"], ada["id"]), side.gate)

        assert isinstance(opened, Address)
        assert isinstance(await side.send(opened), Sent)
        assert len(side.mailbox(ada)) == 1
        assert (await side.reference(ada))[0].conversation_id == opened.conversation_id

    async def test_not_installed(self, side: Side) -> None:
        """Without the app no conversation opens, and the remedy says what to do."""
        bob = await side.person(2)

        outcome = await side.channel.open(BOT, Address(TENANT, bob["id"], bob["id"]), side.gate)

        assert isinstance(outcome, Refused)
        assert outcome.fault.reason == "app_not_installed"


class TestAfterwards:
    @pytest.mark.parametrize("block", ["MessageWritesBlocked", "ConversationBlockedByUser"])
    async def test_blocked(self, side: Side, block: str) -> None:
        """P24: a block, in either shape of error, refuses and deactivates; a message of the person undoes it."""
        ada = await side.person(0)
        await side.install(ada)
        await side.control("teams/people", {"person": ada["id"], "block": block}, "PATCH")

        outcome = await side.send(await side.address(ada))
        blocked = (await side.reference(ada))[1]
        await side.control("teams/events", {"person": ada["id"], "kind": "message", "text": "hi"})

        assert isinstance(outcome, Refused)
        assert outcome.fault.reason == "blocked_by_recipient"
        assert not blocked
        assert (await side.reference(ada))[1]

    async def test_uninstalled(self, side: Side) -> None:
        """P25: after an uninstall the reference is inactive, and a send that was under way is refused."""
        ada = await side.person(0)
        await side.install(ada)
        address = await side.address(ada)
        await side.install(ada, "remove")

        outcome = await side.send(address)

        assert isinstance(outcome, Refused)
        assert outcome.fault.reason == "app_not_installed"
        assert not (await side.reference(ada))[1]
        assert side.mailbox(ada) == []

    async def test_forgotten_conversation(self, side: Side) -> None:
        """P23: a stale conversation is refused, forgotten, and opened again by the next attempt."""
        ada = await side.person(0)
        await side.install(ada)
        stale = await side.address(ada)
        await side.control("teams/conversations/forget", {"person": ada["id"]})

        outcome = await side.send(stale)
        opened = await side.channel.open(BOT, await side.address(ada), side.gate)

        assert isinstance(outcome, Refused)
        assert outcome.fault.reason == "conversation_not_found"
        assert isinstance(opened, Address)
        assert isinstance(await side.send(opened), Sent)

    async def test_rolled_keys_and_revoked_tokens(self, side: Side) -> None:
        """P21: a revoked token is the lane's fault once, and the next send has a new one."""
        ada = await side.person(0)
        await side.install(ada)
        await side.send(await side.address(ada))
        await side.control("teams/tokens/revoke", {})

        first = await side.send(await side.address(ada))
        second = await side.send(await side.address(ada))

        assert isinstance(first, NotSent)
        assert first.fault.reason == "credentials_rejected"
        assert isinstance(second, Sent)

    @pytest.mark.parametrize("stored", [False, True], ids=["P07-before", "P08-after"])
    async def test_bad_gateway(self, side: Side, stored: bool) -> None:
        """P07, P08: a 502 is uncertain whether or not the message was stored; there is never a second copy."""
        ada = await side.person(0)
        await side.install(ada)
        await side.control("faults", {"platform": "connector", "operation": "send", "status": 502, "stored": stored})

        outcome = await side.send(await side.address(ada))

        assert isinstance(outcome, Uncertain)
        assert len(side.mailbox(ada)) == (1 if stored else 0)


class TestPeople:
    async def test_everybody(self, side: Side) -> None:
        """Graph look-ups of 200 people agree with the simulator's directory."""
        everybody = side.simulator.world.people_of(0)
        addresses = [normal_form(person.email) for person in everybody]
        answers: dict[str, PersonAnswer] = {}
        async for found in side.people.find(BOT, TENANT, [*addresses, "nobody@example.com"], side.gate):
            answers |= found

        wrong = {}
        for person, address in zip(everybody, addresses, strict=True):
            answer = answers[address]
            expected = (
                "guest_not_supported"
                if person.user_type == "guest"
                else "person_disabled"
                if person.disabled
                else "found"
            )
            got = "found" if isinstance(answer, Person) else answer.reason if isinstance(answer, NoPerson) else "failed"
            if got != expected:
                wrong[address] = (got, expected)
        assert wrong == {}
        assert isinstance(answers["nobody@example.com"], NoPerson)
        assert len(answers) == len(addresses) + 1
