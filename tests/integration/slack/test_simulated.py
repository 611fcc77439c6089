"""Our Slack side and the simulated Slack, over HTTP in both directions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select

from adapters.base import (
    ENTRY,
    Address,
    ChannelName,
    Chore,
    ChoreDone,
    ChoreLater,
    DeliveryId,
    Lane,
    LookLater,
    NotSent,
    NotThere,
    Outcome,
    Refused,
    SeenAs,
    Sent,
    TenantId,
    Uncertain,
)
from adapters.slack.chores import SlackIdentify, SlackTeams
from adapters.slack.history import SlackLooker
from adapters.slack.installations import IDENTIFY, TEAMS
from identity.answers import NoPerson
from identity.slack import SlackPeople
from identity.slack_listing import SlackDirectory, SlackListing
from simulator.app import Running, SimulatorConfig, running
from simulator.people import PLAIN
from simulator.slack.apps import DEFAULT_BOT_TOKEN, DEFAULT_SCOPES
from storage import directory, references
from storage.directory import Person
from storage.engine import Database
from storage.tables import people as people_table
from tests.integration.slack.kit import BOT, SIGNING_SECRET, SlackSide, serving_side, slack_side

SLACK = ChannelName.SLACK
FIRST = TenantId("T0SIM0000")


@pytest.fixture
def database_kind() -> str:
    """What the stores do is tested on both databases elsewhere; here it is the wire."""
    return "sqlite"


class Simulated:
    """The simulator with its control API, our side, and our address."""

    def __init__(self, simulator: Running, side: SlackSide, url: str) -> None:
        self.simulator = simulator
        self.side = side
        self.url = url

    async def control(self, verb: str, path: str, data: Any = None) -> Any:
        async with self.side.http.request(verb, f"{self.simulator.url}/_sim/{path}", json=data) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def fault(self, **fault: Any) -> None:
        await self.control("POST", "faults", {"platform": "slack", **fault})

    async def received(self, person: str) -> int:
        return len((await self.control("GET", f"mailboxes?user={person}"))["messages"])

    async def register(self, **more: Any) -> None:
        """Register our app with our events address; Slack verifies the address at once."""
        events = f"{self.url}/slack/{BOT}/events"
        app = {"client_id": "1.2", "client_secret": "client-secret", "signing_secret": SIGNING_SECRET}
        await self.control("POST", "slack/apps", {**app, "events_url": events, **more})

    async def install(self, **where: Any) -> int:
        """Walk through the consent page as a browser does; returns the status of our last page."""
        http = self.side.http
        async with http.get(f"{self.url}/slack/{BOT}/install", allow_redirects=False) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
            consent = {"authorize_url": answer.headers["Location"], **where}
        location = (await self.control("POST", "slack/authorize", consent))["location"]
        assert urlsplit(location).path == f"/slack/{BOT}/oauth_redirect"
        async with http.get(location, headers={"Cookie": cookie}) as answer:
            return answer.status

    async def person(self, number: int = 0, team: str = FIRST) -> dict[str, Any]:
        found: dict[str, Any] = (await self.control("GET", f"slack/people?team={team}"))["people"][number]
        return found

    async def send(self, person: str, tenant: TenantId = FIRST, delivery: str = "nl-1") -> Outcome:
        channel = self.side.channel()
        to = Address(tenant, person, person)
        return await channel.send(BOT, to, channel.prepare({"text": "hello"}), DeliveryId(delivery))

    def people(self) -> SlackPeople:
        return SlackPeople(self.side.client, self.side.installations, self.listing())

    def listing(self) -> SlackListing:
        return SlackListing(self.side.client, self.side.installations, self.side.database)


@dataclass(slots=True)
class BurstGate:
    """A gate in time that stands still: each bucket gives its burst and then nothing."""

    left: dict[str, float]
    held: list[str] = field(default_factory=list)

    async def enter(self, bucket: str) -> None:
        if self.left[bucket] < 1:
            await asyncio.Event().wait()
        self.left[bucket] -= 1

    def went_well(self, bucket: str) -> None:
        """Not looked at here."""

    def throttled(self, bucket: str, retry_after: float | None) -> None:
        self.held.append(bucket)


async def simulated(database: Database, config: SimulatorConfig) -> AsyncIterator[Simulated]:
    async with (
        running(config) as simulator,
        slack_side(database, simulator.url, time.time, seconds=2.0) as side,
        serving_side(side) as url,
    ):
        yield Simulated(simulator, side, url)


@pytest.fixture
async def slack(database: Database) -> AsyncIterator[Simulated]:
    """One workspace, plain people, our app registered and installed."""
    async for made in simulated(database, SimulatorConfig(people=60, shares=PLAIN)):
        await made.register()
        assert await made.install() == 200
        yield made


@pytest.fixture
async def org(database: Database) -> AsyncIterator[Simulated]:
    """An Enterprise org of three workspaces, our app registered."""
    async for made in simulated(database, SimulatorConfig(people=20, workspaces=3, enterprise=True, shares=PLAIN)):
        await made.register()
        yield made


class TestAWorkspace:
    """From the install to the mailbox."""

    async def test_install_find_send_look_back(self, slack: Simulated) -> None:
        """A whole life: consent, directory, address, message, and the look that finds it again."""
        person = await slack.person()
        [answers] = [each async for each in slack.people().find(BOT, FIRST, [person["email"]], slack.side.gate)]
        found = answers[person["email"]]
        assert isinstance(found, Person)

        outcome = await slack.send(found.user_id)

        assert isinstance(outcome, Sent)
        assert outcome.conversation_id is not None
        assert await slack.received(found.user_id) == 1

    async def test_the_directory_chore_lists_everybody(self, slack: Simulated) -> None:
        """Every plain person, no bot, no stranger."""
        chore = Chore(1, Lane(BOT, SLACK, FIRST), "slack.directory", "users")

        outcome = await SlackDirectory(slack.listing(), slack.side.installations)(chore, slack.side.gate)

        async with slack.side.database.read() as tx:
            count = await tx.scalar(select(func.count()).select_from(people_table))
        assert outcome == ChoreLater(86400.0, detail={})
        assert count == 60

    async def test_sixty_cold_addresses(self, slack: Simulated) -> None:
        """With an unknown size both ways run, and everybody is found within the documented limits."""
        addresses = [(await slack.person(number))["email"] for number in range(60)]
        found: dict[str, Any] = {}
        gate = BurstGate({name: pace.burst for name, pace in slack.side.channel().pace().buckets.items()})

        async for answers in slack.people().find(BOT, FIRST, [*addresses, "nobody@example.com"], gate):
            found |= answers

        assert all(isinstance(found[address], Person) for address in addresses)
        assert isinstance(found["nobody@example.com"], NoPerson)
        assert gate.held == []

    async def test_events_teach_us(self, slack: Simulated) -> None:
        """Somebody joins, opens the app, changes their address, leaves: signed, once, without a call."""
        joined = await slack.control("POST", "slack/people", {"email": "new@contoso.example", "wait": True})
        identifier = joined["person"]["id"] if "person" in joined else joined["id"]
        event = {"type": "app_home_opened", "user": identifier, "client_id": "1.2", "wait": True}
        await slack.control("POST", "slack/events", event)
        await slack.control("PATCH", f"slack/people/{identifier}", {"deleted": True, "wait": True})

        async with slack.side.database.read() as tx:
            lane = {"bot_id": BOT, "channel": SLACK, "tenant_id": FIRST}
            [known] = await directory.lookup(tx, **lane, addresses=["new@contoso.example"])
            captured = await references.find(tx, **lane, persons=[identifier])
        assert (known.user_id, known.disabled) == (identifier, True)
        assert (captured[identifier][0].conversation_id or "").startswith("D")

    @pytest.mark.parametrize("order", [["tokens_revoked", "app_uninstalled"], ["app_uninstalled", "tokens_revoked"]])
    async def test_uninstalled(self, slack: Simulated, order: list[str]) -> None:
        """P25: the lane is at fault, nobody is refused; a new install works again."""
        person = await slack.person()
        await slack.control("POST", "slack/uninstall", {"client_id": "1.2", "order": order, "wait": True})
        without = await slack.send(person["id"])
        assert await slack.install() == 200
        again = await slack.send(person["id"])

        assert isinstance(without, NotSent)
        assert without.fault.reason == "installation_revoked"
        assert isinstance(again, Sent)

    async def test_revoked_without_an_event(self, slack: Simulated) -> None:
        """P27: Slack's refusal alone tells us, and nobody is refused for it."""
        person = await slack.person()
        await slack.fault(operation="chat.postMessage", code="token_revoked", times=1)

        refused, again = await slack.send(person["id"]), await slack.send(person["id"])

        assert isinstance(refused, NotSent)
        assert isinstance(again, Sent)

    async def test_the_workspace_limit_is_told(self, slack: Simulated) -> None:
        """P01: a real 429 of the simulated limits, with its Retry-After."""
        person = await slack.person()
        outcomes = [await slack.send(person["id"], delivery=f"nl-{number}") for number in range(6)]

        throttled = [each for each in outcomes if isinstance(each, NotSent)]
        assert throttled
        assert all(each.method == "chat.postMessage" and each.retry_after for each in throttled)
        assert await slack.received(person["id"]) == len(outcomes) - len(throttled)

    async def test_a_bot_cannot_be_written_to(self, slack: Simulated) -> None:
        """P24: refused, with Slack's own code."""
        outcome = await slack.send("U0ROBOT000")

        assert isinstance(outcome, Refused)


class TestTheOracle:
    """P07 to P10: what we say is compared with what the person got."""

    @pytest.mark.parametrize(
        ("fault", "expected", "copies"),
        [
            ({"status": 500}, Uncertain, 0),
            ({"status": 503, "body": "oops"}, Uncertain, 0),
            ({"status": 500, "body": "oops", "stored": True}, Uncertain, 1),
            ({"drop": "before"}, Uncertain, 0),
            ({"drop": "after"}, Uncertain, 1),
            ({"drop": "mid_answer"}, Uncertain, 1),
            ({"drop": "mid_answer_fin"}, Uncertain, 1),
            ({"body": "<html>", "content_type": "text/html", "stored": True}, Uncertain, 1),
            ({"body": "", "stored": True}, Uncertain, 1),
            ({"bulk": 20_000_000, "gzip": True, "stored": True}, Uncertain, 1),
            ({"status": 429, "retry_after": "5"}, NotSent, 0),
            ({"code": "service_unavailable", "status": 200}, NotSent, 0),
            ({"code": "service_unavailable", "status": 503, "stored": True}, Uncertain, 1),
            ({"code": "user_disabled"}, Refused, 0),
        ],
        ids=str,
    )
    async def test_never_more_than_one_copy(
        self, slack: Simulated, fault: dict[str, Any], expected: type, copies: int
    ) -> None:
        """The outcome is true for either side of storing, and the wire saw one request; a look tells the rest."""
        person = await slack.person()
        await slack.fault(operation="chat.postMessage", times=1, **fault)

        since = time.time()
        outcome = await slack.send(person["id"])

        assert isinstance(outcome, expected)
        assert await slack.received(person["id"]) == copies
        look = SlackLooker(slack.side.client, slack.side.installations)
        await slack.side.install(FIRST, await self.token(slack))
        seen = await look(BOT, Address(FIRST, person["id"], person["id"]), DeliveryId("nl-1"), since, slack.side.gate)
        assert isinstance(seen, SeenAs if copies else NotThere), seen
        assert not isinstance(seen, LookLater)

    async def token(self, slack: Simulated) -> str:
        """A token of our app that may look back."""
        more = {"client_id": "1.2", "team": FIRST, "scopes": list(DEFAULT_SCOPES)}
        token: str = (await slack.control("POST", "slack/installs", more))["access_token"]
        return token


class TestSettingsToken:
    """A bot token in the settings."""

    async def test_identify_and_send(self, database: Database) -> None:
        """auth.test finds the workspace; then it is a workspace like any other."""
        async for slack in simulated(database, SimulatorConfig(people=5, shares=PLAIN)):
            side = slack.side
            app = side.app(bot_token=DEFAULT_BOT_TOKEN)
            handler = SlackIdentify({BOT: app}, side.database, side.client, side.installations, side.woken.append)

            done = await handler(Chore(1, Lane(BOT, SLACK, ENTRY), IDENTIFY, "token"), side.gate)

            found = await side.installations.token_for(BOT, FIRST)
            assert done == ChoreDone()
            assert found is not None
            assert found.scopes == set(DEFAULT_SCOPES)
            assert isinstance(await slack.send((await slack.person())["id"]), Sent)


class TestAnOrg:
    """An org-wide install serves many workspaces with one token."""

    async def test_install_list_send(self, org: Simulated) -> None:
        """Each granted workspace becomes a lane that can send."""
        assert await org.install(enterprise="E0SIMORG0") == 200
        side = org.side
        teams = SlackTeams(side.database, side.client, side.installations, side.woken.append, side.clock)
        done = await teams(Chore(1, Lane(BOT, SLACK, ENTRY), TEAMS, "E0SIMORG0"), side.gate)

        assert done == ChoreLater(86400.0, detail={})
        for number in range(3):
            team = TenantId(f"T0SIM000{number}")
            person = await org.person(0, team)
            assert isinstance(await org.send(person["id"], team, f"nl-{number}"), Sent)
            assert await org.received(person["id"]) == 1

    async def test_access_comes_and_goes_with_events(self, org: Simulated) -> None:
        """team_access_granted makes a lane, team_access_revoked ends it, the org's removal ends all."""
        await org.register(bot_events=["team_access_granted", "team_access_revoked", "app_uninstalled"])
        assert await org.install(enterprise="E0SIMORG0") == 200
        team = TenantId("T0SIM0001")
        where = {"client_id": "1.2", "enterprise": "E0SIMORG0", "wait": True}
        person = await org.person(0, team)

        await org.control("POST", "slack/team_access", {**where, "grant": [team]})
        granted = await org.send(person["id"], team, "nl-1")
        await org.control("POST", "slack/uninstall", where)
        removed = await org.send(person["id"], team, "nl-2")

        assert isinstance(granted, Sent)
        assert isinstance(removed, NotSent)
        assert removed.fault.reason == "installation_revoked"
